package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"beckon/internal/api"
	"beckon/internal/channel"
	"beckon/internal/contact"
)

func suppressionsCommand(environ func() []string) *cobra.Command {
	cmd := &cobra.Command{Use: "suppressions", Short: "Import or export the addresses that must not be sent to", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(importSuppressionsCommand(environ), exportSuppressionsCommand(environ))
	return cmd
}

func importSuppressionsCommand(environ func() []string) *cobra.Command {
	o := contact.ImportOptions{Kind: contact.ImportSuppressions}
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Import suppressions from an NDJSON or CSV file (- is standard input, NDJSON)", Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Format = formatOf(args[0])
			c, err := readConfig(environ)
			if err != nil {
				return err
			}
			return importFile(cmd, c, args[0], o)
		},
	}
	cmd.Flags().StringVar((*string)(&o.Channel), "channel", "", "sms or email: the channel of lines that name none")
	cmd.Flags().StringVar(&o.Reason, "reason", "", "reason of lines that name none; left out: manual")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "check every line and write nothing")
	return cmd
}

func exportSuppressionsCommand(environ func() []string) *cobra.Command {
	var f contact.SuppressionFilter
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Export suppressions, by the keyed hashes of their addresses, to an NDJSON or CSV file (- is standard output, NDJSON)", Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.Channel != "" && f.Channel != channel.SMS && f.Channel != channel.Email {
				return usageError{errors.New("--channel must be sms or email")}
			}
			c, err := readConfig(environ)
			if err != nil {
				return err
			}
			return exportFile(cmd, c, args[0], f)
		},
	}
	cmd.Flags().StringVar((*string)(&f.Channel), "channel", "", "sms or email: only those")
	cmd.Flags().StringVar(&f.Reason, "reason", "", "only those for this reason")
	return cmd
}

// exportFile writes a whole file or none.
func exportFile(cmd *cobra.Command, c Config, name string, f contact.SuppressionFilter) (err error) {
	i, err := openImporter(cmd.Context(), cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.db.Close()) }()
	write := func(w io.Writer) (int, error) {
		return api.WriteSuppressions(cmd.Context(), w, i.contacts, formatOf(name), f)
	}
	if name == "-" {
		_, err = write(cmd.OutOrStdout())
		return err
	}
	lines, err := replaceFile(name, write)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%d suppressions written\n", lines)
	}
	return err
}

// replaceFile puts a file into its place once all of it is written.
func replaceFile(name string, write func(io.Writer) (int, error)) (lines int, err error) {
	out, err := os.CreateTemp(filepath.Dir(name), ".beckon-*")
	if err != nil {
		return 0, fmt.Errorf("write the file: %w", err)
	}
	lines, err = write(out)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), name)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("write the file: %w", err), os.Remove(out.Name()))
	}
	return lines, nil
}

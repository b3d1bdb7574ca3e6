package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"beckon/internal/sample"
)

func sampleCommand() *cobra.Command {
	var o sample.Options
	var format, file string
	var age time.Duration
	cmd := &cobra.Command{Use: "sample", Short: "Make up contacts to try an import with", Args: exactly(),
		Long: "Make up contacts to try an import with: nobody in them is real.\n\n" +
			"hubspot is CSV as a CRM exports it, with its wrong phones, repeated people and broken lines. manychat is CSV of the people\n" +
			"that another bot platform knows, with their page-scoped ids and tokens. ndjson is what POST /v1/contacts/import takes fastest.",
		Example: "  beckon sample --count 1000 --out crm.csv\n  beckon sample --format ndjson --count 100000 | curl … --data-binary @- …/v1/contacts/import",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Format, o.GrantedAt = sample.Format(format), time.Now().UTC().Add(-age).Truncate(time.Second)
			if err := checkSample(o); err != nil {
				return usageError{err}
			}
			return writeSample(cmd.OutOrStdout(), file, o)
		}}
	f := cmd.Flags()
	f.StringVar(&format, "format", string(sample.HubSpot), "hubspot, manychat or ndjson")
	f.IntVar(&o.Count, "count", 1000, "how many people")
	f.Uint64Var(&o.Seed, "seed", 1, "the same seed always makes the same people")
	f.BoolVar(&o.Complete, "complete", false, "everybody has a phone, an e-mail address and said yes to both; nothing is broken")
	f.StringVar(&o.Page, "page-id", "", "id of the page here: everybody is given a page-scoped id")
	f.StringVar(&o.Topic, "topic", "", "with --page-id: everybody is given a token for it")
	f.StringVar(&o.GraphPage, "facebook-page-id", simulatorPage, "whose tokens, as the simulator grants them")
	f.DurationVar(&age, "token-age", 30*24*time.Hour, "how long ago the tokens were given")
	f.StringVar(&file, "out", "", "file to write, instead of the standard output")
	return cmd
}

func checkSample(o sample.Options) error {
	switch {
	case !slices.Contains(sample.Formats(), o.Format):
		return fmt.Errorf("there is no format %q; there are: %v", o.Format, sample.Formats())
	case o.Count < 0 || o.Count > 99_999_999:
		return errors.New("--count must be between 0 and 99999999")
	case o.Page == "" && (o.Format == sample.ManyChat || o.Topic != ""):
		return errors.New("--page-id is needed for page-scoped ids and tokens")
	}
	return nil
}

func writeSample(out io.Writer, file string, o sample.Options) (err error) {
	if file == "" {
		return sample.Write(out, o)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return sample.Write(f, o)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
	"beckon/internal/token"
)

func importCommand(environ func() []string) *cobra.Command {
	var page string
	var o contact.ImportOptions
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Import contacts from an NDJSON or CSV file (- is standard input, NDJSON)", Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Format = formatOf(args[0])
			if page != "" {
				id, err := uuid.Parse(page)
				if err != nil {
					return usageError{errors.New("--page must be a page's id")}
				}
				o.PageID = id
			}
			c, err := readConfig(environ)
			if err != nil {
				return err
			}
			return importFile(cmd, c, args[0], o)
		},
	}
	cmd.Flags().StringVar(&page, "page", "", "id of the page of Messenger ids and tokens that name none")
	cmd.Flags().StringVar(&o.Topic, "topic", "", "topic of tokens that name none")
	cmd.Flags().StringVar(&o.ConsentSMS, "consent-sms", "", "subscribed: everybody in the file with a phone number has agreed to SMS, unless their line says otherwise")
	cmd.Flags().StringVar(&o.ConsentEmail, "consent-email", "", "subscribed: the same for e-mail")
	cmd.Flags().StringVar(&o.ConsentSource, "consent-source", "", "where consents come from that name no source")
	cmd.Flags().StringVar(&o.ConsentEvidence, "consent-evidence", "", "what shows that everybody has agreed, such as the wording of the form")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "check every line and write nothing")
	return cmd
}

func formatOf(name string) contact.Format {
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		return contact.CSV
	}
	return contact.NDJSON
}

// importer is what an import needs of the program: no channels, no engine.
type importer struct {
	db       *db.DB
	queue    *queue.Queue
	contacts *contact.Store
}

func openImporter(ctx context.Context, cmd *cobra.Command, c Config) (*importer, error) {
	box, err := openBox(c)
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, c.database())
	if err != nil {
		return nil, err
	}
	i := &importer{db: d, queue: queue.New(d, newLogger(c, cmd.ErrOrStderr()))}
	tokens := token.NewStore(d, box, now)
	i.contacts = contact.New(d, i.queue, box, contact.Options{DefaultRegion: c.Region, Now: now, Grant: granter(tokens), MaxImport: c.MaxImport})
	if err := errors.Join(d.Migrate(ctx), i.queue.Open()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return i, nil
}

func importFile(cmd *cobra.Command, c Config, name string, o contact.ImportOptions) (err error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open the file: %w", err)
		}
		defer f.Close()
		in = f
	}
	i, err := openImporter(cmd.Context(), cmd, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.db.Close()) }()
	imp, err := i.contacts.Receive(cmd.Context(), in, o)
	if err != nil {
		return err
	}
	if imp, err = i.work(cmd.Context(), imp.ID); err != nil {
		return err
	}
	return i.show(cmd, imp)
}

// work runs imports here until this one is done. A serving node that shares the
// database may do it as well.
func (i *importer) work(ctx context.Context, id uuid.UUID) (contact.Import, error) {
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- i.queue.Run(run, 30*time.Second) }()
	imp, err := i.await(ctx, id)
	stop()
	return imp, errors.Join(err, <-done)
}

func (i *importer) await(ctx context.Context, id uuid.UUID) (contact.Import, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		imp, err := i.contacts.Import(ctx, id)
		if err != nil || imp.State == contact.Finished || imp.State == contact.Failed {
			return imp, err
		}
		select {
		case <-ctx.Done():
			return imp, fmt.Errorf("the import %s goes on when a server runs: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

func (i *importer) show(cmd *cobra.Command, imp contact.Import) error {
	out := cmd.OutOrStdout()
	for after := int64(0); ; {
		refusals, next, err := i.contacts.Refusals(cmd.Context(), imp.ID, after, 500)
		if err != nil {
			return err
		}
		for _, r := range refusals {
			for _, f := range r.Fields {
				fmt.Fprintf(out, "line %d refused: %s %s (%s)\n", r.Line, f.Pointer, f.Detail, f.Code)
			}
		}
		if next == 0 {
			break
		}
		after = next
	}
	fmt.Fprintf(out, "import %s %s: %d lines, %d created, %d updated, %d refused\n", imp.ID, imp.State, imp.Lines, imp.Created, imp.Updated, imp.Refused)
	if imp.State == contact.Failed {
		return fmt.Errorf("the import failed: %s", imp.Problem)
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// level says how much a finding matters.
type level string

// The levels of findings.
const (
	fine level = "ok"
	note level = "note" // good to know
	todo level = "todo" // something must be done
)

// finding is one thing that doctor looked at.
type finding struct {
	Level level  `json:"level"`
	Area  string `json:"area"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"` // what is to be done about it
}

// doctor looks at everything that a set-up is made of, and keeps what it found.
type doctor struct {
	findings []finding
}

func (d *doctor) add(l level, area, what, do string) {
	d.findings = append(d.findings, finding{l, area, what, do})
}

// must is how many things must be done.
func (d *doctor) must() (n int) {
	for _, f := range d.findings {
		if f.Level == todo {
			n++
		}
	}
	return n
}

func doctorCommand(environ func() []string) *cobra.Command {
	var asJSON bool
	var dns string
	var test trial
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at the whole set-up, and say what to do", Args: exactly(),
		Long: "Looks at the settings, the database, the public address, each page's side of Meta, the accounts at Twilio and SendGrid and\n" +
			"what the DNS says of the domain that e-mail comes from, repairs what can be repaired, and says what must be done. It exits\n" +
			"with 1 when there is something. It reads the settings that serve reads, so run it where the same ones are set.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := test.check(); err != nil {
				return err
			}
			d := &doctor{}
			test.say = cmd.ErrOrStderr()
			d.look(cmd.Context(), environ, test, resolver(dns))
			if err := d.print(cmd.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if n := d.must(); n > 0 {
				return fmt.Errorf("%s must be done", things(n))
			}
			return nil
		}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON, for programs")
	cmd.Flags().StringVar(&test.psid, "self-test", "", "PSID of a tester: try with them whether one-time notifications work")
	cmd.Flags().StringVar(&test.page, "page", "", "id of the page to test; may be left out when there is one")
	cmd.Flags().StringVar(&dns, "resolver", "", "DNS server to ask instead of the system's, as address or address:port")
	cmd.Flags().DurationVar(&test.wait, "wait", 10*time.Minute, "how long the tester has for the tap")
	return cmd
}

func things(n int) string {
	if n == 1 {
		return "1 thing"
	}
	return fmt.Sprintf("%d things", n)
}

// look goes from the ground up; it ends where what comes next stands on what is
// missing.
func (d *doctor) look(ctx context.Context, environ func() []string, test trial, dns *net.Resolver) {
	c, err := readConfig(environ)
	if err != nil {
		d.settings(err)
		return
	}
	d.add(fine, "settings", "All settings can be read.", "")
	d.address(ctx, c)
	d.channels(c)
	d.senders(ctx, c, dns)
	if !d.secret(c) || !d.schema(ctx, c) {
		return
	}
	a, err := newApp(ctx, c, newLogger(c, io.Discard))
	if err != nil {
		d.add(todo, "program", "The program cannot start: "+err.Error(), "See the message.")
		return
	}
	defer func() { _ = a.close() }()
	d.selfTest(ctx, a, test)
	d.pages(ctx, a)
	d.lines(ctx, a)
	d.lists(ctx, a)
	d.inbox(ctx, a)
	d.relay(ctx, a)
}

func (d *doctor) settings(err error) {
	var mistakes configError
	if !errors.As(err, &mistakes) {
		mistakes = configError{err.Error()}
	}
	for _, m := range mistakes {
		d.add(todo, "settings", m+".", "Correct it; docs/settings.md lists all settings.")
	}
}

// print writes the findings, for people or for programs.
func (d *doctor) print(w io.Writer, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(map[string]any{"well": d.must() == 0, "findings": d.findings})
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%-5s %s: %s\n", sign(f.Level), f.Area, f.What)
		if f.Do != "" {
			fmt.Fprintf(&b, "      → %s\n", f.Do)
		}
	}
	if d.must() == 0 {
		b.WriteString("\nAll is well.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sign(l level) string {
	switch l {
	case todo:
		return "TO DO"
	case note:
		return "note"
	}
	return "ok"
}

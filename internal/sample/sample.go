// Package sample makes up contacts, so that imports can be tried at any size
// with nobody's data.
package sample

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// Format is how contacts are written.
type Format string

// The formats.
const (
	HubSpot  Format = "hubspot"  // CSV as a CRM exports it, with the faults such files have
	ManyChat Format = "manychat" // CSV of people another bot platform knows: page-scoped ids and tokens
	NDJSON   Format = "ndjson"   // one contact per line, as POST /v1/contacts takes it
)

// Formats returns all formats.
func Formats() []Format { return []Format{HubSpot, ManyChat, NDJSON} }

// Options say what to write.
type Options struct {
	Format Format
	Count  int
	Seed   uint64
	// Complete gives everybody both addresses and both consents.
	Complete bool
	// Only and Permitted, when set, say who of the Count people is written, and
	// who of them gave a token.
	Only, Permitted func(n int) bool
	// Page, when set, is the id under which the page is known here: everybody
	// has the page-scoped id psid-1, psid-2 and so on there. ManyChat needs it.
	Page string
	// Topic, with Page, gives everybody a token for it: the one that the
	// simulator knows for the Page with the id GraphPage.
	Topic, GraphPage string
	GrantedAt        time.Time // of the tokens
}

// Write writes contacts. The same options always give the same bytes.
func Write(w io.Writer, o Options) error {
	out := bufio.NewWriterSize(w, 64<<10)
	err := write(out, o)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("write sample contacts: %w", err)
	}
	return nil
}

func write(w *bufio.Writer, o Options) error {
	switch o.Format {
	case HubSpot:
		return writeHubSpot(w, o)
	case ManyChat:
		return writeManyChat(w, o)
	case NDJSON:
		return writeNDJSON(w, o)
	}
	return fmt.Errorf("there is no format %q", o.Format)
}

func (o Options) writes(n int) bool { return o.Only == nil || o.Only(n) }

func (o Options) permits(n int) bool {
	return o.Topic != "" && o.Page != "" && (o.Permitted == nil || o.Permitted(n))
}

// PSID is the page-scoped id of the n-th person.
func PSID(n int) string { return fmt.Sprintf("psid-%d", n) }

// Token is the n-th person's token on a Page, as the simulator names the first
// that it grants them.
func Token(graphPage string, n int) string { return fmt.Sprintf("otn-%s-psid-%d-1", graphPage, n) }

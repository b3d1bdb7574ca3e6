package simulator

import (
	"maps"
	"slices"
)

// maxRepeated bounds Count.Repeated.
const maxRepeated = 1000

// Count is what one provider has seen.
type Count struct {
	Requests int64 `json:"requests"` // sends that were tried
	Accepted int64 `json:"accepted"` // messages accepted
	// How the accepted messages fall on recipients.
	Recipients      int              `json:"recipients"`
	MaxPerRecipient int              `json:"max_per_recipient"`
	Distribution    map[int]int      `json:"distribution"` // messages → recipients who got that many
	Repeated        []string         `json:"repeated"`     // recipients with more than one, sorted, the first thousand
	Refused         map[string]int64 `json:"refused"`      // sends not accepted, by the provider's code
	Callbacks       CallbackCount    `json:"callbacks"`
	Tokens          *TokenCount      `json:"tokens,omitempty"`   // Graph's alone
	Segments        int64            `json:"segments,omitempty"` // of the accepted messages; Twilio's alone
}

// TokenCount tells of one-time tokens since the start.
type TokenCount struct {
	Shown    int `json:"shown"`    // tokens that a send named
	Repeated int `json:"repeated"` // tokens that more than one send named
}

// CallbackCount tells of a provider's receipts.
type CallbackCount struct {
	Queued int   `json:"queued"` // events waiting
	Posted int64 `json:"posted"` // events posted and acknowledged
	Lost   int64 `json:"lost"`   // events given up after the last retry
}

// Counts is Count for every provider.
type Counts map[Provider]Count

// Counts returns what every provider has seen since the start or the last
// Reset.
func (s *Simulator) Counts() Counts {
	all := make(Counts, len(s.desks))
	for p, d := range s.desks {
		c := d.count()
		c.Callbacks = s.callbackCount(p)
		c.Segments = d.segments.Load()
		if p == Graph {
			c.Tokens = s.graph.tokenCount()
		}
		all[p] = c
	}
	return all
}

func (s *Simulator) callbackCount(p Provider) CallbackCount {
	switch p {
	case Graph:
		return s.graph.receipts.count()
	case Twilio:
		return s.twilio.receipts.count()
	}
	return s.mail.receipts.count()
}

func (g *graph) tokenCount() *TokenCount {
	c := &TokenCount{}
	g.tokens.each(func(_ string, t *grant) {
		c.Shown += min(t.shown, 1)
		if t.shown > 1 {
			c.Repeated++
		}
	})
	return c
}

// AcceptedBy returns how many messages each recipient (PSID, number, address)
// had accepted from a provider.
func (s *Simulator) AcceptedBy(p Provider) map[string]int {
	all := make(map[string]int)
	s.desks[p].accepted.each(func(recipient string, n int) { all[recipient] = n })
	return all
}

// Reset sets all counts to zero but those of the receipts. People, tokens and
// messages stay.
func (s *Simulator) Reset() {
	for _, d := range s.desks {
		d.requests.Store(0)
		d.accepted.reset()
		d.segments.Store(0)
		d.refusedMu.Lock()
		clear(d.refused)
		d.refusedMu.Unlock()
	}
}

func (d *desk) count() Count {
	c := Count{Requests: d.requests.Load(), Distribution: map[int]int{}, Repeated: []string{}}
	d.accepted.each(func(recipient string, n int) {
		c.Accepted += int64(n)
		c.Recipients++
		c.Distribution[n]++
		c.MaxPerRecipient = max(c.MaxPerRecipient, n)
		if n > 1 {
			c.Repeated = append(c.Repeated, recipient)
		}
	})
	slices.Sort(c.Repeated)
	c.Repeated = c.Repeated[:min(len(c.Repeated), maxRepeated)]
	d.refusedMu.Lock()
	defer d.refusedMu.Unlock()
	c.Refused = maps.Clone(d.refused)
	return c
}

package webhook

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/token"
)

// pageEvents are the events of one Page of ours.
type pageEvents struct {
	page   uuid.UUID
	events []channel.Event
}

// byPage sorts Messenger events by Page. Pages that are not ours are passed
// over: a removed Page may go on sending for a while. All who change several
// Pages do so in the same order.
func (i *Inbox) byPage(ctx context.Context, events []channel.Event) ([]pageEvents, error) {
	if len(events) == 0 {
		return nil, nil
	}
	byGraph := map[string][]channel.Event{}
	var graphIDs []string
	for _, ev := range events {
		if _, seen := byGraph[ev.Page]; !seen {
			graphIDs = append(graphIDs, ev.Page)
		}
		byGraph[ev.Page] = append(byGraph[ev.Page], ev)
	}
	pages, err := i.PageByGraph(ctx, graphIDs)
	if err != nil {
		return nil, err
	}
	var out []pageEvents
	for _, graphID := range graphIDs {
		page, ours := pages[graphID]
		if !ours {
			i.Log.InfoContext(ctx, "events of a page that is not ours", "events", len(byGraph[graphID]))
			continue
		}
		out = append(out, pageEvents{page, byGraph[graphID]})
	}
	slices.SortFunc(out, func(a, b pageEvents) int { return bytes.Compare(a.page[:], b.page[:]) })
	return out, nil
}

// page applies the events of a Page. One transaction does so at a time: those that
// did so side by side would wait for each other's people, and make them twice.
func (i *Inbox) page(ctx context.Context, tx *db.Tx, page uuid.UUID, events []channel.Event) error {
	if err := tx.Turn("webhook " + page.String()); err != nil {
		return err
	}
	back, err := i.returns(ctx, tx, page, events)
	if err != nil {
		return err
	}
	people, err := i.Contacts.FindOrMake(ctx, tx, page, psids(events, fromPerson))
	if err != nil {
		return err
	}
	if err := i.Contacts.MoveWindow(ctx, tx, page, windows(events)); err != nil {
		return err
	}
	if err := i.grants(ctx, tx, page, people, events); err != nil {
		return err
	}
	if err := i.mark(tx, receipts(channel.Messenger, events)); err != nil {
		return err
	}
	if err := i.Ledger.MarkUpTo(tx, page, watermarks(events)); err != nil {
		return err
	}
	answered, err := i.Ledger.Replied(tx, replies(people, events))
	if err != nil {
		return err
	}
	return tell(ctx, tx, i.Listeners, channel.Heard{Channel: channel.Messenger, Page: page, People: people, Events: events, Reacted: slices.Concat(back, answered)})
}

// tell passes on what was heard.
func tell(ctx context.Context, tx *db.Tx, listeners []Listener, h channel.Heard) error {
	for _, l := range listeners {
		if err := l.Hear(ctx, tx, h); err != nil {
			return err
		}
	}
	return nil
}

// fromPerson reports whether an event is something the person did in a thread
// of ours.
func fromPerson(ev channel.Event) bool {
	return ev.PSID != "" && (ev.Kind.OpensWindow() || ev.Kind == channel.EventOptIn || ev.Kind == channel.EventOptInEnds)
}

// psids are the people of some of the events.
func psids(events []channel.Event, of func(channel.Event) bool) []string {
	var out []string
	seen := map[string]bool{}
	for _, ev := range events {
		if ev.PSID != "" && of(ev) && !seen[ev.PSID] {
			seen[ev.PSID] = true
			out = append(out, ev.PSID)
		}
	}
	return out
}

func windows(events []channel.Event) map[string]time.Time {
	out := map[string]time.Time{}
	for _, ev := range events {
		if fromPerson(ev) && ev.Kind.OpensWindow() && ev.At.After(out[ev.PSID]) {
			out[ev.PSID] = ev.At
		}
	}
	return out
}

// returns binds people who came by a personal link to their contacts. It runs
// first, so that what they did in the same callback counts for those.
func (i *Inbox) returns(ctx context.Context, tx *db.Tx, page uuid.UUID, events []channel.Event) ([]channel.Reaction, error) {
	came, err := i.came(tx, page, events)
	if err != nil {
		return nil, err
	}
	claims := make([]contact.Claim, len(came))
	for n, c := range came {
		claims[n] = c.Claim
	}
	bound, err := i.Contacts.BindAll(ctx, tx, page, claims)
	if err != nil {
		return nil, err
	}
	var seen []delivery.Seen
	for n, b := range bound {
		if b.Outcome == contact.Conflict {
			i.Log.WarnContext(ctx, "a personal link was used by somebody else", "delivery_id", came[n].Delivery, "contact_id", b.ContactID)
			continue
		}
		seen = append(seen, came[n].Seen)
	}
	return i.Ledger.Returned(tx, seen)
}

// comer is somebody who came by a personal link.
type comer struct {
	delivery.Seen
	contact.Claim
}

// came finds those who came by personal links of the Page: not by somebody else's
// ref, a made-up one, or one of another Page.
func (i *Inbox) came(tx *db.Tx, page uuid.UUID, events []channel.Event) ([]comer, error) {
	var all []comer
	var ids []int64
	for _, ev := range events {
		// A link of ours proves its return in standby too, where it opens nothing.
		if ev.Ref == "" || !fromPerson(ev) && (ev.Kind != channel.EventStandby || ev.PSID == "") {
			continue
		}
		if id, genuine := i.Links.Parse(ev.Ref); genuine {
			all, ids = append(all, comer{delivery.Seen{Delivery: id, At: ev.At}, contact.Claim{PSID: ev.PSID}}), append(ids, id)
		}
	}
	slices.Sort(ids)
	homes, err := i.Ledger.HomesIn(tx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	var out []comer
	for _, c := range all {
		if home := homes[c.Delivery]; home.PageID == page {
			c.ContactID = home.ContactID
			out = append(out, c)
		}
	}
	return out, nil
}

// grants stores the one-time tokens of opt-ins, but for those of self-tests.
// Opt-ins to recurring messages carry a token too, even when they end them.
func (i *Inbox) grants(ctx context.Context, tx *db.Tx, page uuid.UUID, people map[string]uuid.UUID, events []channel.Event) error {
	var given []channel.Event
	var payloads []string
	for _, ev := range events {
		if ev.Kind == channel.EventOptIn && ev.OptInType == channel.OptInOneTime && ev.Token != "" && !strings.HasPrefix(ev.Payload, token.TestPayload) {
			given, payloads = append(given, ev), append(payloads, ev.Payload)
		}
	}
	asked, err := i.Tokens.TopicsOf(ctx, tx, payloads)
	if err != nil {
		return err
	}
	out := make([]token.Grant, len(given))
	for n, ev := range given {
		out[n] = token.Grant{ContactID: people[ev.PSID], PageID: page, Topic: asked[ev.Payload].Topic, Value: ev.Token,
			Source: token.FromWebhook, GrantedAt: ev.At, RequestID: asked[ev.Payload].Request}
	}
	_, err = i.Tokens.Grant(ctx, tx, out)
	return err
}

func watermarks(events []channel.Event) []delivery.Watermark {
	var out []delivery.Watermark
	for _, ev := range events {
		if ev.PSID == "" || (ev.Kind != channel.EventDelivered && ev.Kind != channel.EventRead) {
			continue
		}
		read := ev.Kind == channel.EventRead
		for _, mid := range ev.ProviderIDs {
			out = append(out, delivery.Watermark{PSID: ev.PSID, MID: mid, At: ev.At, Read: read})
		}
		if !ev.Watermark.IsZero() {
			out = append(out, delivery.Watermark{PSID: ev.PSID, At: ev.Watermark, Read: read})
		}
	}
	return out
}

// replies are what people said, tapped and felt. Get Started behind a personal
// link is how they came, not what they replied.
func replies(people map[string]uuid.UUID, events []channel.Event) []delivery.Reply {
	var out []delivery.Reply
	for _, ev := range events {
		switch ev.Kind {
		case channel.EventMessage, channel.EventPostback, channel.EventReaction:
			id, known := people[ev.PSID]
			if known && (ev.Kind != channel.EventPostback || ev.Ref == "") {
				out = append(out, delivery.Reply{Contact: id, At: ev.At})
			}
		}
	}
	return out
}

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
	return i.tell(ctx, tx, channel.Heard{Page: page, People: people, Events: events, Reacted: slices.Concat(back, answered)})
}

// tell passes on what was heard.
func (i *Inbox) tell(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	for _, l := range i.Listeners {
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
	var seen []delivery.Seen
	for _, ev := range events {
		// A link of ours proves its return in standby too, where it opens nothing.
		if ev.Ref == "" || !fromPerson(ev) && (ev.Kind != channel.EventStandby || ev.PSID == "") {
			continue
		}
		id, err := i.bind(ctx, tx, page, ev)
		if err != nil {
			return nil, err
		}
		if id != 0 {
			seen = append(seen, delivery.Seen{Delivery: id, At: ev.At})
		}
	}
	return i.Ledger.Returned(tx, seen)
}

// bind returns the delivery whose link brought its contact back. It is 0 for
// somebody else's ref, a made-up one, one of another Page, and one that somebody
// else has used.
func (i *Inbox) bind(ctx context.Context, tx *db.Tx, page uuid.UUID, ev channel.Event) (int64, error) {
	id, genuine := i.Links.Parse(ev.Ref)
	if !genuine {
		return 0, nil
	}
	home, err := i.Ledger.HomeIn(tx, id)
	if err != nil || home.PageID != page {
		return 0, err
	}
	bound, err := i.Contacts.Bind(ctx, tx, home.ContactID, page, ev.PSID)
	if err != nil {
		return 0, err
	}
	if bound.Outcome == contact.Conflict {
		i.Log.WarnContext(ctx, "a personal link was used by somebody else", "delivery_id", id, "contact_id", bound.ContactID)
		return 0, nil
	}
	return id, nil
}

// grants stores the one-time tokens of opt-ins, but for those of self-tests.
// Opt-ins to recurring messages carry a token too, even when they end them.
func (i *Inbox) grants(ctx context.Context, tx *db.Tx, page uuid.UUID, people map[string]uuid.UUID, events []channel.Event) error {
	var out []token.Grant
	for _, ev := range events {
		if ev.Kind != channel.EventOptIn || ev.OptInType != channel.OptInOneTime || ev.Token == "" || strings.HasPrefix(ev.Payload, token.TestPayload) {
			continue
		}
		topic, request, err := i.Tokens.TopicOf(ctx, tx, ev.Payload)
		if err != nil {
			return err
		}
		out = append(out, token.Grant{ContactID: people[ev.PSID], PageID: page, Topic: topic, Value: ev.Token,
			Source: token.FromWebhook, GrantedAt: ev.At, RequestID: request})
	}
	if len(out) == 0 {
		return nil
	}
	_, err := i.Tokens.Grant(ctx, tx, out)
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

package webhook

import (
	"context"
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
// over: a removed Page may go on sending for a while.
func (i *Inbox) byPage(ctx context.Context, events []channel.Event) ([]pageEvents, error) {
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
	return out, nil
}

func (i *Inbox) page(ctx context.Context, tx *db.Tx, page uuid.UUID, events []channel.Event) error {
	if err := i.returns(ctx, tx, page, events); err != nil {
		return err
	}
	people, err := i.Contacts.FindOrMake(ctx, tx, page, persons(events))
	if err != nil {
		return err
	}
	if err := i.Contacts.MoveWindow(ctx, tx, page, windows(events)); err != nil {
		return err
	}
	if err := i.grants(ctx, tx, page, people, events); err != nil {
		return err
	}
	if err := i.Ledger.Mark(tx, receipts(channel.Messenger, events)); err != nil {
		return err
	}
	if err := i.Ledger.MarkUpTo(tx, page, watermarks(events)); err != nil {
		return err
	}
	return i.Ledger.Replied(tx, replies(people, events))
}

// fromPerson reports whether an event is something the person did.
func fromPerson(ev channel.Event) bool {
	return ev.PSID != "" && (ev.Kind.OpensWindow() || ev.Kind == channel.EventOptIn)
}

func persons(events []channel.Event) []string {
	var out []string
	seen := map[string]bool{}
	for _, ev := range events {
		if fromPerson(ev) && !seen[ev.PSID] {
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
func (i *Inbox) returns(ctx context.Context, tx *db.Tx, page uuid.UUID, events []channel.Event) error {
	var seen []delivery.Seen
	for _, ev := range events {
		if ev.Ref == "" || !fromPerson(ev) {
			continue
		}
		id, ok := i.Links.Parse(ev.Ref)
		if !ok {
			continue // somebody else's ref, or a made-up one
		}
		home, err := i.Ledger.HomeIn(tx, id)
		if err != nil || home.PageID != page {
			if err != nil {
				return err
			}
			continue
		}
		bound, err := i.Contacts.Bind(ctx, tx, home.ContactID, page, ev.PSID, ev.At)
		if err != nil {
			return err
		}
		if bound.Outcome == contact.Conflict {
			i.Log.WarnContext(ctx, "a personal link was used by somebody else", "delivery_id", id, "contact_id", bound.ContactID)
			continue
		}
		seen = append(seen, delivery.Seen{Delivery: id, At: ev.At})
	}
	return i.Ledger.Returned(tx, seen)
}

// grants stores the tokens of opt-ins.
func (i *Inbox) grants(ctx context.Context, tx *db.Tx, page uuid.UUID, people map[string]uuid.UUID, events []channel.Event) error {
	var out []token.Grant
	for _, ev := range events {
		if ev.Kind != channel.EventOptIn || ev.Token == "" {
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
			out = append(out, delivery.Watermark{PSID: ev.PSID, MID: mid, At: whenOf(ev), Read: read})
		}
		if !ev.Watermark.IsZero() {
			out = append(out, delivery.Watermark{PSID: ev.PSID, At: ev.Watermark, Read: read})
		}
	}
	return out
}

func whenOf(ev channel.Event) time.Time {
	if ev.At.IsZero() {
		return ev.Watermark
	}
	return ev.At
}

func replies(people map[string]uuid.UUID, events []channel.Event) []delivery.Reply {
	var out []delivery.Reply
	for _, ev := range events {
		switch ev.Kind {
		case channel.EventMessage, channel.EventPostback, channel.EventReaction:
			if id, ok := people[ev.PSID]; ok {
				out = append(out, delivery.Reply{Contact: id, At: ev.At})
			}
		}
	}
	return out
}

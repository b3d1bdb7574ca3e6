// Package optout heeds what people say about being written to by SMS and e-mail:
// who refuses is silenced at once on that channel, who takes it back is not any
// more, and what else they text is told of.
package optout

import (
	"context"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

// Parts are what a Service works with.
type Parts struct {
	DB       *db.DB
	Queue    *queue.Queue
	Contacts *contact.Store
	Box      *seal.Box
	// KeepTexts keeps what people text, sealed, until they are erased.
	KeepTexts bool
	Now       func() time.Time
}

// Service hears what comes by SMS and e-mail. It is safe for use by many goroutines.
type Service struct{ Parts }

// New registers the service's job on the queue: it forgets texts of numbers that
// nobody holds.
func New(p Parts) *Service {
	s := &Service{p}
	queue.Keep(p.Queue, time.Hour, PurgeJob{}, s.purge)
	return s
}

// Hear acts on the events of one channel. What is told again, or late, changes
// nothing: of refusing and taking it back the later one holds, by the provider's
// time or else by that of arrival. It implements webhook.Listener.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	events, err := named(tx, h)
	if err != nil {
		return err
	}
	h.Events = events
	said := said(h)
	if len(said) == 0 {
		return nil
	}
	if err := tx.Turn(turn); err != nil { // what changed is told once
		return err
	}
	before, err := s.Contacts.Parties(tx, h.Channel, addresses(said))
	if err != nil {
		return err
	}
	if h.Channel == channel.SMS {
		if said, err = s.keep(tx, said, before); err != nil {
			return err
		}
	}
	if err := s.heed(ctx, tx, h.Channel, said, before); err != nil {
		return err
	}
	return tellOfTexts(tx, said, s.Now())
}

// said is what people said of themselves: each text, and each refusal.
func said(h channel.Heard) []text {
	var out []text
	for _, ev := range h.Events {
		switch {
		case ev.Address == "":
		case ev.Kind == channel.EventStop, ev.Kind == channel.EventStart:
			out = append(out, text{Event: ev})
		case h.Channel == channel.SMS && ev.MID != "" && (ev.Kind == channel.EventMessage || ev.Kind == channel.EventHelp):
			out = append(out, text{Event: ev})
		}
	}
	return out
}

func addresses(said []text) []string {
	var out []string
	seen := map[string]bool{}
	for _, x := range said {
		if !seen[x.Address] {
			seen[x.Address] = true
			out = append(out, x.Address)
		}
	}
	return out
}

// heed silences who refused, and lets those be written to again who take it back.
// The order does not matter: the store compares when each was said.
func (s *Service) heed(ctx context.Context, tx *db.Tx, kind channel.Kind, said []text, before map[string]contact.Party) error {
	var stops, starts []contact.Silence
	var concerned []text
	for _, x := range said {
		one := contact.Silence{Channel: kind, Address: x.Address, Reason: x.Reason, Source: source, At: x.At}
		switch x.Kind {
		case channel.EventStop:
			stops, concerned = append(stops, one), append(concerned, x)
		case channel.EventStart:
			starts, concerned = append(starts, one), append(concerned, x)
		}
	}
	if len(concerned) == 0 {
		return nil
	}
	if err := s.Contacts.Suppress(ctx, tx, stops); err != nil {
		return err
	}
	if err := s.Contacts.Unsilence(ctx, tx, starts); err != nil {
		return err
	}
	after, err := s.Contacts.Parties(tx, kind, addresses(concerned))
	if err != nil {
		return err
	}
	return event.Add(tx, changes(kind, concerned, after, before, s.Now())...)
}

const turn = "opt-outs"

// source is what stands with suppressions and consents: it came from a provider.
const source = "provider"

// changes tells of whom it changed something, once for each reason.
func changes(kind channel.Kind, said []text, after, before map[string]contact.Party, now time.Time) []event.Event {
	type subject struct {
		contact uuid.UUID
		reason  string
	}
	told := map[subject]bool{}
	var out []event.Event
	for _, x := range said {
		is, was := after[x.Address], before[x.Address].Suppressed[x.Reason]
		about := subject{is.ContactID, x.Reason}
		if is.ContactID == uuid.Nil || is.Suppressed[x.Reason] == was || told[about] {
			continue
		}
		told[about] = true
		e := optedOut(kind, is.ContactID, x.Reason, now)
		if was {
			e.Type = event.ContactOptedIn
		}
		out = append(out, e)
	}
	return out
}

// Refuse takes a refusal that came straight to us: somebody used the link in an
// e-mail. The contact's address of the channel is silenced from now on.
func (s *Service) Refuse(ctx context.Context, kind channel.Kind, contactID uuid.UUID, reason string) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Turn(turn); err != nil {
			return err
		}
		was, err := s.Contacts.Refused(tx, kind, contactID, reason)
		if err != nil {
			return err
		}
		if err := s.Contacts.Suppress(ctx, tx, []contact.Silence{{Channel: kind, ContactID: contactID, Reason: reason, Source: "link"}}); err != nil {
			return err
		}
		is, err := s.Contacts.Refused(tx, kind, contactID, reason)
		if err != nil || is == was {
			return err
		}
		return event.Add(tx, optedOut(kind, contactID, reason, s.Now()))
	})
}

func optedOut(kind channel.Kind, contactID uuid.UUID, reason string, at time.Time) event.Event {
	return event.Event{Type: event.ContactOptedOut, At: at, Contact: contactID, Data: map[string]any{"channel": string(kind), "reason": reason}}
}

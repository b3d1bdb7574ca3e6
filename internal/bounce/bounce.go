// Package bounce acts on what providers tell about addresses: those that do not
// work are suppressed, those that did not work this time are counted, and so are
// complaints. It does not matter whether the message is still in the ledger.
package bounce

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
)

// Parts are what a Service works with.
type Parts struct {
	DB       *db.DB
	Queue    *queue.Queue
	Contacts *contact.Store
	Ledger   *delivery.Store
	Log      *slog.Logger
	Now      func() time.Time
}

// Service hears what comes back by SMS and by e-mail. It implements
// webhook.Listener.
type Service struct{ Parts }

// upkeepJob forgets misses of long ago.
type upkeepJob struct{}

// Kind names the job.
func (upkeepJob) Kind() string { return "bounce.upkeep" }

// New registers its jobs with the queue: one weighs complaints, one forgets what
// counts no more.
func New(p Parts) *Service {
	s := &Service{p}
	queue.Keep(p.Queue, weighEvery, weighJob{}, s.Weigh)
	queue.Keep(p.Queue, 24*time.Hour, upkeepJob{}, p.Contacts.ForgetMisses)
	return s
}

// source is who says something about an address.
const source = "provider"

// Hear suppresses addresses that do not work, counts those that did not work this
// time, begins their count anew where a message arrived, and writes complaints
// down. Hearing the same again, in any order, changes nothing.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	f, err := s.sort(tx, h)
	if err != nil {
		return err
	}
	if err := s.Contacts.Miss(ctx, tx, f.missed); err != nil {
		return err
	}
	if err := s.Contacts.Reach(ctx, tx, f.reached); err != nil {
		return err
	}
	if err := s.Contacts.Suppress(ctx, tx, f.silence); err != nil {
		return err
	}
	return s.note(tx, f.complaints)
}

// findings is what events say about addresses.
type findings struct {
	missed     []contact.Missed
	reached    []contact.Reached
	silence    []contact.Silence
	complaints []channel.Event
}

func (s *Service) sort(tx *db.Tx, h channel.Heard) (f findings, err error) {
	events := relevant(h.Events)
	whose, err := s.nameless(tx, events)
	if err != nil {
		return f, err
	}
	outdone, err := s.outdone(tx, h.Channel, events)
	if err != nil {
		return f, err
	}
	for i, ev := range events {
		who := whose[ev.Delivery].ContactID
		if ev.Address != "" {
			who = uuid.Nil // may have another address by now
		}
		switch {
		case ev.Kind == channel.EventStop:
			f.complaints = append(f.complaints, ev)
		case ev.Address == "" && who == uuid.Nil:
		case ev.Kind == channel.EventDelivered:
			f.reached = append(f.reached, contact.Reached{Channel: h.Channel, Address: ev.Address, ContactID: who, At: ev.At})
		case ev.Outcome == channel.Gone:
			f.silence = append(f.silence, contact.Silence{Channel: h.Channel, Address: ev.Address, ContactID: who, Reason: reason(h.Channel), Source: source, At: ev.At})
		case !outdone[i]:
			f.missed = append(f.missed, contact.Missed{Channel: h.Channel, Address: ev.Address, ContactID: who, Delivery: ev.Delivery, Message: day(ev.At), Source: source, At: ev.At})
		}
	}
	return f, nil
}

// relevant are the events that say something about an address, and complaints
// about deliveries of ours.
func relevant(events []channel.Event) (out []channel.Event) {
	for _, ev := range events {
		failed := ev.Kind == channel.EventFailed && (ev.Outcome == channel.Gone || ev.Soft)
		complaint := ev.Kind == channel.EventStop && ev.Reason == channel.ByComplaint && ev.Delivery != 0
		if failed || complaint || ev.Kind == channel.EventDelivered {
			out = append(out, ev)
		}
	}
	return out
}

// nameless finds whose the deliveries are about which no address is told.
func (s *Service) nameless(tx *db.Tx, events []channel.Event) (map[int64]delivery.Home, error) {
	var ids []int64
	for _, ev := range events {
		if ev.Address == "" && ev.Delivery != 0 {
			ids = append(ids, ev.Delivery)
		}
	}
	return s.Ledger.HomesIn(tx, ids)
}

// outdone tells, by place, which misses come too late to count: another message
// to the person arrived since.
func (s *Service) outdone(tx *db.Tx, kind channel.Kind, events []channel.Event) (map[int]bool, error) {
	var places, deliveries []int64
	var at []time.Time
	for i, ev := range events {
		if ev.Kind == channel.EventFailed && ev.Soft && ev.Delivery != 0 {
			places, deliveries, at = append(places, int64(i)), append(deliveries, ev.Delivery), append(at, ev.At)
		}
	}
	out := map[int]bool{}
	if len(places) == 0 {
		return out, nil
	}
	var found []int
	err := tx.Raw(`SELECT DISTINCT v.place FROM ? JOIN deliveries d ON d.id = v.delivery
		JOIN deliveries o ON o.contact_id = d.contact_id AND o.lane = ? AND o.delivered_at >= v.at`,
		tx.Values("v", db.Int64s("place", places), db.Int64s("delivery", deliveries), db.Times("at", at)), kind).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("look for messages that arrived: %w", err)
	}
	for _, i := range found {
		out[i] = true
	}
	return out, nil
}

// day tells misses of messages that are not ours apart: a shop's own mail on the
// same account may miss an address several times a day, which is one more sign
// that it does not work and not many.
func day(at time.Time) string { return "day " + at.UTC().Format(time.DateOnly) }

func reason(kind channel.Kind) string {
	if kind == channel.SMS {
		return contact.ReasonUndeliverable
	}
	return contact.ReasonBounce
}

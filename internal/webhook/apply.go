package webhook

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// ApplyJob acts on callbacks that were stored together.
type ApplyJob struct {
	Callbacks []uuid.UUID `json:"callbacks,omitempty"`
	Callback  uuid.UUID   `json:"callback,omitzero"` // alone, in jobs of earlier versions
}

// Kind names the job.
func (ApplyJob) Kind() string { return "webhook.apply" }

// applyParallel is how many jobs a node runs at once. One of them does the work of
// those that come while it is at it, so they take few of the database's connections.
const applyParallel = 16

// call is a stored callback that is being applied.
type call struct {
	callback
	events  []channel.Event
	problem error // what of it cannot be read
	unready error // why it cannot be read yet
	failed  error // why it could not be applied as a whole, once that was tried
	lost    int   // events that can never be applied
}

// apply acts on callbacks: on all together, and on those of other jobs that run at
// the same time, or, when that fails, on one by one, so that a bad one costs only
// itself. Everything it does changes nothing when done twice, so that a run cut off
// in the middle is simply run again.
func (i *Inbox) apply(ctx context.Context, job queue.Job[ApplyJob]) error {
	calls, err := i.share(ctx, job.Args.ids())
	if err != nil {
		return err
	}
	var again error
	for _, c := range calls {
		if err := i.alone(ctx, c); err != nil && (again == nil || queue.IsLater(again)) {
			again = fmt.Errorf("apply callback %s: %w", c.ID, err)
		}
	}
	return again
}

func (a ApplyJob) ids() []uuid.UUID {
	if a.Callback != uuid.Nil {
		return append(slices.Clone(a.Callbacks), a.Callback)
	}
	return a.Callbacks
}

// open reads those of the callbacks that were not applied yet.
func (i *Inbox) open(ctx context.Context, ids []uuid.UUID) ([]*call, error) {
	low, high := bounds(ids)
	var rows []callback
	err := i.DB.Read(ctx).Raw(`SELECT c.id, c.channel, c.url, c.body, c.received_at FROM ? JOIN callbacks c ON c.id = v.id
		WHERE c.id BETWEEN ? AND ? AND c.applied_at IS NULL ORDER BY c.id`, i.DB.Values("v", db.UUIDs("id", ids)), low, high).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read callbacks: %w", err)
	}
	calls := make([]*call, len(rows))
	for n, row := range rows {
		calls[n] = i.understand(ctx, row)
	}
	return calls, nil
}

// bounds are the lowest and the highest of ids: they tell PostgreSQL in which
// leaves to look.
func bounds(ids []uuid.UUID) (low, high uuid.UUID) {
	for n, id := range ids {
		if n == 0 || bytes.Compare(id[:], low[:]) < 0 {
			low = id
		}
		if bytes.Compare(id[:], high[:]) > 0 {
			high = id
		}
	}
	return low, high
}

func (i *Inbox) understand(ctx context.Context, row callback) *call {
	c := &call{callback: row}
	receiver, ok := i.Receivers[row.Channel]
	if !ok {
		c.unready = absent(row.Channel)
		return c
	}
	if c.events, c.problem = receiver.Events(channel.Callback{URL: row.URL, Body: row.Body}); c.problem != nil {
		i.Log.WarnContext(ctx, "a part of a callback cannot be read", "callback_id", row.ID, "channel", row.Channel, "error", c.problem)
	}
	i.identify(c.events)
	date(c.events, row.ReceivedAt)
	return c
}

// identify finds the deliveries that marks stand for. Those of other
// installations on the same Page or account, and forged ones, stand for none.
func (i *Inbox) identify(events []channel.Event) {
	for n := range events {
		if ev := &events[n]; ev.Mark != "" {
			ev.Delivery, _ = i.Marks.Parse(ev.Mark)
		}
	}
}

// firstYear is before anything that a callback can be about.
const firstYear = 2000

// date sets times that cannot be to that of the callback's arrival: a time in
// the future would hold a window open, and an opt-in without one would be lost.
func date(events []channel.Event, arrived time.Time) {
	for i := range events {
		ev := &events[i]
		if ev.At.Year() < firstYear || ev.At.After(arrived) {
			ev.At = arrived
		}
		if ev.Watermark.After(arrived) {
			ev.Watermark = arrived
		}
	}
}

// together applies what calls tell in one transaction, and closes them with it.
// Those about which the engine must hear are closed once it has.
func (i *Inbox) together(ctx context.Context, calls []*call) error {
	var told, late []*call
	for _, c := range calls {
		switch {
		case c.unready != nil:
			return c.unready
		case len(failures(c.Channel, c.events)) > 0:
			late = append(late, c)
		default:
			told = append(told, c)
		}
	}
	if err := i.effect(ctx, calls, told); err != nil || len(late) == 0 {
		return err
	}
	for kind, events := range byKind(late) {
		if err := i.Late(ctx, kind, failures(kind, events)); err != nil {
			return err
		}
	}
	return i.effect(ctx, nil, late)
}

// alone applies a callback or, when that fails, its events one by one: a bad one
// costs only itself. An error says that some are to be applied again; the others
// have been.
func (i *Inbox) alone(ctx context.Context, c *call) error {
	err := c.failed
	if err == nil {
		err = i.together(ctx, []*call{c})
	}
	if err == nil || queue.IsLater(err) || c.unready != nil {
		return err
	}
	var again error
	for _, ev := range c.events {
		switch err := i.one(ctx, c.Channel, ev); {
		case err == nil:
		case hopeless(err):
			c.lost++
			i.Log.ErrorContext(ctx, "an event cannot be applied", "channel", c.Channel, "event", ev.Kind, "error", err)
		case again == nil:
			again = err
		}
	}
	if again != nil {
		return again
	}
	return i.effect(ctx, nil, []*call{c})
}

// hopeless reports whether another run would end the same: what the event says
// is wrong.
func hopeless(err error) bool { return fault.Is(err, fault.Invalid) || fault.Is(err, fault.Malformed) }

func (i *Inbox) one(ctx context.Context, kind channel.Kind, ev channel.Event) error {
	single := &call{callback: callback{Channel: kind}, events: []channel.Event{ev}}
	if err := i.effect(ctx, []*call{single}, nil); err != nil {
		return err
	}
	if failed := failures(kind, single.events); len(failed) > 0 {
		return i.Late(ctx, kind, failed)
	}
	return nil
}

func byKind(calls []*call) map[channel.Kind][]channel.Event {
	out := map[channel.Kind][]channel.Event{}
	for _, c := range calls {
		out[c.Channel] = append(out[c.Channel], c.events...)
	}
	return out
}

// effect applies what calls tell and closes others, or the same, in one
// transaction, with a number of statements that does not depend on how many
// there are.
func (i *Inbox) effect(ctx context.Context, calls, closing []*call) error {
	events := byKind(calls)
	pages, err := i.byPage(ctx, events[channel.Messenger])
	if err != nil {
		return err
	}
	delete(events, channel.Messenger)
	err = i.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, p := range pages {
			if err := i.page(ctx, tx, p.page, p.events); err != nil {
				return err
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(events)) {
			if err := i.mark(tx, receipts(kind, events[kind])); err != nil {
				return err
			}
			if err := tell(ctx, tx, i.LinkBack, channel.Heard{Channel: kind, Events: events[kind]}); err != nil {
				return err
			}
		}
		return i.closeAll(tx, closing)
	})
	if err != nil {
		return err
	}
	i.settled(ctx, closing)
	return nil
}

// settled logs how many events of what was applied nobody here understands.
func (i *Inbox) settled(ctx context.Context, calls []*call) {
	var unknown int64
	for _, c := range calls {
		unknown += c.unknown()
	}
	if unknown > 0 {
		i.Log.InfoContext(ctx, "events that are not understood are kept and counted", "events", unknown, "callbacks", len(calls))
	}
}

// mark notes receipts. Those of a message that a person had sent again, when
// nobody knew of them, may yet save it from going out twice.
func (i *Inbox) mark(tx *db.Tx, receipts []delivery.Receipt) error {
	if err := i.Ledger.CallOff(tx, receipts); err != nil {
		return err
	}
	return i.Ledger.Mark(tx, receipts)
}

// receipts are the events that name a delivery of ours.
func receipts(kind channel.Kind, events []channel.Event) []delivery.Receipt {
	var out []delivery.Receipt
	for _, ev := range events {
		switch ev.Kind {
		case channel.EventEcho, channel.EventAccepted, channel.EventDelivered, channel.EventRead:
			if ev.Delivery != 0 {
				out = append(out, delivery.Receipt{Delivery: ev.Delivery, Channel: kind, Kind: ev.Kind, ProviderID: first(ev.ProviderIDs), At: ev.At})
			}
		}
	}
	return out
}

// failures are the events about which the engine must hear.
func failures(kind channel.Kind, events []channel.Event) []channel.Event {
	if kind == channel.Messenger {
		return nil
	}
	var out []channel.Event
	for _, ev := range events {
		if ev.Kind == channel.EventFailed && ev.Delivery != 0 {
			out = append(out, ev)
		}
	}
	return out
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

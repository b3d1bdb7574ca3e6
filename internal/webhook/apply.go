package webhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// ApplyJob acts on a stored callback.
type ApplyJob struct {
	Callback uuid.UUID `json:"callback"`
}

// Kind names the job.
func (ApplyJob) Kind() string { return "webhook.apply" }

// applyParallel is how many callbacks a node acts on at once.
const applyParallel = 16

// apply acts on a callback. Everything it does changes nothing when done twice,
// so that a run cut off in the middle is simply run again.
func (i *Inbox) apply(ctx context.Context, job queue.Job[ApplyJob]) error {
	row, err := i.read(ctx, job.Args.Callback)
	if err != nil {
		return err
	}
	receiver, ok := i.Receivers[row.Channel]
	if !ok {
		return absent(row.Channel)
	}
	events, problem := receiver.Events(channel.Callback{URL: row.URL, Body: row.Body})
	if problem != nil {
		i.Log.WarnContext(ctx, "a part of a callback cannot be read", "callback_id", row.ID, "channel", row.Channel, "error", problem)
	}
	i.identify(events)
	date(events, row.ReceivedAt)
	lost, err := i.act(ctx, row.Channel, events)
	if err != nil {
		return fmt.Errorf("apply callback %s: %w", row.ID, err)
	}
	return i.done(ctx, row.ID, len(events), describe(problem, lost))
}

func (i *Inbox) read(ctx context.Context, id uuid.UUID) (callback, error) {
	var row callback
	if err := i.DB.Read(ctx).Table("callbacks").Where("id = ?", id).Take(&row).Error; err != nil {
		return row, fmt.Errorf("read callback %s: %w", id, err)
	}
	return row, nil
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

// act applies events together or, when that fails, one by one: a bad one costs
// only itself. It returns how many can never be applied. An error says that
// some are to be applied again; the others have been.
func (i *Inbox) act(ctx context.Context, kind channel.Kind, events []channel.Event) (lost int, again error) {
	err := i.together(ctx, kind, events)
	if err == nil || queue.IsLater(err) {
		return 0, err
	}
	for _, ev := range events {
		switch err := i.together(ctx, kind, []channel.Event{ev}); {
		case err == nil:
		case hopeless(err):
			lost++
			i.Log.ErrorContext(ctx, "an event cannot be applied", "channel", kind, "event", ev.Kind, "error", err)
		case again == nil:
			again = err
		}
	}
	return lost, again
}

// hopeless reports whether another run would end the same: what the event says
// is wrong.
func hopeless(err error) bool { return fault.Is(err, fault.Invalid) || fault.Is(err, fault.Malformed) }

func (i *Inbox) together(ctx context.Context, kind channel.Kind, events []channel.Event) error {
	if kind == channel.Messenger {
		return i.messenger(ctx, events)
	}
	err := i.DB.Transact(ctx, func(tx *db.Tx) error { return i.mark(tx, receipts(kind, events)) })
	if err != nil {
		return err
	}
	if failed := failures(events); len(failed) > 0 {
		return i.Late(ctx, kind, failed)
	}
	return nil
}

// mark notes receipts. Those of a message that a person had sent again, when
// nobody knew of them, may yet save it from going out twice.
func (i *Inbox) mark(tx *db.Tx, receipts []delivery.Receipt) error {
	if err := i.Ledger.CallOff(tx, receipts); err != nil {
		return err
	}
	return i.Ledger.Mark(tx, receipts)
}

func (i *Inbox) done(ctx context.Context, id uuid.UUID, events int, problem string) error {
	err := i.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE callbacks SET applied_at = ?, events = ?, problem = ? WHERE id = ?", i.Now(), events, problem, id).Error
	})
	if err != nil {
		return fmt.Errorf("close callback %s: %w", id, err)
	}
	return nil
}

// maxProblem bounds what is kept about a callback that cannot be read.
const maxProblem = 1000

func describe(problem error, lost int) string {
	var lines []string
	if lost > 0 {
		lines = append(lines, fmt.Sprintf("Events that cannot be applied: %d.", lost))
	}
	if problem != nil {
		lines = append(lines, problem.Error())
	}
	text := strings.Join(lines, "\n")
	return strings.ToValidUTF8(text[:min(len(text), maxProblem)], "")
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

func failures(events []channel.Event) []channel.Event {
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

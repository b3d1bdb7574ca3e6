// Package webhook takes providers' callbacks: it stores each one before it is
// answered, and a job acts on it.
package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/fault"
	"beckon/internal/link"
	"beckon/internal/queue"
	"beckon/internal/token"
)

// Parts are what callbacks act on.
type Parts struct {
	DB        *db.DB
	Queue     *queue.Queue
	Receivers map[channel.Kind]channel.Receiver
	Contacts  *contact.Store
	Tokens    *token.Store
	Ledger    *delivery.Store
	Links     link.Coder
	// PageByGraph finds our Pages by their Graph ids; those we do not know are
	// left out.
	PageByGraph func(ctx context.Context, graphIDs []string) (map[string]uuid.UUID, error)
	// Late acts on messages that were taken and then failed. queue.Later from
	// it means that the callback is to be applied again.
	Late func(ctx context.Context, kind channel.Kind, failed []channel.Event) error
	Log  *slog.Logger
	Now  func() time.Time
}

// Inbox stores callbacks and applies them.
type Inbox struct{ Parts }

// callback is a stored callback.
type callback struct {
	ID         uuid.UUID
	Channel    channel.Kind
	Hash       []byte
	URL        string `gorm:"column:url"`
	Headers    string
	Body       []byte
	ReceivedAt time.Time
	AppliedAt  *time.Time
	Events     int
	Problem    string
}

// ApplyJob acts on a stored callback.
type ApplyJob struct {
	Callback uuid.UUID `json:"callback"`
}

// Kind names the job.
func (ApplyJob) Kind() string { return "webhook.apply" }

// applyParallel is how many callbacks a node acts on at once.
const applyParallel = 4

// New registers the inbox's job on the queue.
func New(p Parts) *Inbox {
	i := &Inbox{p}
	queue.Handle(p.Queue, applyParallel, i.apply)
	return i
}

// Accept checks a callback's signature and stores it with its job. When it
// returns nil the callback is committed; the same one again changes nothing.
func (i *Inbox) Accept(ctx context.Context, kind channel.Kind, cb channel.Callback) error {
	receiver, ok := i.Receivers[kind]
	if !ok {
		return fault.New(fault.NotFound, "channel_absent", "The channel %s is not set up on this server.", kind)
	}
	if err := receiver.Verify(cb); err != nil {
		return fault.New(fault.Forbidden, "bad_signature", "The signature of the callback is missing or wrong.").Because(err)
	}
	headers, err := json.Marshal(cb.Header)
	if err != nil {
		return fmt.Errorf("store a callback: %w", err)
	}
	row := callback{ID: uuid.Must(uuid.NewV7()), Channel: kind, Hash: fingerprint(kind, cb), URL: cb.URL, Headers: string(headers), Body: cb.Body, ReceivedAt: i.Now()}
	if err := i.DB.Transact(ctx, func(tx *db.Tx) error { return i.store(ctx, tx, row) }); err != nil {
		return fmt.Errorf("store a callback: %w", err)
	}
	return nil
}

func (i *Inbox) store(ctx context.Context, tx *db.Tx, row callback) error {
	res := tx.Exec(`INSERT INTO callbacks (id, channel, hash, url, headers, body, received_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		row.ID, row.Channel, row.Hash, row.URL, row.Headers, row.Body, row.ReceivedAt)
	if res.Error != nil || res.RowsAffected == 0 {
		return res.Error
	}
	return i.Queue.Insert(ctx, tx, queue.Order{Args: ApplyJob{row.ID}})
}

func fingerprint(kind channel.Kind, cb channel.Callback) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", kind, cb.URL)
	h.Write(cb.Body)
	return h.Sum(nil)
}

// apply acts on a callback. Everything it does changes nothing when done twice,
// so that a run cut off in the middle is simply run again.
func (i *Inbox) apply(ctx context.Context, job queue.Job[ApplyJob]) error {
	var row callback
	if err := i.DB.Read(ctx).Table("callbacks").Where("id = ?", job.Args.Callback).Take(&row).Error; err != nil {
		return fmt.Errorf("read a callback: %w", err)
	}
	cb := channel.Callback{URL: row.URL, Body: row.Body}
	if err := json.Unmarshal([]byte(row.Headers), &cb.Header); err != nil {
		return fmt.Errorf("read a callback: %w", err)
	}
	events, problem := i.Receivers[row.Channel].Events(cb)
	if problem != nil {
		i.Log.WarnContext(ctx, "a part of a callback cannot be read", "callback_id", row.ID, "channel", row.Channel, "error", problem)
	}
	failed, err := i.act(ctx, row.Channel, events)
	if err != nil {
		return err
	}
	return i.done(ctx, row.ID, len(events), describe(problem, failed))
}

// Purge forgets callbacks that were applied before the given moment, a bounded
// number at a time.
func (i *Inbox) Purge(ctx context.Context, before time.Time) error {
	for {
		var gone int64
		err := i.DB.Transact(ctx, func(tx *db.Tx) error {
			res := tx.Exec("DELETE FROM callbacks WHERE id IN (SELECT id FROM callbacks WHERE applied_at < ? ORDER BY id LIMIT ?)", before, purgeAtOnce)
			gone = res.RowsAffected
			return res.Error
		})
		if err != nil {
			return fmt.Errorf("forget old callbacks: %w", err)
		}
		if gone < purgeAtOnce {
			return nil
		}
	}
}

const purgeAtOnce = 1000

func describe(problem error, failed int) string {
	switch {
	case problem != nil:
		return problem.Error()
	case failed > 0:
		return fmt.Sprintf("%d events could not be applied", failed)
	}
	return ""
}

func (i *Inbox) done(ctx context.Context, id uuid.UUID, events int, problem string) error {
	err := i.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE callbacks SET applied_at = ?, events = ?, problem = ? WHERE id = ?", i.Now(), events, problem, id).Error
	})
	if err != nil {
		return fmt.Errorf("close a callback: %w", err)
	}
	return nil
}

// act applies events together, or, when that fails, one by one: a bad one
// costs only itself. It returns how many could not be applied.
func (i *Inbox) act(ctx context.Context, kind channel.Kind, events []channel.Event) (failed int, err error) {
	err = i.together(ctx, kind, events)
	if err == nil || queue.IsLater(err) || ctx.Err() != nil {
		return 0, err
	}
	if i.DB.Ping(ctx) != nil || len(events) < 2 {
		return 0, err // not an event's fault, or the job's retries are all that can help
	}
	for _, ev := range events {
		if e := i.together(ctx, kind, []channel.Event{ev}); e != nil {
			if queue.IsLater(e) {
				return 0, e
			}
			failed++
			i.Log.ErrorContext(ctx, "an event could not be applied", "channel", kind, "event", ev.Kind, "error", e)
		}
	}
	return failed, nil
}

func (i *Inbox) together(ctx context.Context, kind channel.Kind, events []channel.Event) error {
	if len(events) == 0 {
		return nil
	}
	if kind == channel.Messenger {
		return i.messenger(ctx, events)
	}
	err := i.DB.Transact(ctx, func(tx *db.Tx) error { return i.Ledger.Mark(tx, receipts(kind, events)) })
	if err != nil {
		return err
	}
	return i.Late(ctx, kind, failures(events))
}

func (i *Inbox) messenger(ctx context.Context, events []channel.Event) error {
	pages, err := i.byPage(ctx, events)
	if err != nil {
		return err
	}
	return i.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, p := range pages {
			if err := i.page(ctx, tx, p.page, p.events); err != nil {
				return err
			}
		}
		return nil
	})
}

// receipts are the events that name a delivery by our number.
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

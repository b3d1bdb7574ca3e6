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
	Marks     link.Coder // reads the names of deliveries at providers
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

// New registers the inbox's jobs on the queue: one acts on callbacks, one
// forgets old ones.
func New(p Parts) *Inbox {
	i := &Inbox{p}
	queue.Handle(p.Queue, applyParallel, i.apply)
	queue.Handle(p.Queue, 1, func(ctx context.Context, _ queue.Job[purgeJob]) error { return i.Purge(ctx, p.Now().Add(-keep)) })
	p.Queue.Every(time.Hour, purgeJob{})
	return i
}

// Accept checks a callback's signature and stores it with its job. When it
// returns nil the callback is committed; the same one again changes nothing.
func (i *Inbox) Accept(ctx context.Context, kind channel.Kind, cb channel.Callback) error {
	receiver, ok := i.Receivers[kind]
	if !ok {
		return absent(kind)
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

func absent(kind channel.Kind) error {
	return fault.New(fault.NotFound, "channel_absent", "The channel %s is not set up on this server.", kind)
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

// purgeJob forgets old callbacks.
type purgeJob struct{}

// Kind names the job.
func (purgeJob) Kind() string { return "webhook.purge" }

// keep is how long callbacks are kept after they were applied: as long as one
// may come again.
const keep = 30 * 24 * time.Hour

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

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
	// Listeners hear the events of each Page, in order, after their effects on
	// contacts, tokens and deliveries.
	Listeners []Listener
	// LinkBack hear what comes by SMS and by e-mail, each channel by itself, after
	// its effects on deliveries.
	LinkBack []Listener
	// Late acts on messages that were taken and then failed. queue.Later from
	// it means that the callback is to be applied again.
	Late func(ctx context.Context, kind channel.Kind, failed []channel.Event) error
	// Relay, when set, writes down what is to be passed on to another program, in
	// the transaction that stores it.
	Relay func(ctx context.Context, tx *db.Tx, ids []uuid.UUID, callbacks []channel.Callback) error
	// KeepBodies keeps what callbacks said after they were applied, until they are
	// purged.
	KeepBodies bool
	Log        *slog.Logger
	Now        func() time.Time
}

// Listener acts on events of a Page or of a channel in the transaction that applies them. It may
// be told of the same event again, and out of order; that must change nothing.
type Listener interface {
	Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error
}

// Inbox stores callbacks and applies them.
type Inbox struct {
	Parts
	intake intake
	crew   *crew
}

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
	i := &Inbox{Parts: p, crew: newCrew()}
	queue.Handle(p.Queue, applyParallel, i.apply)
	queue.Keep(p.Queue, time.Hour, purgeJob{}, i.tidy)
	return i
}

// Accept checks a callback's signature and stores it with its job, in one commit
// with others that come at the same time. When it returns nil the callback is
// committed; the same one again changes nothing. On
// PostgreSQL one that was taken on an earlier day is stored again, and applied
// again, which changes nothing either.
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
	now := i.Now()
	row := callback{ID: db.IDAt(now), Channel: kind, Hash: fingerprint(kind, cb), URL: cb.URL, Headers: string(headers), Body: cb.Body, ReceivedAt: now}
	if err := i.keep(ctx, row, cb); err != nil {
		return fmt.Errorf("store a callback: %w", err)
	}
	return nil
}

func absent(kind channel.Kind) error {
	return fault.New(fault.NotFound, "channel_absent", "The channel %s is not set up on this server.", kind)
}

func fingerprint(kind channel.Kind, cb channel.Callback) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", kind, cb.URL)
	h.Write(cb.Body)
	return h.Sum(nil)
}

// Package relay passes webhooks on to another program, unchanged: a bot that
// shares the Page, whose own webhook address ours took the place of.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// Settings say where to relay to.
type Settings struct {
	URL string // empty relays nothing, and lets go of what was to be relayed
	Log *slog.Logger
	Now func() time.Time
}

// Relay keeps webhooks until the other program has taken them: those that it
// does not take are tried again, less and less often, for a day. It is safe for
// use by many goroutines.
type Relay struct {
	Settings
	db    *db.DB
	queue *queue.Queue
	http  *http.Client
	rests atomic.Int64 // until then, in Unix microseconds, this node tries nothing
}

// New registers the relay's jobs on the queue. They stand on lanes of their own,
// so that a slow program holds up nobody else.
func New(d *db.DB, q *queue.Queue, s Settings) *Relay {
	r := &Relay{Settings: s, db: d, queue: q}
	r.http = &http.Client{Transport: wire.Transport(jobsAtOnce * postsAtOnce), Timeout: answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	queue.Handle(q, jobsAtOnce, r.work)
	queue.Keep(q, time.Hour, purgeJob{}, r.purge)
	if s.URL != "" {
		queue.Keep(q, sweepEvery, sweepJob{}, r.sweep)
	}
	return r
}

const (
	jobsAtOnce   = 4
	postsAtOnce  = 16
	answerWithin = 10 * time.Second
)

// Post is a webhook on its way.
type Post struct {
	ID          uuid.UUID
	ContentType string
	Signature   string
	Body        []byte
	ReceivedAt  time.Time
	Tries       int
	Problem     string // what came of the last try
}

// TableName names the table.
func (Post) TableName() string { return "relays" }

const signature = "X-Hub-Signature-256"

// Keep writes callbacks down, by the ids they have in the inbox, with the job that
// relays them. It is called in the transaction that stores them.
func (r *Relay) Keep(ctx context.Context, tx *db.Tx, ids []uuid.UUID, callbacks []channel.Callback) error {
	if len(ids) == 0 || r.URL == "" {
		return nil
	}
	now, n := r.Now(), len(ids)
	types, signatures, bodies, at := make([]string, n), make([]string, n), make([][]byte, n), make([]time.Time, n)
	for i, cb := range callbacks {
		types[i], signatures[i], bodies[i], at[i] = cb.Header["Content-Type"], cb.Header[signature], cb.Body, now
	}
	err := tx.Exec(`INSERT INTO relays (id, content_type, signature, body, received_at)
		SELECT v.id, v.content_type, v.signature, v.body, v.received_at FROM ? WHERE TRUE ON CONFLICT DO NOTHING`,
		tx.Values("v", db.UUIDs("id", ids), db.Texts("content_type", types), db.Texts("signature", signatures), db.Blobs("body", bodies), db.Times("received_at", at))).Error
	if err != nil {
		return fmt.Errorf("write down what is to be relayed: %w", err)
	}
	return r.queue.Insert(ctx, tx, queue.Order{Args: Job{Posts: ids}})
}

// Tally says how relaying goes.
type Tally struct {
	Waiting int64      // not taken yet
	Trying  int64      // of those, how many were refused at least once
	Oldest  *time.Time // when the first of those that wait came
	Failed  int64      // given up in the last thirty days
}

// Tally counts what is to be relayed.
func (r *Relay) Tally(ctx context.Context) (t Tally, err error) {
	err = r.db.Read(ctx).Raw(`SELECT COUNT(CASE WHEN failed_at IS NULL THEN 1 END) AS waiting, COUNT(CASE WHEN failed_at IS NULL AND tries > 0 THEN 1 END) AS trying,
		MIN(CASE WHEN failed_at IS NULL THEN received_at END) AS oldest, COUNT(failed_at) AS failed FROM relays`).Scan(&t).Error
	if err != nil {
		return t, fmt.Errorf("count what is to be relayed: %w", err)
	}
	return t, nil
}

package webhook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// intake lets callbacks that come at the same time share a commit, and the job
// that applies them.
type intake struct {
	mu      sync.Mutex
	waiting []*arrival
	busy    bool      // somebody commits, and sees to those who wait
	free    time.Time // when the pace is even again with the commits so far
}

// arrival is a callback on its way into the database.
type arrival struct {
	row  callback
	cb   channel.Callback
	kept chan error // told once
}

// Bounds of a group.
const (
	mostTogether  = 200
	bytesTogether = 512 << 10
)

// Commits are begun no more often than this, but for a burst: fewer and larger groups
// cost far less, and nobody notices the wait. Who comes after a silence does not
// wait.
const (
	commitEvery = 20 * time.Millisecond
	commitBurst = 20
)

// join adds an arrival, and reports whether the caller is the one to commit.
func (in *intake) join(a *arrival) (lead bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting = append(in.waiting, a)
	lead = !in.busy
	in.busy = true
	return lead
}

// more reports whether somebody waits. If nobody does, the work is over.
func (in *intake) more() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy = len(in.waiting) > 0
	return in.busy
}

// turn says how long to wait before the next commit.
func (in *intake) turn(now time.Time) time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.free.Before(now) {
		in.free = now
	}
	in.free = in.free.Add(commitEvery)
	return in.free.Sub(now) - commitBurst*commitEvery
}

// next takes the group that is committed next.
func (in *intake) next() []*arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, size := 0, 0
	for n < min(len(in.waiting), mostTogether) && (n == 0 || size+len(in.waiting[n].row.Body) <= bytesTogether) {
		size += len(in.waiting[n].row.Body)
		n++
	}
	group := in.waiting[:n:n]
	in.waiting = in.waiting[n:]
	return group
}

// keep stores a callback together with those that come at the same time. When it
// returns nil the callback is committed.
func (i *Inbox) keep(ctx context.Context, row callback, cb channel.Callback) error {
	a := &arrival{row, cb, make(chan error, 1)}
	if i.intake.join(a) {
		go i.commitAll(context.WithoutCancel(ctx))
	}
	select {
	case err := <-a.kept:
		return err
	case <-ctx.Done():
		return ctx.Err() // nobody waits for the answer any more
	}
}

// commitAll commits group after group until nobody waits.
func (i *Inbox) commitAll(ctx context.Context) {
	for i.intake.more() {
		time.Sleep(i.intake.turn(time.Now()))
		i.commitGroup(ctx, i.intake.next())
	}
}

// commitGroup stores a group. When that fails, one of them may be the reason: it
// costs only itself.
func (i *Inbox) commitGroup(ctx context.Context, group []*arrival) {
	err := i.storeAll(ctx, group)
	alone := err != nil && len(group) > 1 && !db.IsAway(err) && !db.IsFull(err)
	for n, a := range group {
		if alone {
			err = i.storeAll(ctx, group[n:n+1])
		}
		a.kept <- err
	}
}

// patience bounds one commit: a provider comes again when it gets no answer.
const patience = 20 * time.Second

func (i *Inbox) storeAll(ctx context.Context, group []*arrival) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := i.DB.Transact(ctx, func(tx *db.Tx) error { return i.store(ctx, tx, group) })
	if !db.NoLeaf(err) {
		return err
	}
	for _, a := range []*arrival{group[0], group[len(group)-1]} { // nobody has made room for today yet
		if err := i.DB.GrowCallbacks(ctx, a.row.ReceivedAt, 0); err != nil {
			return err
		}
	}
	return i.DB.Transact(ctx, func(tx *db.Tx) error { return i.store(ctx, tx, group) })
}

// store writes callbacks and one job for those that were not there yet.
func (i *Inbox) store(ctx context.Context, tx *db.Tx, group []*arrival) error {
	n := len(group)
	ids, hashes, bodies, at := make([]uuid.UUID, n), make([][]byte, n), make([][]byte, n), make([]time.Time, n)
	channels, urls, headers := make([]string, n), make([]string, n), make([]string, n)
	for k, a := range group {
		ids[k], hashes[k], bodies[k], at[k] = a.row.ID, a.row.Hash, a.row.Body, a.row.ReceivedAt
		channels[k], urls[k], headers[k] = string(a.row.Channel), a.row.URL, a.row.Headers
	}
	var fresh []uuid.UUID
	err := tx.Raw(`INSERT INTO callbacks (id, channel, hash, url, headers, body, received_at)
		SELECT v.id, v.channel, v.hash, v.url, v.headers, v.body, v.received_at FROM ? WHERE TRUE ON CONFLICT DO NOTHING RETURNING id`,
		tx.Values("v", db.UUIDs("id", ids), db.Texts("channel", channels), db.Blobs("hash", hashes), db.Texts("url", urls),
			db.JSONs("headers", headers), db.Blobs("body", bodies), db.Times("received_at", at))).Scan(&fresh).Error
	if err != nil || len(fresh) == 0 {
		return err
	}
	if err := i.relay(ctx, tx, group, fresh); err != nil {
		return err
	}
	return i.Queue.Insert(ctx, tx, queue.Order{Args: ApplyJob{Callbacks: fresh}})
}

// relay lets those of a group that are new, and that Messenger sent, be passed on.
func (i *Inbox) relay(ctx context.Context, tx *db.Tx, group []*arrival, fresh []uuid.UUID) error {
	if i.Relay == nil {
		return nil
	}
	var ids []uuid.UUID
	var callbacks []channel.Callback
	for _, a := range group {
		if a.row.Channel == channel.Messenger && slices.Contains(fresh, a.row.ID) {
			ids, callbacks = append(ids, a.row.ID), append(callbacks, a.cb)
		}
	}
	return i.Relay(ctx, tx, ids, callbacks)
}

package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/queue"
)

// sweepJob sees to what is to be tried again.
type sweepJob struct{}

// Kind names the job.
func (sweepJob) Kind() string { return "relay.sweep" }

const (
	sweepEvery  = 5 * time.Second
	sweepAtOnce = 2000
	perJob      = 100
	// lease is for how long what a job was given is given to no other.
	lease = 2 * time.Minute
	// giveUp is when nobody waits for a webhook any more: Meta itself would have
	// ceased to send it long ago.
	giveUp = 24 * time.Hour
)

// sweep hands what is due again to jobs, the longest due first, and gives up what
// is a day old.
func (r *Relay) sweep(ctx context.Context) error {
	if r.resting() {
		return nil
	}
	err := r.db.Transact(ctx, func(tx *db.Tx) error {
		due, err := r.claim(tx)
		if err != nil {
			return err
		}
		old, problem, again := r.sort(due)
		if err := r.abandon(tx, old, problem); err != nil {
			return err
		}
		var orders []queue.Order
		for part := range slices.Chunk(again, perJob) {
			orders = append(orders, queue.Order{Args: Job{Posts: part}})
		}
		return r.queue.Insert(ctx, tx, orders...)
	})
	if err != nil {
		return fmt.Errorf("look for what is to be relayed again: %w", err)
	}
	return nil
}

// sort tells what is given up, and what came of the last of it, from what is tried
// again.
func (r *Relay) sort(due []Post) (old []uuid.UUID, problem string, again []uuid.UUID) {
	for _, p := range due {
		if p.ReceivedAt.After(r.Now().Add(-giveUp)) {
			again = append(again, p.ID)
		} else {
			old, problem = append(old, p.ID), p.Problem
		}
	}
	return old, problem, again
}

// claim takes what is due, so that no other sweep does. The condition stands twice
// for that: what another one has taken meanwhile is not due any more.
func (r *Relay) claim(tx *db.Tx) (due []Post, err error) {
	now := r.Now()
	err = tx.Raw(`UPDATE relays SET due_at = ? WHERE due_at <= ? AND id IN (SELECT id FROM relays WHERE due_at <= ? ORDER BY due_at LIMIT ?)
		RETURNING id, received_at, problem`, now.Add(lease), now, now, sweepAtOnce).Scan(&due).Error
	return due, err
}

// abandon gives webhooks up: what people wrote in them goes, that they were there
// stays, and is told.
func (r *Relay) abandon(tx *db.Tx, ids []uuid.UUID, problem string) error {
	if len(ids) == 0 {
		return nil
	}
	now := r.Now()
	err := tx.Exec("UPDATE relays SET failed_at = ?, due_at = NULL, body = ?, signature = '' WHERE id IN (SELECT v.id FROM ?)",
		now, []byte{}, tx.Values("v", db.UUIDs("id", ids))).Error
	if err != nil {
		return err
	}
	return event.Add(tx, event.Event{Type: event.RelayFailed, At: now, Data: map[string]any{"webhooks": len(ids), "problem": problem}})
}

// purgeJob forgets what was given up long ago.
type purgeJob struct{}

// Kind names the job.
func (purgeJob) Kind() string { return "relay.purge" }

// keep is how long it is remembered that a webhook was given up.
const keep = 30 * 24 * time.Hour

func (r *Relay) purge(ctx context.Context) error {
	where := "failed_at < ?"
	if r.URL == "" {
		where += " OR failed_at IS NULL" // nobody wants those any more
	}
	err := r.db.Transact(ctx, func(tx *db.Tx) error { return tx.Exec("DELETE FROM relays WHERE "+where, r.Now().Add(-keep)).Error })
	if err != nil {
		return fmt.Errorf("forget what was given up: %w", err)
	}
	return nil
}

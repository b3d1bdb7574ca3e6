package webhook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Heed is Accept for callbacks in which people may refuse: when one does, what it
// tells is applied before Heed returns, so that nobody who refused is written to
// after the answer. When that fails, or takes too long, its job does it. Heed
// returns what can be read of the callback.
func (i *Inbox) Heed(ctx context.Context, kind channel.Kind, cb channel.Callback) ([]channel.Event, error) {
	if err := i.Accept(ctx, kind, cb); err != nil {
		return nil, err
	}
	events, _ := i.Receivers[kind].Events(cb) // its job tells of what cannot be read
	if slices.ContainsFunc(events, func(ev channel.Event) bool { return ev.Kind == channel.EventStop }) {
		if err := i.applyNow(context.WithoutCancel(ctx), fingerprint(kind, cb)); err != nil {
			i.Log.WarnContext(ctx, "a refusal is not applied yet, its job will do it", "channel", kind, "error", err)
		}
	}
	return events, nil
}

var errNotApplied = errors.New("the callback could not be applied")

// heedFor is how long the answer to a callback waits for it to be applied:
// providers wait three times as long.
const heedFor = 5 * time.Second

// applyNow applies a stored callback, unless that was done. It is looked for by
// what it says: it may have come before, and have been stored then.
func (i *Inbox) applyNow(ctx context.Context, hash []byte) error {
	ctx, cancel := context.WithTimeout(ctx, heedFor)
	defer cancel()
	var ids []uuid.UUID
	err := i.DB.Read(ctx).Raw("SELECT id FROM callbacks WHERE id >= ? AND hash = ? AND applied_at IS NULL", db.IDFrom(i.Now().Add(-24*time.Hour)), hash).Scan(&ids).Error
	if err != nil || len(ids) == 0 {
		return err
	}
	left, err := i.share(ctx, ids)
	if err == nil && len(left) > 0 {
		return errors.Join(errNotApplied, left[0].failed)
	}
	return err
}

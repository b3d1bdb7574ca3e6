package webhook

import (
	"context"
	"fmt"
	"time"

	"beckon/internal/db"
)

// purgeJob forgets old callbacks and makes room for those to come.
type purgeJob struct{}

// Kind names the job.
func (purgeJob) Kind() string { return "webhook.purge" }

// keep is how long callbacks are kept after they were applied: as long as one
// may come again.
const keep = 30 * 24 * time.Hour

// ahead is for how many days there is room for callbacks before they come.
const ahead = 3

func (i *Inbox) tidy(ctx context.Context) error {
	if err := i.DB.GrowCallbacks(ctx, i.Now(), ahead); err != nil {
		return err
	}
	return i.Purge(ctx, i.Now().Add(-keep))
}

// Purge forgets callbacks that came before the day of the given moment and were
// applied: a day's leaf at once where the database has leaves, and else a
// bounded number at a time.
func (i *Inbox) Purge(ctx context.Context, before time.Time) error {
	before = before.UTC().Truncate(24 * time.Hour)
	if err := i.dropDays(ctx, before); err != nil {
		return err
	}
	for {
		var gone int64
		err := i.DB.Transact(ctx, func(tx *db.Tx) error {
			res := tx.Exec("DELETE FROM callbacks WHERE id IN (SELECT id FROM callbacks WHERE id < ? AND applied_at IS NOT NULL ORDER BY id LIMIT ?)",
				db.IDFrom(before), purgeAtOnce)
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

// dropDays drops the leaves of days on which everything was applied.
func (i *Inbox) dropDays(ctx context.Context, before time.Time) error {
	leaves, err := i.DB.Leaves(ctx, "callbacks")
	if err != nil {
		return err
	}
	for _, l := range leaves {
		if l.High > db.IDFrom(before).String() {
			continue
		}
		var open bool // looked at without a lock: nothing comes in on a day that is over
		err := i.DB.Read(ctx).Raw("SELECT EXISTS (SELECT 1 FROM callbacks WHERE id >= ? AND id < ? AND applied_at IS NULL)", l.Low, l.High).Scan(&open).Error
		if err != nil {
			return fmt.Errorf("look for callbacks that were not applied: %w", err)
		}
		if open {
			continue
		}
		if _, err := i.DB.DropLeaves(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

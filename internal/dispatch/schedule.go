package dispatch

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// handleSchedule registers the jobs that a campaign's times ask for.
func (e *Engine) handleSchedule() {
	queue.Handle(e.Queue, 2, func(ctx context.Context, j queue.Job[campaign.BeginJob]) error {
		return e.Campaigns.Begin(ctx, j.Args.Campaign)
	})
	queue.Handle(e.Queue, 2, func(ctx context.Context, j queue.Job[campaign.EndJob]) error {
		return e.end(ctx, j.Args.Campaign)
	})
}

// end gives up, at a campaign's deadline, what still waits. What is in flight
// settles as ever, and its batches see the deadline themselves.
func (e *Engine) end(ctx context.Context, id uuid.UUID) error {
	if err := e.Campaigns.EndPause(ctx, id); err != nil {
		return err
	}
	c, err := e.Campaigns.Get(ctx, id)
	if errors.Is(err, campaign.ErrNone) {
		return nil
	}
	if err != nil || c.State != campaign.Running || c.EndsAt == nil || e.Now().Before(*c.EndsAt) {
		return err
	}
	for stop, last := e.Now().Add(workFor), uuid.Nil; ; {
		from := last
		err := e.db.Transact(ctx, func(tx *db.Tx) (err error) {
			last, err = e.Ledger.Expire(tx, id, from)
			return err
		})
		if err != nil {
			return err
		}
		if last == uuid.Nil {
			e.Log.InfoContext(ctx, "the campaign's deadline has passed", "campaign_id", id)
			return e.finish(ctx, id)
		}
		if e.Now().After(stop) {
			return queue.Later(0)
		}
	}
}

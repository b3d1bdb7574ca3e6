package dispatch

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/db"
	"beckon/internal/delivery"
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
	queue.Handle(e.Queue, 2, e.escalate)
}

// end gives up what still waits of a campaign that was cancelled, or whose
// deadline has passed. What is in flight settles as ever, and its batches see
// for themselves that it is over.
func (e *Engine) end(ctx context.Context, id uuid.UUID) error {
	if err := e.Campaigns.EndPause(ctx, id); err != nil {
		return err
	}
	c, err := e.Campaigns.Get(ctx, id)
	if errors.Is(err, campaign.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	as := delivery.Expired
	switch {
	case c.State == campaign.Cancelled:
		as = delivery.Cancelled
	case c.State != campaign.Running || c.EndsAt == nil || e.Now().Before(*c.EndsAt):
		return nil
	}
	escalation, err := e.Campaigns.EscalationID(ctx, id)
	if err != nil {
		return err
	}
	if escalation != uuid.Nil {
		if err := e.endAs(ctx, escalation, as); err != nil {
			return err
		}
	}
	return e.endAs(ctx, id, as)
}

func (e *Engine) endAs(ctx context.Context, id uuid.UUID, as delivery.State) error {
	for stop, last := e.Now().Add(workFor), uuid.Nil; ; {
		from := last
		err := e.db.Transact(ctx, func(tx *db.Tx) (err error) {
			last, err = e.Ledger.End(tx, id, from, as)
			return err
		})
		if err != nil {
			return err
		}
		if last == uuid.Nil {
			e.Log.InfoContext(ctx, "what was left of a campaign is given up", "campaign_id", id, "as", as)
			return e.finish(ctx, id)
		}
		if e.Now().After(stop) {
			return queue.Later(0)
		}
	}
}

package campaign

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// Pause stops a running campaign: nothing new of it is handed to a provider,
// on any node, within about a second. What a provider has taken is not called
// back.
func (s *Service) Pause(ctx context.Context, id uuid.UUID) (Campaign, error) {
	return s.move(ctx, id, "paused", Paused, []State{Running}, nil)
}

// Resume lets a paused campaign go on where it stopped. Countries that were closed
// to its texts are tried again.
func (s *Service) Resume(ctx context.Context, id uuid.UUID) (Campaign, error) {
	return s.move(ctx, id, "resumed", Running, []State{Paused}, func(tx *db.Tx) error {
		if err := reopen(tx, id); err != nil {
			return err
		}
		return s.queue.Insert(ctx, tx, queue.Order{Args: PlanJob{id}}) // planning may have been cut short
	})
}

// Cancel ends a campaign for good. What was not sent yet never will be.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID) (Campaign, error) {
	return s.move(ctx, id, "cancelled", Cancelled, []State{Draft, Scheduled, Running, Paused}, func(tx *db.Tx) error {
		return s.queue.Insert(ctx, tx, queue.Order{Args: EndJob{id}})
	})
}

// move changes the state if it is one of those given; moving to where a
// campaign stands already changes nothing.
func (s *Service) move(ctx context.Context, id uuid.UUID, verb string, to State, from []State, also func(*db.Tx) error) (Campaign, error) {
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		now := s.set.Now()
		res := tx.Exec("UPDATE campaigns SET state = ?, updated_at = ? WHERE id = ? AND state IN ? AND escalation_of IS NULL", to, now, id, from)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		if to == Cancelled {
			if err := tx.Exec("UPDATE campaigns SET finished_at = ? WHERE id = ?", now, id).Error; err != nil {
				return err
			}
		}
		if err := tell(tx, event.Type("campaign."+verb), id, now); err != nil {
			return err
		}
		if err := s.follow(tx, id, to, from); err != nil || also == nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		return Campaign{}, fmt.Errorf("move a campaign to %s: %w", to, err)
	}
	c, err := s.Get(ctx, id)
	if err == nil && c.EscalationOf != nil {
		return c, errLed
	}
	if err == nil && c.State != to {
		err = fault.New(fault.Conflict, "wrong_state", "A campaign that is %s cannot be %s.", c.State, verb)
	}
	return c, err
}

// tell writes an event down in the transaction of what it tells.
func tell(tx *db.Tx, kind event.Type, id uuid.UUID, now time.Time) error {
	return event.Add(tx, event.Event{Type: kind, At: now, Campaign: id})
}

package campaign

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// The escalation of a campaign is a campaign of its own, led by the first: it
// says the same on the link-back lanes, to those who stay silent on Messenger.
// So whatever holds for a delivery holds for an escalated one.

var errLed = fault.New(fault.Conflict, "led_by_campaign", "This is the escalation of another campaign: it is paused, resumed and cancelled with that one.")

// linkBack are the lanes of a route that are not Messenger, in its order.
func linkBack(lanes []channel.Lane) []channel.Lane {
	return slices.DeleteFunc(slices.Clone(lanes), func(l channel.Lane) bool { return l.Kind() == channel.Messenger })
}

// addEscalation makes the escalation of a campaign that has just begun, if it
// asks for one. Its people come later, so there is nothing to plan.
func (s *Service) addEscalation(tx *db.Tx, id uuid.UUID) error {
	var c Campaign
	if err := tx.Where("id = ?", id).Take(&c).Error; err != nil || c.EscalateAfterHours == 0 {
		return err
	}
	lanes, err := c.Lanes()
	if err != nil {
		return err
	}
	now := s.set.Now()
	child := Campaign{ID: uuid.Must(uuid.NewV7()), Name: c.Name, PageID: c.PageID, Topic: c.Topic, Audience: "{}", Content: c.Content,
		FallThrough: c.FallThrough, Transactional: c.Transactional, EndsAt: c.EndsAt, AllowedHours: c.AllowedHours, EscalationOf: &c.ID,
		State: Running, StartedAt: &now, CreatedAt: now, UpdatedAt: now}
	if err := store(&child.Route, linkBack(lanes)); err != nil {
		return err
	}
	return tx.Create(&child).Error
}

// follow moves the escalation of a campaign to where that one has moved. It has
// no plan, so it does not finish by itself.
func (s *Service) follow(tx *db.Tx, id uuid.UUID, to State, from []State) error {
	set := map[string]any{"state": to, "updated_at": s.set.Now()}
	if to == Finished || to == Cancelled {
		set["finished_at"], set["planned_at"] = s.set.Now(), s.set.Now()
	}
	return tx.Model(&Campaign{}).Where("escalation_of = ? AND state IN ?", id, from).UpdateColumns(set).Error
}

// EscalationID returns the escalation of a campaign; uuid.Nil when it has none.
func (s *Service) EscalationID(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	var found []uuid.UUID
	if err := s.db.Read(ctx).Raw("SELECT id FROM campaigns WHERE escalation_of = ?", id).Scan(&found).Error; err != nil {
		return uuid.Nil, fmt.Errorf("find a campaign's escalation: %w", err)
	}
	if len(found) == 0 {
		return uuid.Nil, nil
	}
	return found[0], nil
}

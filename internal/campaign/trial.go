package campaign

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// A test of a campaign is a campaign of its own whose audience is one contact: so
// its message goes out with all that holds for any other, and nothing of it is
// counted in the campaign that is tested.

// Trial is whom to test a campaign on.
type Trial struct {
	Contact uuid.UUID
	Lane    channel.Lane // only on this one; "" is the first that is open
}

// Test sends a campaign, as it is now and in whatever state, to one contact and
// returns the campaign that does so. No token is spent on it: the lanes that take
// one become the window. Hours and deadline do not count.
func (s *Service) Test(ctx context.Context, id uuid.UUID, t Trial) (Campaign, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return c, err
	}
	if c.EscalationOf != nil || c.TestOf != nil {
		return c, fault.New(fault.Conflict, "not_a_campaign", "Only a campaign that was drafted can be tested.")
	}
	lanes, err := c.Lanes()
	if err != nil {
		return c, err
	}
	child, err := s.trialOf(c, t, lanes)
	if err != nil {
		return c, err
	}
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		var known bool
		if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM contacts WHERE id = ?)", t.Contact).Scan(&known).Error; err != nil {
			return err
		}
		if !known {
			return fault.InvalidFields(fault.Field{Pointer: "/contact_id", Code: "contact_not_found", Detail: "There is no such contact."})
		}
		if err := tx.Create(&child).Error; err != nil {
			return err
		}
		if err := s.set.Budgets.Set(tx, child.ID, ""); err != nil {
			return err
		}
		return s.queue.Insert(ctx, tx, queue.Order{Args: PlanJob{child.ID}})
	})
	if err != nil {
		return c, fmt.Errorf("test a campaign: %w", err)
	}
	return s.Get(ctx, child.ID)
}

// trialOf makes the running campaign that tests another. Its plan begins just
// before the contact and ends with them.
func (s *Service) trialOf(c Campaign, t Trial, lanes []channel.Lane) (Campaign, error) {
	lanes = withoutTokens(lanes)
	if t.Lane != "" {
		if !slices.Contains(lanes, t.Lane) {
			return c, fault.InvalidFields(fault.Field{Pointer: "/lane", Code: "not_allowed",
				Detail: "The lane is not on the campaign's route, or takes a token: the same message can be tested in the window."})
		}
		lanes = []channel.Lane{t.Lane}
	}
	now, before, child := s.set.Now(), justBefore(t.Contact), c
	child.ID, child.TestOf, child.Audience, child.State = uuid.Must(uuid.NewV7()), &c.ID, "{}", Running
	child.Budget = nil // who tests it wants to see the text
	child.StartsAt, child.StartsLocal, child.EndsAt, child.EscalateAfterHours = nil, false, nil, 0
	child.PlannedTo, child.PlannedUntil, child.PlannedAt = &before, &t.Contact, nil
	child.StartedAt, child.FinishedAt, child.CreatedAt, child.UpdatedAt = &now, nil, now, now
	anytime := "{}"
	child.AllowedHours = &anytime
	if err := store(&child.Route, lanes); err != nil {
		return c, err
	}
	_, err := s.ready(child)
	return child, err
}

// withoutTokens puts the window in the place of lanes that spend a permission.
func withoutTokens(lanes []channel.Lane) (out []channel.Lane) {
	for _, l := range lanes {
		if l == channel.OneTime || l == channel.Recurring {
			l = channel.Window
		}
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// justBefore is the id before another, in the order of contacts.
func justBefore(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

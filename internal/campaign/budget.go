package campaign

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
)

// Budgets keeps what campaigns may spend on texts.
type Budgets interface {
	// Read checks a budget as it is written and returns it as it is kept. Its
	// mistakes are fault.Invalid, pointers start at /budget.
	Read(tx *db.Tx, budget string) (string, error)
	// Set holds a campaign to a budget as Read returned it, from now on; "" is no
	// limit.
	Set(tx *db.Tx, campaign uuid.UUID, budget string) error
}

// patchBudget applies a JSON merge patch. A new amount is in the currency that is
// named with it, or else in that of the prices.
func (c *Campaign) patchBudget(patch json.RawMessage) error {
	if patch == nil {
		return nil
	}
	if string(patch) == "null" {
		c.Budget = nil
		return nil
	}
	members, change := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(cmp.Or(orEmpty(c.Budget), "{}")), &members); err != nil {
		return fmt.Errorf("read the budget of campaign %s: %w", c.ID, err)
	}
	if json.Unmarshal(patch, &change) != nil {
		return fault.InvalidFields(fault.Field{Pointer: "/budget", Code: "bad_budget", Detail: "Must be an object, or null."})
	}
	if _, anew := change["sms_amount"]; anew {
		delete(members, "currency")
	}
	maps.Copy(members, change)
	maps.DeleteFunc(members, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	var text string
	err := store(&text, members)
	c.Budget = &text
	return err
}

// readBudget checks a campaign's budget and puts it as it is to be kept.
func (s *Service) readBudget(tx *db.Tx, c *Campaign) ([]fault.Field, error) {
	if c.Budget == nil {
		return nil, nil
	}
	kept, err := s.set.Budgets.Read(tx, *c.Budget)
	if fault.Is(err, fault.Invalid) {
		return fieldsOf(err), nil
	}
	c.Budget = &kept
	return nil, err
}

// openBudget lets a campaign that is started spend. What was true of its budget
// when it was written may not be now.
func (s *Service) openBudget(tx *db.Tx, c *Campaign) error {
	bad, err := s.readBudget(tx, c)
	if err == nil {
		err = fault.InvalidFields(bad...)
	}
	if err != nil {
		return err
	}
	return s.set.Budgets.Set(tx, c.ID, orEmpty(c.Budget))
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// rebudget changes the budget of a campaign that has left draft, on which nothing
// else can be changed. It counts from the commit on, for every node.
func (s *Service) rebudget(ctx context.Context, c Campaign, p Patch) (Campaign, *Definition, error) {
	alone := Patch{Budget: p.Budget}
	if p.Budget == nil || !reflect.DeepEqual(p, alone) || c.TestOf != nil {
		return c, nil, errFrozen
	}
	if c.EscalationOf != nil {
		return c, nil, errLed
	}
	if c.State != Scheduled && c.State != Running && c.State != Paused {
		return c, nil, fault.New(fault.Conflict, "wrong_state", "A campaign that is %s spends nothing any more.", c.State)
	}
	if err := c.apply(p); err != nil {
		return c, nil, err
	}
	def, err := s.Define(c)
	if err != nil {
		return c, nil, err
	}
	if err := s.db.Transact(ctx, func(tx *db.Tx) error { return s.writeBudget(tx, c) }); err != nil {
		return c, nil, fmt.Errorf("change a campaign's budget: %w", err)
	}
	c, err = s.Get(ctx, c.ID)
	return c, def, err
}

func (s *Service) writeBudget(tx *db.Tx, c Campaign) error {
	now := s.set.Now()
	if err := s.openBudget(tx, &c); err != nil {
		return err
	}
	res := tx.Exec("UPDATE campaigns SET budget = ?, updated_at = ? WHERE id = ? AND state IN ?", c.Budget, now, c.ID, []State{Scheduled, Running, Paused})
	if res.Error == nil && res.RowsAffected == 0 {
		return errChanged
	}
	if res.Error != nil {
		return res.Error
	}
	return event.Add(tx, event.Event{Type: event.BudgetChanged, At: now, Campaign: c.ID, Data: map[string]any{"budget": json.RawMessage(cmp.Or(orEmpty(c.Budget), "null"))}})
}

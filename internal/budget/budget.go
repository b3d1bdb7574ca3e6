// Package budget keeps what campaigns may spend on texts: what a segment costs in
// each country, the most that a campaign may spend, and what it has spent.
package budget

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// What happens to those for whom there is no money left.
const (
	FallThrough = "fall_through" // they go on to their next lane, or are not reached
	Wait        = "wait"         // they wait until the budget is raised, or the campaign ends
)

// Budget is the most that a campaign may spend on texts, as it is written.
type Budget struct {
	SMSSegments *int64  `json:"sms_segments,omitempty"` // nil is without limit
	SMSAmount   *string `json:"sms_amount,omitempty"`   // a decimal number; nil is without limit
	Currency    string  `json:"currency,omitempty"`     // of the amount: that of the prices
	WhenReached string  `json:"when_reached"`           // FallThrough or Wait
}

// mostSegments is more than anybody will send.
const mostSegments = 1_000_000_000

// Read checks a budget as it is written and returns it as it is kept: complete,
// with the currency that its amount is in. Mistakes are fault.Invalid, all at
// once; their pointers start at /budget.
func (s *Store) Read(tx *db.Tx, text string) (string, error) {
	var b Budget
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return "", fault.InvalidFields(fault.Field{Pointer: "/budget", Code: "bad_budget", Detail: "Must be a budget: sms_segments, sms_amount or both, and when_reached."})
	}
	list, err := prices(tx.DB)
	if err != nil {
		return "", err
	}
	if b.WhenReached == "" {
		b.WhenReached = FallThrough
	}
	if b.SMSAmount != nil && b.Currency == "" {
		b.Currency = list.Currency
	}
	if err := fault.InvalidFields(append(b.check(), b.checkMoney(list)...)...); err != nil {
		return "", err
	}
	kept, err := json.Marshal(b)
	return string(kept), err
}

func (b *Budget) check() (bad []fault.Field) {
	if b.SMSSegments == nil && b.SMSAmount == nil {
		bad = append(bad, fault.Field{Pointer: "/budget", Code: "required", Detail: "Name the most segments, the most money, or both."})
	}
	if b.SMSSegments != nil && (*b.SMSSegments < 1 || *b.SMSSegments > mostSegments) {
		bad = append(bad, fault.Field{Pointer: "/budget/sms_segments", Code: "out_of_range", Detail: "Must be between 1 and 1000000000."})
	}
	if b.WhenReached != FallThrough && b.WhenReached != Wait {
		bad = append(bad, fault.Field{Pointer: "/budget/when_reached", Code: "not_allowed", Detail: "Must be fall_through or wait."})
	}
	return bad
}

// checkMoney compares an amount with the list that it is counted by.
func (b *Budget) checkMoney(list Prices) []fault.Field {
	if b.SMSAmount == nil {
		if b.Currency != "" {
			return []fault.Field{{Pointer: "/budget/currency", Code: "needs_amount", Detail: "There is no amount to be in it: name sms_amount."}}
		}
		return nil
	}
	a, err := ParseAmount(*b.SMSAmount)
	switch {
	case err != nil:
		return []fault.Field{{Pointer: "/budget/sms_amount", Code: "bad_amount", Detail: err.Error()}}
	case a <= 0:
		return []fault.Field{{Pointer: "/budget/sms_amount", Code: "out_of_range", Detail: "Must be more than 0."}}
	case list.Currency == "":
		return []fault.Field{{Pointer: "/budget/sms_amount", Code: "no_prices", Detail: "Nobody has said yet what a text costs: set the prices first."}}
	case b.Currency != list.Currency:
		return []fault.Field{{Pointer: "/budget/currency", Code: "other_currency", Detail: "Must be that of the prices: " + list.Currency + "."}}
	}
	return nil
}

// Set holds a campaign to a budget as Read returned it, from now on and over all
// that it has spent before; "" is no limit. A budget that was reached and is not
// any more lets texts go out again.
func (s *Store) Set(tx *db.Tx, campaign uuid.UUID, text string) error {
	var b Budget
	if text != "" {
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return fmt.Errorf("set a budget: %w", err)
		}
	}
	var most *Amount
	if b.SMSAmount != nil {
		a, err := ParseAmount(*b.SMSAmount)
		if err != nil {
			return fmt.Errorf("set a budget: %w", err)
		}
		most = &a
	}
	err := tx.Exec(`INSERT INTO budgets (campaign_id, most_segments, most_amount, currency, waits) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (campaign_id) DO UPDATE SET most_segments = EXCLUDED.most_segments, most_amount = EXCLUDED.most_amount, waits = EXCLUDED.waits, reached_at = NULL,
			amount = CASE WHEN EXCLUDED.currency IN ('', budgets.currency) THEN budgets.amount ELSE 0 END,
			unpriced_segments = CASE WHEN EXCLUDED.currency IN ('', budgets.currency) THEN budgets.unpriced_segments ELSE budgets.segments END,
			currency = CASE WHEN EXCLUDED.currency = '' THEN budgets.currency ELSE EXCLUDED.currency END`,
		campaign, b.SMSSegments, most, b.Currency, b.WhenReached == Wait).Error
	if err != nil {
		return fmt.Errorf("set a budget: %w", err)
	}
	return nil
}

// Spent is what a campaign and its escalation have spent on texts. What a
// provider did not take is not in it; what nobody knows is.
type Spent struct {
	Segments  int64
	Amount    Amount     // of those segments that had a price when they were sent
	Unpriced  int64      // segments that had none
	Currency  string     // of the amount; "" while nothing had a price
	ReachedAt *time.Time // since then the budget lets no text out
}

// Spent returns what a campaign has spent; nothing before its start.
func (s *Store) Spent(ctx context.Context, campaign uuid.UUID) (Spent, error) {
	var rows []Spent
	err := s.db.Read(ctx).Raw(`SELECT segments, amount, unpriced_segments AS unpriced, currency, reached_at FROM budgets WHERE campaign_id = ?`, campaign).Scan(&rows).Error
	if err != nil {
		return Spent{}, fmt.Errorf("read what a campaign has spent: %w", err)
	}
	if len(rows) == 0 {
		return Spent{}, nil
	}
	return rows[0], nil
}

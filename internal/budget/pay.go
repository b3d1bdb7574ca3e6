package budget

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// purse is what a campaign may spend and has spent, locked for a transaction.
type purse struct {
	MostSegments *int64
	MostAmount   *Amount
	Currency     string
	Segments     int64
	Amount       Amount
	Unpriced     int64
	ReachedAt    *time.Time
}

// Pay takes what texts cost out of the budget of a campaign, in their order, for
// a batch that hands them over right after the commit. It returns one payment for
// each text. Of a budget nothing is ever taken that is not there, on however many
// nodes: all of a campaign pay one after the other.
//
// With the first text for which there is not enough left, the budget is reached:
// no text goes out any more until it is raised. As long as something may come
// back from texts that are being handed over, that is not decided yet.
func (s *Store) Pay(tx *db.Tx, campaign, batch uuid.UUID, texts []channel.Text) ([]channel.Payment, error) {
	p, found, err := lock(tx, campaign)
	if err != nil {
		return nil, err
	}
	list, err := prices(tx.DB)
	if err != nil {
		return nil, err
	}
	b := bill{purse: p, list: list.in(p.Currency), full: p.ReachedAt != nil}
	if !found { // nobody asked that it be counted
		b.MostSegments, b.MostAmount = nil, nil
	}
	for _, t := range texts {
		b.add(t)
	}
	if b.capped() && b.paid > 0 {
		err = tx.Exec("UPDATE batches SET paying = TRUE WHERE id = ? AND NOT paying", batch).Error
	}
	if err == nil && b.full && b.paid == 0 && p.ReachedAt == nil {
		err = s.reach(tx, campaign, batch, &b)
	}
	if err == nil && b.paid > 0 {
		err = b.take(tx, campaign)
	}
	if err != nil {
		return nil, fmt.Errorf("pay for texts: %w", err)
	}
	return b.payments, nil
}

func lock(tx *db.Tx, campaign uuid.UUID) (p purse, found bool, err error) {
	var rows []purse
	err = tx.Raw(`SELECT most_segments, most_amount, currency, segments, amount, unpriced_segments AS unpriced, reached_at FROM budgets
		WHERE campaign_id = ?`+tx.ForUpdate(), campaign).Scan(&rows).Error
	if err != nil {
		return p, false, fmt.Errorf("lock a budget: %w", err)
	}
	if len(rows) == 0 {
		return p, false, nil
	}
	return rows[0], true, nil
}

// in is the list as far as it is good for a budget in a currency: one in another
// currency says nothing.
func (p Prices) in(money string) Prices {
	if money != "" && money != p.Currency {
		return Prices{}
	}
	return p
}

// bill is a number of texts on their way through a purse.
type bill struct {
	purse
	list     Prices
	payments []channel.Payment
	full     bool // there was a text for which there was not enough
	paid     int
	// what they come to together
	segments, unpriced int64
	amount             Amount
}

func (b *bill) capped() bool { return b.MostSegments != nil || b.MostAmount != nil }

func (b *bill) add(t channel.Text) {
	pay := channel.Payment{Paid: channel.PaidFor, Segments: t.Segments}
	each, priced := b.priceOf(t)
	cost := each.Times(t.Segments)
	switch {
	case b.full:
		pay = channel.Payment{Paid: channel.NotYet}
	case !priced && b.MostAmount != nil:
		pay = channel.Payment{Paid: channel.Unpriced}
	case !b.fits(int64(t.Segments), cost):
		b.full, pay = true, channel.Payment{Paid: channel.NotYet}
	default:
		pay.Amount, pay.Currency, pay.NoPrice = int64(cost), b.money(), !priced
		b.paid++
		b.segments, b.amount = b.segments+int64(t.Segments), b.amount+cost
		if !priced {
			b.unpriced += int64(t.Segments)
		}
	}
	b.payments = append(b.payments, pay)
}

func (b *bill) priceOf(t channel.Text) (Amount, bool) {
	if b.list.Currency == "" {
		return 0, false
	}
	return b.list.Of(Country(t.To))
}

func (b *bill) fits(segments int64, cost Amount) bool {
	if b.MostSegments != nil && b.Segments+b.segments+segments > *b.MostSegments {
		return false
	}
	most := Amount(math.MaxInt64)
	if b.MostAmount != nil {
		most = *b.MostAmount
	}
	return cost <= most-b.Amount-b.amount
}

func (b *bill) take(tx *db.Tx, campaign uuid.UUID) error {
	return tx.Exec("UPDATE budgets SET segments = segments + ?, amount = amount + ?, unpriced_segments = unpriced_segments + ?, currency = ? WHERE campaign_id = ?",
		b.segments, b.amount, b.unpriced, b.money(), campaign).Error
}

// money is the currency that is counted in from now on: the first with a price.
func (b *bill) money() string {
	if b.Currency == "" {
		return b.list.Currency
	}
	return b.Currency
}

// reach closes a budget, unless some of it may come back yet.
func (s *Store) reach(tx *db.Tx, campaign, batch uuid.UUID, b *bill) error {
	var others bool
	err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM batches WHERE finished_at IS NULL AND paying AND id <> ?
		AND campaign_id IN (SELECT id FROM campaigns WHERE id = ? OR escalation_of = ?))`, batch, campaign, campaign).Row().Scan(&others)
	if err != nil || others {
		return err
	}
	now := s.now()
	if err := tx.Exec("UPDATE budgets SET reached_at = ? WHERE campaign_id = ?", now, campaign).Error; err != nil {
		return err
	}
	data := map[string]any{"sms_segments": b.Segments}
	if b.Currency != "" {
		data["sms_amount"], data["currency"] = b.Amount.String(), b.Currency
	}
	return event.Add(tx, event.Event{Type: event.BudgetReached, At: now, Campaign: campaign, Data: data})
}

// Refund gives back what was paid for texts that the provider definitely did not
// take. They were paid for together; each can be given back once, which is the
// caller's to see to.
func (s *Store) Refund(tx *db.Tx, campaign uuid.UUID, payments []channel.Payment) error {
	var segments, unpriced int64
	var amount Amount
	for _, p := range payments {
		segments, amount = segments+int64(p.Segments), amount+Amount(p.Amount)
		if p.NoPrice {
			unpriced += int64(p.Segments)
		}
	}
	if segments == 0 {
		return nil
	}
	// In another currency than now all of it counts as unpriced: see Set.
	err := tx.Exec(`UPDATE budgets SET segments = segments - ?, amount = CASE WHEN currency = ? THEN amount - ? ELSE amount END,
		unpriced_segments = unpriced_segments - CASE WHEN currency = ? THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END WHERE campaign_id = ?`,
		segments, payments[0].Currency, amount, payments[0].Currency, unpriced, segments, campaign).Error
	if err != nil {
		return fmt.Errorf("give back to a budget: %w", err)
	}
	return nil
}

// Handed says that nothing of what a batch has paid for is on its way any more.
func (s *Store) Handed(tx *db.Tx, batch uuid.UUID) error {
	if err := tx.Exec("UPDATE batches SET paying = FALSE WHERE id = ? AND paying", batch).Error; err != nil {
		return fmt.Errorf("note that texts were handed over: %w", err)
	}
	return nil
}

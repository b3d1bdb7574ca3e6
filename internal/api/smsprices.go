package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"beckon/internal/api/gen"
	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/dispatch"
)

// GetSMSPrices serves GET /v1/sms-prices.
func (s *Server) GetSMSPrices(ctx context.Context, _ gen.GetSMSPricesRequestObject) (gen.GetSMSPricesResponseObject, error) {
	p, err := s.Budgets.Prices(ctx)
	return gen.GetSMSPrices200JSONResponse(pricesAnswer(p)), err
}

// SetSMSPrices serves PUT /v1/sms-prices.
func (s *Server) SetSMSPrices(ctx context.Context, r gen.SetSMSPricesRequestObject) (gen.SetSMSPricesResponseObject, error) {
	p, err := budget.ReadPrices(r.Body.Currency, r.Body.Default, r.Body.Countries)
	if err != nil {
		return nil, err
	}
	p, err = s.Budgets.SetPrices(ctx, p)
	return gen.SetSMSPrices200JSONResponse(pricesAnswer(p)), err
}

func pricesAnswer(p budget.Prices) gen.SMSPrices {
	out := gen.SMSPrices{Currency: orNull(p.Currency), Countries: make(map[string]gen.Decimal, len(p.Countries))}
	if p.Currency != "" {
		out.UpdatedAt = &p.UpdatedAt
	}
	if p.Default != nil {
		out.Default = new(p.Default.String())
	}
	for country, a := range p.Countries {
		out.Countries[country] = a.String()
	}
	return out
}

// estimate is what texts would cost by a list of prices. What has no price is
// not in the amount, and counted apart.
func estimate(c dispatch.SMSCost, list budget.Prices) gen.SMSCost {
	out := gen.SMSCost{Messages: int64(c.Messages), Segments: int64(c.Segments), Longest: c.Longest, Unicode: int64(c.Unicode),
		Countries: make([]gen.SMSCountryCost, 0, len(c.Countries)), Currency: orNull(list.Currency)}
	total := budget.Amount(0)
	for country, t := range c.Countries {
		row := gen.SMSCountryCost{Country: orNull(country), Messages: int64(t.Messages), Segments: int64(t.Segments)}
		if price, known := list.Of(country); known {
			cost := price.Times(t.Segments)
			total += cost
			row.Price, row.Amount = new(price.String()), new(cost.String())
		} else {
			out.Unpriced += row.Segments
		}
		out.Countries = append(out.Countries, row)
	}
	if out.Unpriced < out.Segments || out.Segments == 0 && list.Currency != "" {
		out.Amount = new(total.String())
	}
	slices.SortFunc(out.Countries, func(a, b gen.SMSCountryCost) int {
		return cmp.Or(cmp.Compare(b.Segments, a.Segments), cmp.Compare(orZero(a.Country), orZero(b.Country)))
	})
	return out
}

// costly warns of what is not known of a bill, and of a budget that is too small
// for it.
func costly(c campaign.Campaign, bill gen.SMSCost) (out []gen.Warning) {
	var most budget.Budget
	if c.Budget != nil && json.Unmarshal([]byte(*c.Budget), &most) != nil {
		return nil
	}
	out = append(unpriced(most, bill), tooSmall(most, bill)...)
	if most.WhenReached == budget.Wait && c.EndsAt == nil {
		out = append(out, warning("/budget/when_reached", "waits_without_end", "Without ends_at the campaign goes on waiting until its budget is raised or it is cancelled."))
	}
	return out
}

// unpriced names the countries without a price, as long as there is a list at all.
func unpriced(most budget.Budget, bill gen.SMSCost) []gen.Warning {
	if bill.Unpriced == 0 || bill.Currency == nil {
		return nil
	}
	var names []string
	for _, row := range bill.Countries {
		if row.Price == nil {
			names = append(names, cmp.Or(orZero(row.Country), "no country"))
		}
	}
	then := "they are not in the estimate."
	if most.SMSAmount != nil {
		then = "they are not in the estimate, and not sent, since the budget is in money."
	}
	return []gen.Warning{warning("/content/sms", "sms_unpriced", fmt.Sprintf("Nobody has said what a text costs to %s, which %d segments go to: %s", someOf(names), bill.Unpriced, then))}
}

// someOf names a few of many.
func someOf(names []string) string {
	const few = 10
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

func tooSmall(most budget.Budget, bill gen.SMSCost) (out []gen.Warning) {
	if most.SMSSegments != nil && bill.Segments > *most.SMSSegments {
		out = append(out, warning("/budget/sms_segments", "budget_too_small", fmt.Sprintf("The texts take %d segments.", bill.Segments)))
	}
	if most.SMSAmount == nil || bill.Amount == nil {
		return out
	}
	limit, errLimit := budget.ParseAmount(*most.SMSAmount)
	cost, errCost := budget.ParseAmount(*bill.Amount)
	if errLimit == nil && (errCost != nil || cost > limit) {
		out = append(out, warning("/budget/sms_amount", "budget_too_small", fmt.Sprintf("The texts cost %s %s.", *bill.Amount, orZero(bill.Currency))))
	}
	return out
}

func spentAnswer(s budget.Spent) gen.SMSSpent {
	out := gen.SMSSpent{Segments: s.Segments, Currency: orNull(s.Currency), Unpriced: s.Unpriced, ReachedAt: s.ReachedAt}
	if s.Currency != "" {
		out.Amount = new(s.Amount.String())
	}
	return out
}

package dispatch

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
)

func countries(list string) map[string]bool {
	out := map[string]bool{}
	for country := range strings.SplitSeq(list, ",") {
		if country != "" {
			out[country] = true
		}
	}
	return out
}

// abroad reports whether no texts go to the country of a phone number.
func (s scope) abroad(phone string) bool {
	return len(s.closed) > 0 && phone != "" && s.countryOf != nil && s.closed[s.countryOf(phone)]
}

// closeCountries heeds refusals that hold for every number of a country: nobody
// else there is tried for this campaign, from the claim in this transaction on.
func (e *Engine) closeCountries(tx *db.Tx, def *campaign.Definition, s scope, outcomes []settled) error {
	var contacts []uuid.UUID
	code := ""
	for _, o := range outcomes {
		if o.result.Outcome == channel.Refused && o.result.Countrywide {
			contacts, code = append(contacts, o.contact), o.result.Code
		}
	}
	if len(contacts) == 0 || e.Country == nil {
		return nil
	}
	var phones []string
	err := tx.Raw("SELECT c.phone FROM ? JOIN contacts c ON c.id = v.id WHERE c.phone IS NOT NULL", tx.Values("v", db.UUIDs("id", contacts))).Scan(&phones).Error
	if err != nil {
		return fmt.Errorf("read phones: %w", err)
	}
	var closed []string
	for _, phone := range phones {
		if country := e.Country(phone); country != "" && !s.closed[country] {
			s.closed[country] = true
			closed = append(closed, country)
		}
	}
	return e.Campaigns.CloseCountries(tx, def.Payer, closed, code)
}

// filtered are the texts that moved on because carriers took them for unwanted ones.
func filtered(outcomes []settled, moved map[int64]bool) (n int) {
	for _, o := range outcomes {
		if o.result.Filtered && moved[o.Delivery] {
			n++
		}
	}
	return n
}

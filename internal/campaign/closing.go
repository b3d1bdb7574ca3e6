package campaign

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// ReasonFiltered is why a campaign was paused by itself: carriers take its texts
// for unwanted ones.
const ReasonFiltered = "filtered"

const (
	// fewFiltered is how many texts must have been filtered out before anything is
	// made of it, and filteredShare the part of all texts, one in so many, from
	// which on the campaign is paused.
	fewFiltered   = 20
	filteredShare = 10
)

// CloseCountries writes down that the SMS provider sends nothing to some countries
// for a campaign, by the code it gave, and tells of those of which that is news.
// They stay closed until the campaign is paused and resumed.
func (s *Service) CloseCountries(tx *db.Tx, id uuid.UUID, countries []string, code string) error {
	countries = slices.Compact(slices.Sorted(slices.Values(countries)))
	if len(countries) == 0 {
		return nil
	}
	now := s.set.Now()
	var fresh []string
	err := tx.Raw(`INSERT INTO closed_countries (campaign_id, country, code, closed_at) SELECT c.id, v.country, CAST(? AS text), CAST(? AS `+tx.TimeType()+`)
		FROM ? JOIN campaigns c ON c.id = ? WHERE TRUE ON CONFLICT DO NOTHING RETURNING country`, code, now, tx.Values("v", db.Texts("country", countries)), id).Scan(&fresh).Error
	if err != nil {
		return fmt.Errorf("close countries for a campaign: %w", err)
	}
	slices.Sort(fresh)
	events := make([]event.Event, len(fresh))
	for i, country := range fresh {
		events[i] = event.Event{Type: event.CountryClosed, At: now, Campaign: id, Data: map[string]any{"country": country, "code": code}}
	}
	return event.Add(tx, events...)
}

// Filtered counts texts of a campaign that carriers took for unwanted ones. Once
// those are at least twenty, and a tenth of all that were sent, the campaign is
// paused, for a person to decide: its text is what is wrong, and each further one
// makes the sender's name worse. Resumed, it is looked at again when there are
// twice as many. It counts each time it is told.
func (s *Service) Filtered(tx *db.Tx, id uuid.UUID, texts int) error {
	if texts == 0 {
		return nil
	}
	var found []struct{ Texts, LookAt int }
	err := tx.Raw(`INSERT INTO filtered_texts (campaign_id, texts, look_at) SELECT id, CAST(? AS integer), CAST(? AS integer) FROM campaigns WHERE id = ?
		ON CONFLICT (campaign_id) DO UPDATE SET texts = filtered_texts.texts + EXCLUDED.texts RETURNING texts, look_at`, texts, fewFiltered, id).Scan(&found).Error
	if err != nil || len(found) == 0 || found[0].Texts < found[0].LookAt {
		return at("count filtered texts", err)
	}
	filtered, sent := found[0].Texts, 0
	if err := tx.Exec("UPDATE filtered_texts SET look_at = ? WHERE campaign_id = ?", 2*filtered, id).Error; err != nil {
		return at("count filtered texts", err)
	}
	err = tx.Raw(`SELECT COUNT(*) FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns WHERE id = ? OR escalation_of = ?)
		AND lane = ? AND state IN ('accepted', 'delivered')`, id, id, channel.LaneSMS).Row().Scan(&sent)
	if err != nil || filtered*filteredShare < filtered+sent {
		return at("count texts", err)
	}
	return s.halt(tx, id, map[string]any{"reason": ReasonFiltered, "filtered": filtered, "texts": filtered + sent})
}

// halt pauses a campaign that runs, and tells why.
func (s *Service) halt(tx *db.Tx, id uuid.UUID, why map[string]any) error {
	now := s.set.Now()
	res := tx.Exec("UPDATE campaigns SET state = ?, updated_at = ? WHERE id = ? AND state = ?", Paused, now, id, Running)
	if res.Error != nil || res.RowsAffected == 0 {
		return at("pause a campaign", res.Error)
	}
	if err := event.Add(tx, event.Event{Type: event.CampaignPaused, At: now, Campaign: id, Data: why}); err != nil {
		return err
	}
	return at("pause a campaign", s.follow(tx, id, Paused, []State{Running}))
}

// reopen lets the closed countries of a campaign be tried again.
func reopen(tx *db.Tx, id uuid.UUID) error {
	return tx.Exec("DELETE FROM closed_countries WHERE campaign_id = ?", id).Error
}

func at(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

package contact

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// Introduction is what somebody other than the CRM says of a person.
type Introduction struct {
	PSID                string
	FirstName, LastName string
	Locale              string // "en_GB" is taken too
	TimeZone            string // IANA name
}

// Introduce fills in what is not known of people on a Page: names only when
// neither name is there, so that what the CRM said stays as it was said. What
// cannot be kept is left out, as are people the Page does not know.
func (s *Store) Introduce(ctx context.Context, tx *db.Tx, page uuid.UUID, people []Introduction) error {
	if len(people) == 0 {
		return nil
	}
	n := len(people)
	psids, firsts, lasts, locales, zones := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, p := range people {
		psids[i], firsts[i], lasts[i], zones[i] = p.PSID, fitting(p.FirstName), fitting(p.LastName), fitting(p.TimeZone)
		if l, ok := locale(fitting(p.Locale)); ok {
			locales[i] = l
		}
	}
	err := tx.WithContext(ctx).Exec(`UPDATE contacts SET updated_at = ?,
			first_name = CASE WHEN contacts.first_name = '' AND contacts.last_name = '' THEN v.first_name ELSE contacts.first_name END,
			last_name = CASE WHEN contacts.first_name = '' AND contacts.last_name = '' THEN v.last_name ELSE contacts.last_name END,
			locale = CASE WHEN contacts.locale = '' THEN v.locale ELSE contacts.locale END,
			time_zone = CASE WHEN contacts.time_zone = '' THEN v.time_zone ELSE contacts.time_zone END
		FROM messenger_addresses AS a JOIN ? ON a.psid = v.psid WHERE a.page_id = ? AND contacts.id = a.contact_id`,
		s.now(), tx.Values("v", db.Texts("psid", psids), db.Texts("first_name", firsts), db.Texts("last_name", lasts),
			db.Texts("locale", locales), db.Texts("time_zone", zones)), page).Error
	if err != nil {
		return fmt.Errorf("introduce people: %w", err)
	}
	return nil
}

// fitting is the text as it may be kept, or "".
func fitting(v string) string {
	v = strings.TrimSpace(v)
	if utf8.RuneCountInString(v) > maxText || !utf8.ValidString(v) || strings.IndexFunc(v, unicode.IsControl) >= 0 {
		return ""
	}
	return v
}

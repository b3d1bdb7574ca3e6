package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// write puts what a batch did into the database: one statement for each kind
// of change, however many contacts there are.
func (b *batch) write(ctx context.Context, tx *db.Tx) error {
	for _, step := range []func(*db.Tx) error{b.loosen, b.update, b.insert, b.insertPlaces, b.writeMerges, b.remember} {
		if err := step(tx); err != nil {
			return err
		}
	}
	if len(b.grants) == 0 {
		return nil
	}
	grants := make([]Grant, len(b.grants))
	for i, g := range b.grants {
		grants[i] = Grant{ContactID: g.to.root().ID, PageID: g.PageID, Topic: g.Topic, Value: g.Value, GrantedAt: g.GrantedAt}
	}
	return b.store.grant(ctx, tx, grants)
}

// loosen empties rows whose values go to other rows: both engines check
// uniqueness row by row, not at the end of a statement.
func (b *batch) loosen(tx *db.Tx) error {
	if len(b.unstick) == 0 {
		return nil
	}
	if err := tx.Exec("UPDATE contacts SET external_id = NULL, email = NULL, phone = NULL WHERE id IN ?", b.unstick).Error; err != nil {
		return fmt.Errorf("free addresses: %w", err)
	}
	return nil
}

// json() is a cast on PostgreSQL and a function on SQLite; both take it from
// text to what the column wants.
const updateContacts = `UPDATE contacts SET external_id = NULLIF(v.external_id, ''), first_name = v.first_name, last_name = v.last_name,
	locale = v.locale, time_zone = v.time_zone, attributes = json(v.attributes),
	phone = NULLIF(v.phone, ''), phone_hash = v.phone_hash, email = NULLIF(v.email, ''), email_hash = v.email_hash,
	sms_consent_status = v.sms_status, sms_consent_source = v.sms_source, sms_consent_at = v.sms_at, sms_consent_evidence = v.sms_evidence,
	sms_consent_undated = (v.sms_undated <> ''), email_consent_undated = (v.email_undated <> ''),
	email_consent_status = v.email_status, email_consent_source = v.email_source, email_consent_at = v.email_at,
	email_consent_evidence = v.email_evidence, updated_at = v.updated_at
	FROM ? WHERE contacts.id = v.id`

func (b *batch) update(tx *db.Tx) error {
	var list []*person
	for _, p := range b.people {
		if p.changed && !p.fresh && p.into == nil {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil
	}
	texts := func(name string, of func(*person) string) db.Column { return db.Texts(name, each(list, of)) }
	times := func(name string, of func(*person) time.Time) db.Column { return db.Times(name, each(list, of)) }
	err := tx.Exec(updateContacts, tx.Values("v",
		db.UUIDs("id", each(list, func(p *person) uuid.UUID { return p.ID })),
		texts("external_id", func(p *person) string { return p.ExternalID }),
		texts("first_name", func(p *person) string { return p.FirstName }),
		texts("last_name", func(p *person) string { return p.LastName }),
		texts("locale", func(p *person) string { return p.Locale }),
		texts("time_zone", func(p *person) string { return p.TimeZone }),
		texts("attributes", func(p *person) string { return string(p.Attributes) }),
		texts("phone", func(p *person) string { return p.Phone }),
		texts("email", func(p *person) string { return p.Email }),
		db.Blobs("phone_hash", each(list, func(p *person) []byte { return p.PhoneHash })),
		db.Blobs("email_hash", each(list, func(p *person) []byte { return p.EmailHash })),
		texts("sms_status", func(p *person) string { return p.SMSConsent.Status }),
		texts("sms_source", func(p *person) string { return p.SMSConsent.Source }),
		texts("sms_evidence", func(p *person) string { return p.SMSConsent.Evidence }),
		texts("sms_undated", func(p *person) string { return flag(p.SMSConsent.Undated) }),
		texts("email_undated", func(p *person) string { return flag(p.EmailConsent.Undated) }),
		times("sms_at", func(p *person) time.Time { return moment(p.SMSConsent.At) }),
		texts("email_status", func(p *person) string { return p.EmailConsent.Status }),
		texts("email_source", func(p *person) string { return p.EmailConsent.Source }),
		texts("email_evidence", func(p *person) string { return p.EmailConsent.Evidence }),
		times("email_at", func(p *person) time.Time { return moment(p.EmailConsent.At) }),
		times("updated_at", func(p *person) time.Time { return p.UpdatedAt }))).Error
	if err != nil {
		return fmt.Errorf("change contacts: %w", err)
	}
	return nil
}

func each[S, T any](list []S, of func(S) T) []T {
	out := make([]T, len(list))
	for i, x := range list {
		out[i] = of(x)
	}
	return out
}

// flag is how a yes stands in a column of texts.
func flag(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

var contactColumns = [...]string{"id", "external_id", "first_name", "last_name", "locale", "time_zone", "attributes",
	"phone", "phone_hash", "email", "email_hash",
	"sms_consent_status", "sms_consent_source", "sms_consent_at", "sms_consent_evidence", "sms_consent_undated",
	"email_consent_status", "email_consent_source", "email_consent_at", "email_consent_evidence", "email_consent_undated", "created_at", "updated_at"}

func (b *batch) insert(tx *db.Tx) error {
	var rows [][]any
	for _, p := range b.people {
		if !p.fresh || p.into != nil {
			continue
		}
		attributes := "{}"
		if len(p.Attributes) > 0 {
			attributes = string(p.Attributes)
		}
		sms, mail := p.SMSConsent, p.EmailConsent
		rows = append(rows, []any{p.ID, orNull(p.ExternalID), p.FirstName, p.LastName, p.Locale, p.TimeZone, attributes,
			orNull(p.Phone), bytesOrNull(p.PhoneHash), orNull(p.Email), bytesOrNull(p.EmailHash),
			sms.Status, sms.Source, timeOrNull(sms.At), sms.Evidence, sms.Undated,
			mail.Status, mail.Source, timeOrNull(mail.At), mail.Evidence, mail.Undated, p.CreatedAt, p.UpdatedAt})
	}
	return tx.Copy("contacts", contactColumns[:], rows)
}

func orNull(v string) any {
	if v == "" {
		return nil
	}
	return v
}

func bytesOrNull(v []byte) any {
	if v == nil {
		return nil
	}
	return v
}

func timeOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

func (b *batch) insertPlaces(tx *db.Tx) error {
	var rows [][]any
	for _, p := range b.people {
		for page, at := range p.pages {
			if at.fresh {
				rows = append(rows, []any{page, at.psid, p.ID, at.at})
			}
		}
	}
	return tx.Copy("messenger_addresses", []string{"page_id", "psid", "contact_id", "created_at"}, rows)
}

// What belongs to a person moves along when contacts are merged. A delivery
// stays where it is when the other contact has one in the same campaign; a
// follow-up, an open question and a word to stop go with their contact when the
// other has one of its own.
var moves = [...]string{
	"UPDATE messenger_addresses SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE tokens SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE recurring_tokens SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE opt_in_requests SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE consents SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE events SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE texts SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	"UPDATE self_tests SET contact_id = v.into_id FROM ? WHERE contact_id = v.id",
	`UPDATE deliveries SET contact_id = v.into_id FROM ? WHERE contact_id = v.id AND NOT EXISTS (
		SELECT 1 FROM deliveries d WHERE d.campaign_id = deliveries.campaign_id AND d.contact_id = v.into_id)`,
	`UPDATE follow_ups SET contact_id = v.into_id FROM ? WHERE contact_id = v.id AND NOT EXISTS (
		SELECT 1 FROM follow_ups f WHERE f.campaign_id = follow_ups.campaign_id AND f.contact_id = v.into_id)`,
	`UPDATE stops SET contact_id = v.into_id FROM ? WHERE contact_id = v.id AND NOT EXISTS (
		SELECT 1 FROM stops s WHERE s.page_id = stops.page_id AND s.contact_id = v.into_id)`,
	`UPDATE captures SET contact_id = v.into_id FROM ? WHERE contact_id = v.id AND NOT EXISTS (
		SELECT 1 FROM captures c WHERE c.page_id = captures.page_id AND c.contact_id = v.into_id
			AND c.state IN ('sending', 'asked', 'unknown') AND captures.state IN ('sending', 'asked', 'unknown'))`,
	"INSERT INTO replies (contact_id, at) SELECT v.into_id, r.at FROM ? JOIN replies r ON r.contact_id = v.id WHERE TRUE ON CONFLICT DO NOTHING",
	"DELETE FROM contacts WHERE id IN (SELECT v.id FROM ?)",
}

// writeMerges takes contacts that go into the same one in separate rounds,
// because their deliveries may be in the same campaign.
func (b *batch) writeMerges(tx *db.Tx) error {
	var rest []*person
	for _, p := range b.merged {
		if !p.fresh {
			rest = append(rest, p)
		}
	}
	for len(rest) > 0 {
		var now, later []*person
		seen := map[*person]bool{}
		for _, p := range rest {
			if into := p.root(); seen[into] {
				later = append(later, p)
			} else {
				seen[into] = true
				now = append(now, p)
			}
		}
		v := tx.Values("v", db.UUIDs("id", each(now, func(p *person) uuid.UUID { return p.ID })),
			db.UUIDs("into_id", each(now, func(p *person) uuid.UUID { return p.root().ID })))
		for _, sql := range moves {
			if err := tx.Exec(sql, v).Error; err != nil {
				return fmt.Errorf("merge contacts: %w", err)
			}
		}
		rest = later
	}
	return nil
}

// remember keeps how consents changed, in the order in which they did.
func (b *batch) remember(tx *db.Tx) error {
	said := make([]ConsentChange, len(b.said))
	for i, c := range b.said {
		said[i] = c.ConsentChange
		said[i].ContactID = c.by.root().ID
	}
	return remember(tx, said)
}

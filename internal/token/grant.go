package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
)

// Source says where a token came from.
type Source string

// The sources of tokens.
const (
	FromWebhook Source = "webhook"
	FromAPI     Source = "api"
	FromImport  Source = "import"
)

const (
	maxValue = 1000
	skew     = 24 * time.Hour // how far another's clock may be ahead of ours
)

// Grant is a permission somebody gave.
type Grant struct {
	ContactID, PageID uuid.UUID
	Topic             string
	Value             string // what Messenger calls the token
	Source            Source
	GrantedAt         time.Time
	RequestID         uuid.UUID // the opt-in request it answers; uuid.Nil when none
	Pointer           string    // where it stands in the caller's input, for faults: "" or, for example, "/tokens/0"
}

// Check returns what is wrong with the grant by itself, without a look at what
// is stored.
func (s *Store) Check(g Grant) []fault.Field {
	var bad []fault.Field
	if !storable(g.Value, maxValue) {
		bad = append(bad, fault.Field{Pointer: g.Pointer + "/token", Code: "length", Detail: "Must be a text of 1 to 1000 characters."})
	}
	switch {
	case g.GrantedAt.IsZero():
		bad = append(bad, fault.Field{Pointer: g.Pointer + "/granted_at", Code: "required", Detail: "Must be the time the person agreed."})
	case g.GrantedAt.After(s.moment().Add(skew)):
		bad = append(bad, fault.Field{Pointer: g.Pointer + "/granted_at", Code: "in_the_future", Detail: "Lies in the future."})
	case g.GrantedAt.Year() < 2000: // and nothing that a database cannot keep
		bad = append(bad, fault.Field{Pointer: g.Pointer + "/granted_at", Code: "too_old", Detail: "Lies too far back."})
	}
	return bad
}

// Grant stores tokens and returns how many of them were new: a token the Page
// has already, whoever holds it, changes nothing. One that is a year old is
// stored as expired, and not told of. A request named by a grant becomes granted. A topic, Page
// or contact that is not known, like any other wrong field, is an Invalid
// fault with pointers below Grant.Pointer; nothing is stored then.
func (s *Store) Grant(ctx context.Context, tx *db.Tx, grants []Grant) (granted int, err error) {
	if len(grants) == 0 {
		return 0, nil
	}
	if err := s.checkAll(ctx, tx, grants); err != nil {
		return 0, err
	}
	r, err := s.relation(grants)
	if err != nil {
		return 0, err
	}
	var stored []told
	err = tx.WithContext(ctx).Raw(`INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at)
		SELECT v.id, v.contact_id, v.page_id, v.topic, v.value, v.value_hash, v.status, v.source, v.granted_at, v.expires_at, v.updated_at
		FROM ? WHERE TRUE ON CONFLICT (page_id, value_hash) DO NOTHING RETURNING `+toldColumns, tx.Values("v", r.columns()...)).Scan(&stored).Error
	if err != nil {
		return 0, fmt.Errorf("grant tokens: %w", err)
	}
	if err := s.answer(ctx, tx, grants, r.hashes); err != nil {
		return 0, err
	}
	usable := slices.DeleteFunc(slices.Clone(stored), func(t told) bool { return t.Status != Available })
	return len(stored), tell(tx, event.TokenGranted, s.moment(), usable)
}

func (s *Store) checkAll(ctx context.Context, tx *db.Tx, grants []Grant) error {
	var bad []fault.Field
	for _, g := range grants {
		bad = append(bad, s.Check(g)...)
	}
	strangers, err := unknown(ctx, tx, grants)
	if err != nil {
		return err
	}
	return fault.InvalidFields(append(bad, strangers...)...)
}

// unknown names the topics, Pages and contacts that are not there, all in one
// query.
func unknown(ctx context.Context, tx *db.Tx, grants []Grant) ([]fault.Field, error) {
	n, topics := make([]int64, len(grants)), make([]string, len(grants))
	contacts, pages := make([]uuid.UUID, len(grants)), make([]uuid.UUID, len(grants))
	for i, g := range grants {
		n[i], topics[i], contacts[i], pages[i] = int64(i), clean(g.Topic), g.ContactID, g.PageID
	}
	var rows []struct {
		N                          int
		NoTopic, NoPage, NoContact bool
	}
	err := tx.WithContext(ctx).Raw(`SELECT v.n, t.slug IS NULL AS no_topic, p.id IS NULL AS no_page, c.id IS NULL AS no_contact
		FROM ? LEFT JOIN topics t ON t.slug = v.topic LEFT JOIN pages p ON p.id = v.page_id LEFT JOIN contacts c ON c.id = v.contact_id
		WHERE t.slug IS NULL OR p.id IS NULL OR c.id IS NULL ORDER BY v.n`,
		tx.Values("v", db.Int64s("n", n), db.Texts("topic", topics), db.UUIDs("page_id", pages), db.UUIDs("contact_id", contacts))).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("check grants: %w", err)
	}
	var bad []fault.Field
	add := func(is bool, f fault.Field) {
		if is {
			bad = append(bad, f)
		}
	}
	for _, r := range rows {
		at := grants[r.N].Pointer
		add(r.NoTopic, fault.Field{Pointer: at + "/topic", Code: "topic_not_found", Detail: "There is no such topic."})
		add(r.NoPage, fault.Field{Pointer: at + "/page_id", Code: "page_not_found", Detail: "There is no such page."})
		add(r.NoContact, fault.Field{Pointer: at + "/contact_id", Code: "contact_not_found", Detail: "There is no such contact."})
	}
	return bad, nil
}

// clean keeps what could not be a slug from reaching the database.
func clean(topic string) string {
	if slugs.MatchString(topic) {
		return topic
	}
	return ""
}

// relation is the rows of tokens by column.
type relation struct {
	ids, contacts, pages       []uuid.UUID
	topics, statuses, sources  []string
	sealed, hashes             [][]byte
	granted, expires, storedAt []time.Time
}

func (s *Store) relation(grants []Grant) (relation, error) {
	var r relation
	now := s.moment()
	for _, g := range grants {
		sealed, err := s.box.Seal(g.Value, sealedAs)
		if err != nil {
			return r, fmt.Errorf("grant tokens: %w", err)
		}
		at := g.GrantedAt.UTC().Truncate(time.Microsecond)
		until, status := at.AddDate(1, 0, 0), Available
		if !now.Before(until) {
			status = Expired
		}
		r.ids, r.contacts, r.pages = append(r.ids, uuid.Must(uuid.NewV7())), append(r.contacts, g.ContactID), append(r.pages, g.PageID)
		r.topics, r.statuses, r.sources = append(r.topics, g.Topic), append(r.statuses, string(status)), append(r.sources, string(g.Source))
		r.sealed, r.hashes = append(r.sealed, sealed), append(r.hashes, s.box.Hash(sealedAs, g.Value))
		r.granted, r.expires, r.storedAt = append(r.granted, at), append(r.expires, until), append(r.storedAt, now)
	}
	return r, nil
}

func (r relation) columns() []db.Column {
	return []db.Column{
		db.UUIDs("id", r.ids), db.UUIDs("contact_id", r.contacts), db.UUIDs("page_id", r.pages),
		db.Texts("topic", r.topics), db.Texts("status", r.statuses), db.Texts("source", r.sources),
		db.Blobs("value", r.sealed), db.Blobs("value_hash", r.hashes),
		db.Times("granted_at", r.granted), db.Times("expires_at", r.expires), db.Times("updated_at", r.storedAt),
	}
}

// answer ties each request to the token that came of it. The person must be
// the one who was asked.
func (s *Store) answer(ctx context.Context, tx *db.Tx, grants []Grant, hashes [][]byte) error {
	var requests []uuid.UUID
	var values [][]byte
	for i, g := range grants {
		if g.RequestID != uuid.Nil {
			requests, values = append(requests, g.RequestID), append(values, hashes[i])
		}
	}
	return s.answered(ctx, tx, "tokens", requests, values)
}

// answered marks requests as granted, each by the token of the table with that
// hash.
func (s *Store) answered(ctx context.Context, tx *db.Tx, table string, requests []uuid.UUID, hashes [][]byte) error {
	if len(requests) == 0 {
		return nil
	}
	err := tx.WithContext(ctx).Exec(`UPDATE opt_in_requests SET state = 'granted', token_id = t.id, updated_at = ?
		FROM `+table+` AS t JOIN ? ON t.value_hash = v.value_hash
		WHERE opt_in_requests.id = v.request_id AND opt_in_requests.page_id = t.page_id AND opt_in_requests.contact_id = t.contact_id
			AND opt_in_requests.state <> 'granted'`,
		s.moment(), tx.Values("v", db.UUIDs("request_id", requests), db.Blobs("value_hash", hashes))).Error
	if err != nil {
		return fmt.Errorf("mark opt-in requests as granted: %w", err)
	}
	return nil
}

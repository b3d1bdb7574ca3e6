package token

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// word is what somebody told about a recurring token: the person by an event,
// or Meta's own list. Words may come twice and in any order; those about the
// same token are folded by rules that do not mind.
type word struct {
	contact  uuid.UUID // uuid.Nil when it is not known whose it is
	page     uuid.UUID
	topic    string
	value    string
	hash     []byte
	status   RecurringStatus
	at       time.Time // when that was so
	source   Source
	title    string
	granted  time.Time
	renewed  time.Time // zero: it does not say
	expires  time.Time // zero: it does not say
	eligible time.Time
	listed   time.Time // zero: it is no listing
}

// after reports whether w has the last word over o: the newer one has, and of
// two at the same moment the one that silences.
func (w *word) after(o *word) bool {
	return w.at.After(o.at) || w.at.Equal(o.at) && w.status == Stopped
}

// fold brings another word about the same token in.
func (w *word) fold(o word) {
	if o.after(w) {
		w.status, w.at = o.status, o.at
		w.title = cmp.Or(o.title, w.title)
	}
	w.title = cmp.Or(w.title, o.title)
	if w.topic == Unsorted {
		w.topic = o.topic
	}
	if w.contact == uuid.Nil {
		w.contact = o.contact
	}
	if o.granted.Before(w.granted) {
		w.granted, w.source = o.granted, o.source
	}
	w.renewed, w.expires = latest(w.renewed, o.renewed), latest(w.expires, o.expires)
	w.eligible, w.listed = latest(w.eligible, o.eligible), latest(w.listed, o.listed)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// folded leaves one word for each token, in the order of their hashes: rows are
// locked in one order.
func (s *Store) folded(words []word) []word {
	var out []word
	for _, w := range words {
		w.hash = s.box.Hash(sealedRecurring, w.value)
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b word) int { return cmp.Or(bytes.Compare(a.page[:], b.page[:]), bytes.Compare(a.hash, b.hash)) })
	n := 0
	for i := range out {
		if n > 0 && out[n-1].page == out[i].page && bytes.Equal(out[n-1].hash, out[i].hash) {
			out[n-1].fold(out[i])
			continue
		}
		out[n] = out[i]
		n++
	}
	return out[:n]
}

// take writes words down in one statement. The rules are those of fold; and who
// is in the Page's list again is live again, if that is all they were missing.
func (s *Store) take(ctx context.Context, tx *db.Tx, words []word) error {
	words = s.folded(words)
	if len(words) == 0 {
		return nil
	}
	columns, err := s.wordColumns(words)
	if err != nil {
		return err
	}
	res := tx.WithContext(ctx).Exec(`INSERT INTO recurring_tokens AS r (id, contact_id, page_id, topic, value, value_hash, status, status_at, source, title,
			granted_at, renewed_at, expires_at, eligible_at, listed_at, updated_at)
		SELECT v.id, v.contact_id, v.page_id, v.topic, v.value, v.value_hash, v.status, v.status_at, v.source, v.title,
			v.granted_at, v.renewed_at, v.expires_at, v.eligible_at, v.listed_at, v.updated_at
		FROM ? WHERE TRUE ON CONFLICT (page_id, value_hash) DO UPDATE SET
			status = CASE WHEN `+newer+` THEN EXCLUDED.status WHEN `+found+` THEN 'live' ELSE r.status END,
			status_at = CASE WHEN `+newer+` THEN EXCLUDED.status_at WHEN `+found+` THEN EXCLUDED.listed_at ELSE r.status_at END,
			title = CASE WHEN EXCLUDED.title <> '' AND (`+newer+` OR r.title = '') THEN EXCLUDED.title ELSE r.title END,
			topic = CASE WHEN r.topic = 'unsorted' THEN EXCLUDED.topic ELSE r.topic END,
			value = CASE WHEN r.contact_id IS NULL THEN EXCLUDED.value ELSE r.value END,
			contact_id = COALESCE(r.contact_id, EXCLUDED.contact_id),
			source = CASE WHEN EXCLUDED.granted_at < r.granted_at THEN EXCLUDED.source ELSE r.source END,
			granted_at = CASE WHEN EXCLUDED.granted_at < r.granted_at THEN EXCLUDED.granted_at ELSE r.granted_at END,
			renewed_at = CASE WHEN r.renewed_at IS NULL OR EXCLUDED.renewed_at > r.renewed_at THEN EXCLUDED.renewed_at ELSE r.renewed_at END,
			expires_at = CASE WHEN r.expires_at IS NULL OR EXCLUDED.expires_at > r.expires_at THEN EXCLUDED.expires_at ELSE r.expires_at END,
			eligible_at = CASE WHEN EXCLUDED.eligible_at > r.eligible_at THEN EXCLUDED.eligible_at ELSE r.eligible_at END,
			eligible_before = CASE WHEN EXCLUDED.eligible_at > r.eligible_before THEN EXCLUDED.eligible_at ELSE r.eligible_before END,
			listed_at = CASE WHEN r.listed_at IS NULL OR EXCLUDED.listed_at > r.listed_at THEN EXCLUDED.listed_at ELSE r.listed_at END,
			updated_at = EXCLUDED.updated_at`, tx.Values("v", columns...))
	if res.Error != nil {
		return fmt.Errorf("write recurring tokens: %w", res.Error)
	}
	return nil
}

const (
	newer = "(EXCLUDED.status_at > r.status_at OR EXCLUDED.status_at = r.status_at AND EXCLUDED.status = 'stopped')"
	found = "(r.status = 'missing' AND EXCLUDED.listed_at > r.status_at)"
)

func (s *Store) wordColumns(words []word) ([]db.Column, error) {
	n := len(words)
	ids, contacts, pages := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	topics, statuses, sources, titles := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	sealed, hashes := make([][]byte, n), make([][]byte, n)
	at, granted, renewed, expires := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	eligible, listed, now := make([]time.Time, n), make([]time.Time, n), slices.Repeat([]time.Time{s.moment()}, n)
	for i, w := range words {
		value, err := s.box.Seal(w.value, sealedRecurring)
		if err != nil {
			return nil, fmt.Errorf("write recurring tokens: %w", err)
		}
		ids[i], contacts[i], pages[i], sealed[i], hashes[i] = uuid.Must(uuid.NewV7()), w.contact, w.page, value, w.hash
		topics[i], statuses[i], sources[i], titles[i] = w.topic, string(w.status), string(w.source), w.title
		at[i], granted[i], renewed[i], expires[i] = w.at, w.granted, w.renewed, w.expires
		eligible[i], listed[i] = w.eligible, w.listed
	}
	return []db.Column{
		db.UUIDs("id", ids), db.UUIDs("contact_id", contacts), db.UUIDs("page_id", pages), db.Texts("topic", topics),
		db.Blobs("value", sealed), db.Blobs("value_hash", hashes), db.Texts("status", statuses), db.Times("status_at", at),
		db.Texts("source", sources), db.Texts("title", titles), db.Times("granted_at", granted), db.Times("renewed_at", renewed),
		db.Times("expires_at", expires), db.Times("eligible_at", eligible), db.Times("listed_at", listed), db.Times("updated_at", now),
	}, nil
}

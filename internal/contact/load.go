package contact

import (
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// newBatch brings and locks every contact that the items may be about: one
// query for contacts, and one each for Messenger ids, pages and topics where
// items name any, and for refused addresses where items agree by default.
func (s *Store) newBatch(tx *db.Tx, items []item) (*batch, error) {
	b := &batch{store: s, holders: map[key]*person{}, byID: map[uuid.UUID]*person{}, freed: map[key]*person{}}
	w := wantOf(items)
	if err := b.loadContacts(tx, w); err != nil {
		return nil, err
	}
	if len(w.psids) > 0 {
		if err := b.loadPlaces(tx); err != nil {
			return nil, err
		}
	}
	if err := b.loadRefused(tx, items); err != nil {
		return nil, err
	}
	return b, b.loadNames(tx, w)
}

// want is what a batch must look up.
type want struct {
	ids                       []uuid.UUID
	externals, emails, phones []string
	pages                     []uuid.UUID // beside psids
	psids                     []string
	known                     map[uuid.UUID]bool // pages named anywhere
	topics                    map[string]bool
}

func wantOf(items []item) want {
	w := want{known: map[uuid.UUID]bool{}, topics: map[string]bool{}}
	for i := range items {
		it := &items[i]
		if len(it.fields) > 0 {
			continue
		}
		if it.mode == change {
			w.ids = append(w.ids, it.id)
		}
		w.externals = appendSet(w.externals, it.ExternalID)
		w.emails = appendSet(w.emails, it.Email)
		w.phones = appendSet(w.phones, it.Phone)
		for _, m := range it.Messenger {
			w.pages, w.psids = append(w.pages, m.PageID), append(w.psids, m.PSID)
			w.known[m.PageID] = true
		}
		for _, t := range it.Tokens {
			w.known[t.PageID], w.topics[t.Topic] = true, true
		}
	}
	return w
}

func appendSet(to []string, v Optional[string]) []string {
	if v.has() {
		to = append(to, v.Value)
	}
	return to
}

// The lookups go through the unique indexes and the rows are locked in the
// order of their ids, so that batches wait for each other instead of
// deadlocking.
const findContacts = `SELECT * FROM contacts WHERE id IN (
	SELECT v.id FROM ?
	UNION SELECT c.id FROM contacts c JOIN ? ON c.external_id = v.k
	UNION SELECT c.id FROM contacts c JOIN ? ON c.email = v.k
	UNION SELECT c.id FROM contacts c JOIN ? ON c.phone = v.k
	UNION SELECT a.contact_id FROM messenger_addresses a JOIN ? ON a.page_id = v.page AND a.psid = v.psid
) ORDER BY id`

func (b *batch) loadContacts(tx *db.Tx, w want) error {
	var rows []Contact
	err := tx.Raw(findContacts+tx.ForUpdate(), tx.Values("v", db.UUIDs("id", w.ids)), tx.Values("v", db.Texts("k", w.externals)),
		tx.Values("v", db.Texts("k", w.emails)), tx.Values("v", db.Texts("k", w.phones)),
		tx.Values("v", db.UUIDs("page", w.pages), db.Texts("psid", w.psids))).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("find contacts: %w", err)
	}
	for i := range rows {
		p := &person{Contact: rows[i], pages: map[uuid.UUID]*place{}}
		b.byID[p.ID] = p
		b.people = append(b.people, p)
		for f, v := range map[field]string{byExternal: p.ExternalID, byEmail: p.Email, byPhone: p.Phone} {
			if v != "" {
				b.holders[key{field: f, value: v}] = p
			}
		}
	}
	return nil
}

func (b *batch) loadPlaces(tx *db.Tx) error {
	ids := make([]uuid.UUID, len(b.people))
	for i, p := range b.people {
		ids[i] = p.ID
	}
	var rows []Address
	if err := tx.Raw("SELECT a.* FROM messenger_addresses a JOIN ? ON a.contact_id = v.id", tx.Values("v", db.UUIDs("id", ids))).
		Scan(&rows).Error; err != nil {
		return fmt.Errorf("find Messenger ids: %w", err)
	}
	for _, a := range rows {
		p := b.byID[a.ContactID]
		p.pages[a.PageID] = &place{psid: a.PSID}
		b.holders[key{byPSID, a.PageID, a.PSID}] = p
	}
	return nil
}

// loadNames finds out which of the pages and topics named do exist.
func (b *batch) loadNames(tx *db.Tx, w want) error {
	if len(w.known) == 0 {
		return nil
	}
	var pages []uuid.UUID
	if err := tx.Raw("SELECT id FROM pages").Scan(&pages).Error; err != nil {
		return fmt.Errorf("find pages: %w", err)
	}
	b.pages = set(pages)
	if len(w.topics) == 0 {
		return nil
	}
	var topics []string
	if err := tx.Raw("SELECT slug FROM topics").Scan(&topics).Error; err != nil {
		return fmt.Errorf("find topics: %w", err)
	}
	b.topics = set(topics)
	return nil
}

func set[T comparable](all []T) map[T]bool {
	out := make(map[T]bool, len(all))
	for _, v := range all {
		out[v] = true
	}
	return out
}

package contact

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
)

// Unsilence lifts suppressions, of exactly the reason named, as far as they were
// told before Silence.At, and puts the consent of who holds the address back to what
// it was before: only where such a refusal is what made it unsubscribed, and no other
// word of the person's stands against the address. What was not suppressed stays as
// it is; that it was lifted is kept, so that an older refusal that is told later, or
// once more, does not come back. An event tells of each suppression lifted whose
// address a contact holds.
func (s *Store) Unsilence(_ context.Context, tx *db.Tx, list []Silence) error {
	for _, kind := range kinds() {
		w := s.wanted(kind, list)
		if len(w.list) == 0 {
			continue
		}
		if err := w.findHolders(tx); err != nil {
			return err
		}
		lifted, err := w.lift(tx, s.now())
		if err != nil {
			return err
		}
		if err := w.putBack(tx, lifted, s.now()); err != nil {
			return err
		}
		if err := w.tell(tx, event.SuppressionLifted, lifted, s.now()); err != nil {
			return err
		}
	}
	return nil
}

// lift removes suppressions and keeps when. It returns those that it removed.
func (w *wanted) lift(tx *db.Tx, now time.Time) ([]Suppression, error) {
	list := w.newest()
	hashes, reasons := db.Blobs("hash", each(list, func(x Silence) []byte { return x.Hash })), db.Texts("reason", each(list, func(x Silence) string { return x.Reason }))
	kind := string(w.kind)
	if err := tx.Exec(`INSERT INTO lifts (channel, hash, reason, lifted_at) SELECT v.channel, v.hash, v.reason, v.at FROM ? WHERE TRUE
		ON CONFLICT (channel, hash, reason) DO UPDATE SET lifted_at = excluded.lifted_at WHERE lifts.lifted_at < excluded.lifted_at`,
		tx.Values("v", db.Texts("channel", each(list, func(Silence) string { return kind })), hashes, reasons, db.Times("at", each(list, func(x Silence) time.Time {
			if x.At.IsZero() {
				return now
			}
			return x.At
		})))).Error; err != nil {
		return nil, fmt.Errorf("keep when suppressions were lifted: %w", err)
	}
	var gone []Suppression
	if err := tx.Raw(`DELETE FROM suppressions WHERE id IN (SELECT s.id FROM ? JOIN suppressions s ON s.channel = ? AND s.hash = v.hash AND s.reason = v.reason
		AND (v.at IS NULL OR s.refused_at < v.at)) RETURNING *`,
		tx.Values("v", hashes, reasons, db.Times("at", each(list, func(x Silence) time.Time { return x.At }))), kind).Scan(&gone).Error; err != nil {
		return nil, fmt.Errorf("lift suppressions: %w", err)
	}
	return gone, nil
}

// newest is each address and reason once, as it was said last, in the order of
// their hashes.
func (w *wanted) newest() []Silence {
	list := slices.DeleteFunc(slices.Clone(w.list), func(x Silence) bool { return len(x.Hash) == 0 })
	slices.SortFunc(list, func(a, b Silence) int {
		return cmp.Or(bytes.Compare(a.Hash, b.Hash), strings.Compare(a.Reason, b.Reason), sooner(a.At, b.At))
	})
	return slices.CompactFunc(list, func(a, b Silence) bool { return bytes.Equal(a.Hash, b.Hash) && a.Reason == b.Reason })
}

// sooner orders moments, the latest first; zero is now.
func sooner(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		if a.IsZero() {
			return -1
		}
		return 1
	}
	return b.Compare(a)
}

// putBack gives contacts the consents that they had before what was lifted.
func (w *wanted) putBack(tx *db.Tx, lifted []Suppression, now time.Time) error {
	removed := map[string]bool{}
	for _, x := range lifted {
		removed[x.Reason+" "+string(x.Hash)] = true
	}
	asked := map[uuid.UUID][]Silence{}
	for _, one := range w.list {
		if h := w.holder(one); h != nil && h.Status == Unsubscribed {
			asked[h.ID] = append(asked[h.ID], one)
		}
	}
	refusals, err := w.refusals(tx, asked)
	if err != nil {
		return err
	}
	var back []ConsentChange
	for _, r := range refusals {
		h := w.byID[r.ContactID]
		withdrawn := slices.ContainsFunc(asked[r.ContactID], func(one Silence) bool {
			return (one.Reason == r.Evidence || removed[one.Reason+" "+string(h.Hash)]) && (one.At.IsZero() || moment(r.At).Before(one.At))
		})
		if withdrawn && r.same(h.Consent) {
			back = append(back, ConsentChange{ContactID: h.ID, Channel: w.kind, How: HowLifted, NotedAt: now, Consent: r.Was})
		}
	}
	return changeConsents(tx, w.kind, back)
}

// refusals returns the last refusal of each contact against whose address no word
// of the person's stands any more.
func (w *wanted) refusals(tx *db.Tx, asked map[uuid.UUID][]Silence) ([]ConsentChange, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, 0, len(asked))
	for id := range asked {
		ids = append(ids, id)
	}
	kind := string(w.kind)
	var rows []ConsentChange
	err := tx.Raw(`SELECT r.* FROM ? JOIN contacts c ON c.id = v.id JOIN consents r ON r.id = (SELECT MAX(x.id) FROM consents x
			WHERE x.contact_id = v.id AND x.channel = ? AND x.how = ?)
		WHERE NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.channel = ? AND s.hash = c.`+hashKind(w.kind)+`_hash AND s.reason IN ?)`,
		tx.Values("v", db.UUIDs("id", ids)), kind, HowRefused, kind, optOuts()).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find what was refused: %w", err)
	}
	return rows, nil
}

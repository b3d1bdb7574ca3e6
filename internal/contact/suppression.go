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
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// Why an address is suppressed.
const (
	ReasonStop        = "stop"        // the person answered STOP
	ReasonUnsubscribe = "unsubscribe" // the person used the link
	ReasonBounce      = "bounce"
	ReasonComplaint   = "complaint"
	ReasonManual      = "manual"
)

// optOut reports whether a reason is the person's own word.
func optOut(reason string) bool {
	return reason == ReasonStop || reason == ReasonUnsubscribe || reason == ReasonComplaint
}

// Suppression is an address that must not be sent to, whoever holds it. The
// row keeps the address as a keyed hash only.
type Suppression struct {
	ID        uuid.UUID
	Channel   channel.Kind
	Hash      []byte
	Reason    string
	Source    string
	CreatedAt time.Time
}

// Silence asks to suppress an address: the one given, or the one a contact
// has, or one of which only the hash is known.
type Silence struct {
	Channel   channel.Kind // SMS or Email
	Address   string
	ContactID uuid.UUID
	Hash      []byte
	Reason    string
	Source    string
}

// Suppress silences addresses; one silenced already stays as it is. Where the
// reason is the person's own word, the consent of the contact that holds the
// address becomes unsubscribed. Addresses need not be well-formed: what a
// provider names is suppressed as it stands. Finding the holder by Hash reads
// all contacts, so name the address or the contact where they are known.
func (s *Store) Suppress(_ context.Context, tx *db.Tx, list []Silence) error {
	for _, kind := range []channel.Kind{channel.SMS, channel.Email} {
		w := s.wanted(kind, list)
		if len(w.ids)+len(w.byHash) == 0 {
			continue
		}
		held, err := w.holders(tx, kind)
		if err != nil {
			return err
		}
		if err := s.unsubscribe(tx, kind, held, w); err != nil {
			return err
		}
		if err := s.insertSuppressions(tx, w.rows(kind)); err != nil {
			return err
		}
	}
	return nil
}

// wanted is what Suppress was asked for one channel.
type wanted struct {
	byHash    map[string]Silence
	byID      map[uuid.UUID]Silence
	ids       []uuid.UUID
	addresses []string
	hashes    [][]byte
}

func (s *Store) wanted(kind channel.Kind, list []Silence) wanted {
	w := wanted{byHash: map[string]Silence{}, byID: map[uuid.UUID]Silence{}}
	for _, one := range list {
		switch {
		case one.Channel != kind:
		case one.ContactID != uuid.Nil:
			w.ids, w.byID[one.ContactID] = append(w.ids, one.ContactID), one
		case one.Address != "":
			form, ok := s.form(kind, one.Address)
			if !ok {
				form = strings.TrimSpace(one.Address)
			}
			w.addresses = append(w.addresses, form)
			w.byHash[string(s.hash(hashKind(kind), form))] = one
		case len(one.Hash) > 0:
			w.hashes = append(w.hashes, one.Hash)
			w.byHash[string(one.Hash)] = one
		}
	}
	return w
}

// holder is a contact whose address is to be silenced.
type holder struct {
	ID   uuid.UUID
	Hash []byte
}

// holders finds the contacts concerned, and learns from them the hashes of
// those that were named by id.
func (w *wanted) holders(tx *db.Tx, kind channel.Kind) ([]holder, error) {
	column := hashKind(kind)
	sql := "SELECT c.id, c." + column + "_hash AS hash FROM contacts c JOIN ? ON c.id = v.id UNION SELECT c.id, c." +
		column + "_hash AS hash FROM contacts c JOIN ? ON c." + column + " = v.address"
	args := []any{tx.Values("v", db.UUIDs("id", w.ids)), tx.Values("v", db.Texts("address", w.addresses))}
	if len(w.hashes) > 0 {
		sql += " UNION SELECT c.id, c." + column + "_hash AS hash FROM contacts c JOIN ? ON c." + column + "_hash = v.hash"
		args = append(args, tx.Values("v", db.Blobs("hash", w.hashes)))
	}
	var found []holder
	if err := tx.Raw(sql, args...).Scan(&found).Error; err != nil {
		return nil, fmt.Errorf("find who holds an address: %w", err)
	}
	for _, h := range found {
		if one, named := w.byID[h.ID]; named && len(h.Hash) > 0 {
			w.byHash[string(h.Hash)] = one
		}
	}
	return found, nil
}

func (w *wanted) rows(kind channel.Kind) []Suppression {
	var out []Suppression
	for hash, one := range w.byHash {
		out = append(out, Suppression{Channel: kind, Hash: []byte(hash), Reason: one.Reason, Source: one.Source})
	}
	return out
}

func (s *Store) unsubscribe(tx *db.Tx, kind channel.Kind, held []holder, w wanted) error {
	var ids []uuid.UUID
	var sources, reasons []string
	for _, h := range held {
		one, ok := w.byHash[string(h.Hash)]
		if !ok {
			one = w.byID[h.ID]
		}
		if optOut(one.Reason) {
			ids, sources, reasons = append(ids, h.ID), append(sources, cmp.Or(one.Source, one.Reason)), append(reasons, one.Reason)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	consent, now := string(kind)+"_consent_", s.now()
	sql := "UPDATE contacts SET " + consent + "status = 'unsubscribed', " + consent + "source = v.source, " + consent + "evidence = v.reason, " +
		consent + "at = ?, updated_at = ? FROM ? WHERE contacts.id = v.id AND " + consent + "status <> 'unsubscribed'"
	if err := tx.Exec(sql, now, now, tx.Values("v", db.UUIDs("id", ids), db.Texts("source", sources), db.Texts("reason", reasons))).Error; err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

// insertSuppressions adds rows in the order of their hashes, so that two
// transactions wait for each other instead of deadlocking.
func (s *Store) insertSuppressions(tx *db.Tx, rows []Suppression) error {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b Suppression) int { return bytes.Compare(a.Hash, b.Hash) })
	var ids []uuid.UUID
	var kinds, reasons, sources []string
	var hashes [][]byte
	for _, r := range rows {
		ids, hashes = append(ids, uuid.Must(uuid.NewV7())), append(hashes, r.Hash)
		kinds, reasons, sources = append(kinds, string(r.Channel)), append(reasons, r.Reason), append(sources, r.Source)
	}
	if err := tx.Exec(`INSERT INTO suppressions (id, channel, hash, reason, source, created_at)
		SELECT v.id, v.channel, v.hash, v.reason, v.source, ? FROM ? WHERE true ON CONFLICT (channel, hash) DO NOTHING`, s.now(),
		tx.Values("v", db.UUIDs("id", ids), db.Texts("channel", kinds), db.Blobs("hash", hashes), db.Texts("reason", reasons), db.Texts("source", sources))).Error; err != nil {
		return fmt.Errorf("suppress: %w", err)
	}
	return nil
}

func hashKind(kind channel.Kind) string {
	if kind == channel.SMS {
		return "phone"
	}
	return "email"
}

// form puts an address into its one form.
func (s *Store) form(kind channel.Kind, address string) (string, bool) {
	if kind == channel.SMS {
		return s.phone(strings.TrimSpace(address))
	}
	return email(strings.TrimSpace(address))
}

// SuppressOne silences one address and returns its row and whether it is new.
// Unlike Suppress it refuses an address that is not well-formed.
func (s *Store) SuppressOne(ctx context.Context, w Silence) (row Suppression, created bool, err error) {
	form, ok := s.form(w.Channel, w.Address)
	if w.Channel != channel.SMS && w.Channel != channel.Email {
		return row, false, fault.InvalidFields(fault.Field{Pointer: "/channel", Code: "bad_channel", Detail: "Must be sms or email."})
	}
	if !ok {
		return row, false, fault.InvalidFields(fault.Field{Pointer: "/address", Code: "bad_address", Detail: "Must be an address of the channel."})
	}
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		hash := s.hash(hashKind(w.Channel), form)
		before, err := suppressionOf(tx.DB, w.Channel, hash)
		if err != nil {
			return err
		}
		created = len(before) == 0
		if err := s.Suppress(ctx, tx, []Silence{w}); err != nil {
			return err
		}
		after, err := suppressionOf(tx.DB, w.Channel, hash)
		if err == nil {
			row = after[0]
		}
		return err
	})
	return row, created, err
}

func suppressionOf(q *gorm.DB, kind channel.Kind, hash []byte) ([]Suppression, error) {
	var rows []Suppression
	if err := q.Where("channel = ? AND hash = ?", kind, hash).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read a suppression: %w", err)
	}
	return rows, nil
}

// IsSuppressed reports whether an address must not be sent to.
func (s *Store) IsSuppressed(ctx context.Context, kind channel.Kind, address string) (bool, error) {
	form, ok := s.form(kind, address)
	if !ok {
		form = strings.TrimSpace(address)
	}
	rows, err := suppressionOf(s.db.Read(ctx), kind, s.hash(hashKind(kind), form))
	return len(rows) > 0, err
}

// Suppressions lists suppressions, newest first, and the id after which the
// next page starts: uuid.Nil when there is none. An empty channel or address
// does not narrow the list.
func (s *Store) Suppressions(ctx context.Context, kind channel.Kind, address string, after uuid.UUID, limit int) ([]Suppression, uuid.UUID, error) {
	q := s.db.Read(ctx)
	if kind != "" {
		q = q.Where("channel = ?", kind)
	}
	if address != "" {
		q = q.Where("hash IN ?", s.possibleHashes(address))
	}
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var rows []Suppression
	if err := q.Order("id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, uuid.Nil, fmt.Errorf("list suppressions: %w", err)
	}
	if len(rows) <= limit {
		return rows, uuid.Nil, nil
	}
	return rows[:limit], rows[limit-1].ID, nil
}

func (s *Store) possibleHashes(address string) [][]byte {
	out := [][]byte{}
	for _, kind := range []channel.Kind{channel.SMS, channel.Email} {
		form, ok := s.form(kind, address)
		if !ok {
			form = strings.TrimSpace(address)
		}
		out = append(out, s.hash(hashKind(kind), form))
	}
	return out
}

// Lift removes a suppression, or returns a fault.NotFound. The consent of
// whoever holds the address stays as it is.
func (s *Store) Lift(ctx context.Context, id uuid.UUID) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		r := tx.Exec("DELETE FROM suppressions WHERE id = ?", id)
		switch {
		case r.Error != nil:
			return fmt.Errorf("lift a suppression: %w", r.Error)
		case r.RowsAffected == 0:
			return fault.New(fault.NotFound, "suppression_not_found", "There is no such suppression.")
		}
		return nil
	})
}

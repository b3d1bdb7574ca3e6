package contact

import (
	"context"
	"fmt"
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

// Suppression is an address that must not be sent to, whoever holds it. The
// row keeps the address as a keyed hash only.
type Suppression struct {
	ID        uuid.UUID
	Channel   channel.Kind
	Hash      []byte
	Reason    string
	Source    string
	CreatedAt time.Time // when it was noted here
	RefusedAt time.Time // the latest time that it was told for
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
		before, err := suppressionsOf(tx.DB, w.Channel, hash, w.Reason)
		if err != nil {
			return err
		}
		created = len(before) == 0
		if err := s.Suppress(ctx, tx, []Silence{w}); err != nil {
			return err
		}
		after, err := suppressionsOf(tx.DB, w.Channel, hash, w.Reason)
		if err == nil {
			row = after[0]
		}
		return err
	})
	return row, created, err
}

func suppressionsOf(q *gorm.DB, kind channel.Kind, hash []byte, reasons ...string) ([]Suppression, error) {
	q = q.Where("channel = ? AND hash = ?", kind, hash)
	if len(reasons) > 0 {
		q = q.Where("reason IN ?", reasons)
	}
	var rows []Suppression
	if err := q.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return rows, nil
}

// IsSuppressed reports whether an address must not be sent to.
func (s *Store) IsSuppressed(ctx context.Context, kind channel.Kind, address string) (bool, error) {
	rows, err := suppressionsOf(s.db.Read(ctx), kind, s.hashAsIs(kind, address))
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
	for _, kind := range kinds() {
		out = append(out, s.hashAsIs(kind, address))
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

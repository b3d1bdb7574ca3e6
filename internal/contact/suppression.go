package contact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
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

func reasons() []string {
	return []string{ReasonStop, ReasonUnsubscribe, ReasonBounce, ReasonComplaint, ReasonUndeliverable, ReasonManual}
}

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

// SuppressOne silences one address from now on and returns its row and whether it is
// new. Unlike Suppress it refuses an address that is not well-formed, and tells of it
// by event even when nobody holds the address.
func (s *Store) SuppressOne(ctx context.Context, one Silence) (row Suppression, created bool, err error) {
	if err := s.checkOne(one); err != nil {
		return row, false, err
	}
	one.At = time.Time{}
	hash := s.hashAsIs(one.Channel, one.Address)
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		w := s.wanted(one.Channel, []Silence{one})
		w.alone = true
		made, err := s.suppress(tx, w)
		if err != nil {
			return err
		}
		rows, err := suppressionsOf(tx.DB, one.Channel, hash, one.Reason)
		if err == nil {
			row, created = rows[0], len(made) > 0
		}
		return err
	})
	return row, created, err
}

// checkOne refuses what cannot be an address of the channel.
func (s *Store) checkOne(one Silence) error {
	if !slices.Contains(kinds(), one.Channel) {
		return fault.InvalidFields(fault.Field{Pointer: "/channel", Code: "bad_channel", Detail: "Must be sms or email."})
	}
	if _, ok := s.form(one.Channel, one.Address); !ok {
		return fault.InvalidFields(fault.Field{Pointer: "/address", Code: "bad_address", Detail: "Must be an address of the channel."})
	}
	return nil
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

// SuppressionFilter narrows a list of suppressions; its zero value lets all through.
type SuppressionFilter struct {
	Channel channel.Kind
	Address string // kept as a hash only, so this must be the whole of it
	Reason  string
}

// Suppressions lists suppressions, newest first, and the id after which the
// next page starts: uuid.Nil when there is none.
func (s *Store) Suppressions(ctx context.Context, f SuppressionFilter, after uuid.UUID, limit int) ([]Suppression, uuid.UUID, error) {
	q := s.db.Read(ctx)
	if f.Channel != "" {
		q = q.Where("channel = ?", f.Channel)
	}
	if f.Address != "" {
		q = q.Where("hash IN ?", s.possibleHashes(f.Address))
	}
	if f.Reason != "" {
		q = q.Where("reason = ?", f.Reason)
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

var errNotSuppressed = fault.New(fault.NotFound, "suppression_not_found", "There is no such suppression.")

// Lift removes a suppression, or returns a fault.NotFound. The consent of whoever
// holds the address stays as it is, for only the person can give it back, and so do
// suppressions of the address for other reasons.
func (s *Store) Lift(ctx context.Context, id uuid.UUID) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		var rows []Suppression
		if err := tx.Where("id = ?", id).Find(&rows).Error; err != nil {
			return fmt.Errorf("read a suppression: %w", err)
		}
		if len(rows) == 0 {
			return errNotSuppressed
		}
		return s.liftOne(tx, Silence{Channel: rows[0].Channel, Hash: rows[0].Hash, Reason: rows[0].Reason})
	})
}

// LiftOne is Lift for the suppression of an address for a reason. It refuses an
// address that is not well-formed.
func (s *Store) LiftOne(ctx context.Context, one Silence) error {
	if err := s.checkOne(one); err != nil {
		return err
	}
	return s.db.Transact(ctx, func(tx *db.Tx) error { return s.liftOne(tx, one) })
}

func (s *Store) liftOne(tx *db.Tx, one Silence) error {
	w := s.wanted(one.Channel, []Silence{one})
	w.alone = true
	if err := w.findHolders(tx); err != nil {
		return err
	}
	gone, err := w.lift(tx, s.now())
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		return errNotSuppressed
	}
	return w.tell(tx, event.SuppressionLifted, gone, s.now())
}

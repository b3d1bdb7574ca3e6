package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
)

var (
	errInUse = fault.New(fault.Conflict, "token_in_use", "A message is going out with this token.")
	errOver  = fault.New(fault.Conflict, "token_over", "The token is used or expired already.")
)

// Get returns a token of a contact, or a NotFound fault.
func (s *Store) Get(ctx context.Context, contactID, id uuid.UUID) (Token, error) {
	var list []Token
	err := s.db.Read(ctx).Raw("SELECT "+columns+" FROM tokens WHERE id = ? AND contact_id = ?", id, contactID).Scan(&list).Error
	switch {
	case err != nil:
		return Token{}, fmt.Errorf("get token: %w", err)
	case len(list) == 0:
		return Token{}, errNoToken
	}
	return s.asOfNow(list)[0], nil
}

// Move puts an available token of a contact under another topic; for tokens
// that came unsorted. A token that cannot be moved is a NotFound fault, a topic
// that is not there an Invalid one.
func (s *Store) Move(ctx context.Context, tx *db.Tx, contactID, id uuid.UUID, topic string) error {
	var found []uuid.UUID
	err := tx.WithContext(ctx).Raw("SELECT id FROM tokens WHERE id = ? AND contact_id = ? AND status = 'available' AND expires_at > ?"+tx.ForUpdate(),
		id, contactID, s.moment()).Scan(&found).Error
	switch {
	case err != nil:
		return fmt.Errorf("move token: %w", err)
	case len(found) == 0:
		return errNoToken
	}
	if _, err := topicIn(tx, clean(topic)); errors.Is(err, errNoTopic) {
		return errTopic
	} else if err != nil {
		return err
	}
	if err := tx.Exec("UPDATE tokens SET topic = ?, updated_at = ? WHERE id = ?", topic, s.moment(), id).Error; err != nil {
		return fmt.Errorf("move token: %w", err)
	}
	return nil
}

// Revoke makes a token void that nobody has used: the person took the
// permission back. One that is void stays so. One that a message goes out with
// is a Conflict with code token_in_use, one that is used up or expired with
// code token_over.
func (s *Store) Revoke(ctx context.Context, tx *db.Tx, contactID, id uuid.UUID) error {
	var gone []told
	err := tx.WithContext(ctx).Raw(`UPDATE tokens SET status = 'void', updated_at = ? WHERE id = ? AND contact_id = ? AND status = 'available' AND expires_at > ?
		RETURNING `+toldColumns, s.moment(), id, contactID, s.moment()).Scan(&gone).Error
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	if len(gone) > 0 {
		return tell(tx, event.TokenRevoked, s.moment(), gone)
	}
	var status []Status
	if err := tx.Raw("SELECT status FROM tokens WHERE id = ? AND contact_id = ?", id, contactID).Scan(&status).Error; err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	switch {
	case len(status) == 0:
		return errNoToken
	case status[0] == Void:
		return nil
	case status[0] == Reserved:
		return errInUse
	}
	return errOver
}

// Notice tells of available tokens that end within the given time, each once,
// a bounded number at a time, and returns how many there were.
func (s *Store) Notice(ctx context.Context, tx *db.Tx, now time.Time, within time.Duration) (int, error) {
	var soon []told
	err := tx.WithContext(ctx).Raw(`UPDATE tokens SET noticed_at = ? WHERE id IN (
		SELECT id FROM tokens WHERE status = 'available' AND noticed_at IS NULL AND expires_at > ? AND expires_at <= ? ORDER BY expires_at LIMIT ?`+tx.SkipLocked()+`)
		RETURNING `+toldColumns, now, now, now.Add(within), expireBite).Scan(&soon).Error
	if err != nil {
		return 0, fmt.Errorf("find tokens that end soon: %w", err)
	}
	return len(soon), tell(tx, event.TokenExpiring, now, soon)
}

// told is what events say of a token.
type told struct {
	ID, ContactID, PageID uuid.UUID
	Topic                 string
	Status                Status
	ExpiresAt             time.Time
}

const toldColumns = "id, contact_id, page_id, topic, status, expires_at"

func tell(tx *db.Tx, what event.Type, at time.Time, tokens []told) error {
	events := make([]event.Event, len(tokens))
	for i, t := range tokens {
		events[i] = event.Event{Type: what, At: at, Page: t.PageID, Contact: t.ContactID,
			Data: map[string]any{"token_id": t.ID, "topic": t.Topic, "expires_at": t.ExpiresAt.UTC()}}
	}
	return event.Add(tx, events...)
}

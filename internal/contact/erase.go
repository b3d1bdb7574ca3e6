package contact

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// Erase removes a contact with its addresses, tokens and opt-in requests. What
// it opted out of stays silent: the keyed hashes of those addresses are
// suppressed, so that importing the person again sends nothing. Of recurring
// tokens the keyed hashes stay, so that Meta's list of them does not bring the
// person back. An event tells of it, with the external id, so that the CRM can do the same.
func (s *Store) Erase(ctx context.Context, id uuid.UUID) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error { return s.EraseIn(tx, id) })
}

// EraseIn is Erase in a transaction of the caller's.
func (s *Store) EraseIn(tx *db.Tx, id uuid.UUID) error {
	var c []Contact
	if err := tx.Raw("SELECT * FROM contacts WHERE id = ?"+tx.ForUpdate(), id).Scan(&c).Error; err != nil {
		return fmt.Errorf("read a contact: %w", err)
	}
	if len(c) == 0 {
		return errNotFound
	}
	if err := s.silenceErased(tx, c[0]); err != nil {
		return err
	}
	if err := tx.Exec("UPDATE recurring_tokens SET contact_id = NULL, value = ?, title = '', status = 'stopped', status_at = ?, updated_at = ? WHERE contact_id = ?",
		[]byte{}, s.now(), s.now(), id).Error; err != nil {
		return fmt.Errorf("erase recurring tokens: %w", err)
	}
	if err := tx.Exec("DELETE FROM missed_addresses WHERE (channel = ? AND hash = ?) OR (channel = ? AND hash = ?)", channel.SMS, c[0].PhoneHash, channel.Email, c[0].EmailHash).Error; err != nil {
		return fmt.Errorf("erase misses: %w", err)
	}
	if err := tx.Exec("DELETE FROM contacts WHERE id = ?", id).Error; err != nil {
		return fmt.Errorf("erase a contact: %w", err)
	}
	return event.Add(tx, erased(c[0], s.now()))
}

// erased tells of an erasure. An external id that could be an address is not told.
func erased(c Contact, at time.Time) event.Event {
	e := event.Event{Type: event.ContactErased, At: at, Contact: c.ID}
	if c.ExternalID != "" && !strings.ContainsAny(c.ExternalID, "@+") {
		e.Data = map[string]any{"external_id": c.ExternalID}
	}
	return e
}

// silenceErased suppresses the addresses that the person opted out of, where none
// of the person's own words stands against them already.
func (s *Store) silenceErased(tx *db.Tx, c Contact) error {
	var rows []Suppression
	for kind, at := range map[channel.Kind]struct {
		hash   []byte
		status string
	}{channel.SMS: {c.PhoneHash, c.SMSConsent.Status}, channel.Email: {c.EmailHash, c.EmailConsent.Status}} {
		if at.status != Unsubscribed || at.hash == nil {
			continue
		}
		said, err := suppressionsOf(tx.DB, kind, at.hash, optOuts()...)
		if err != nil {
			return err
		}
		if len(said) == 0 {
			rows = append(rows, Suppression{Channel: kind, Hash: at.hash, Reason: ReasonUnsubscribe, Source: "erasure", CreatedAt: s.now(), RefusedAt: s.now()})
		}
	}
	_, err := insertSuppressions(tx, rows)
	return err
}

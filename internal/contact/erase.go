package contact

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Erase removes a contact with its addresses, tokens and opt-in requests. What
// it opted out of stays silent: the keyed hashes of those addresses are
// suppressed, so that importing the person again sends nothing.
func (s *Store) Erase(ctx context.Context, id uuid.UUID) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		var c []Contact
		if err := tx.Raw("SELECT * FROM contacts WHERE id = ?"+tx.ForUpdate(), id).Scan(&c).Error; err != nil {
			return fmt.Errorf("read a contact: %w", err)
		}
		if len(c) == 0 {
			return errNotFound
		}
		if err := s.insertSuppressions(tx, optOuts(c[0])); err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM contacts WHERE id = ?", id).Error; err != nil {
			return fmt.Errorf("erase a contact: %w", err)
		}
		return nil
	})
}

func optOuts(c Contact) (out []Suppression) {
	add := func(kind channel.Kind, consent Consent, hash []byte) {
		if consent.Status == Unsubscribed && hash != nil {
			out = append(out, Suppression{Channel: kind, Hash: hash, Reason: ReasonUnsubscribe, Source: "erasure"})
		}
	}
	add(channel.SMS, c.SMSConsent, c.PhoneHash)
	add(channel.Email, c.EmailConsent, c.EmailHash)
	return out
}

package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// ReasonUndeliverable is why a phone is suppressed that its carrier does not
// know or that takes no texts.
const ReasonUndeliverable = "undeliverable"

// CloseWindow notes that Messenger considers windows closed that were thought
// open. Who acted later than at is left alone.
func (s *Store) CloseWindow(_ context.Context, tx *db.Tx, page uuid.UUID, psids []string, at time.Time) error {
	if len(psids) == 0 {
		return nil
	}
	err := tx.Exec(`UPDATE messenger_addresses SET last_action_at = NULL FROM ?
		WHERE page_id = v.page AND messenger_addresses.psid = v.psid AND last_action_at <= ?`, tx.Values("v", onPage(page, psids), db.Texts("psid", psids)), at).Error
	if err != nil {
		return fmt.Errorf("close windows: %w", err)
	}
	return nil
}

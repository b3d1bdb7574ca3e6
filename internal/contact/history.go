package contact

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// How a consent came to change.
const (
	HowAPI     = "api"
	HowImport  = "import"
	HowBot     = "bot"     // the person's answer in Messenger
	HowRefused = "refused" // a STOP, an unsubscription, a complaint
	HowLifted  = "lifted"  // what had been refused was taken back: the consent is what it was before
	HowMerged  = "merged"  // it was a contact's that turned out to be the same person
	HowBefore  = "before"  // it was there before changes were kept
)

// entry is one change of a consent: what holds from then on.
type entry struct {
	ID        int64
	ContactID uuid.UUID
	Channel   channel.Kind
	How       string
	NotedAt   time.Time
	Consent
	Was Consent `gorm:"embedded;embeddedPrefix:was_"` // with HowRefused: what it took the place of
}

// TableName names the table for GORM.
func (entry) TableName() string { return "consents" }

var entryColumns = [...]string{"contact_id", "channel", "how", "noted_at", "status", "source", "at", "evidence",
	"was_status", "was_source", "was_at", "was_evidence"}

// remember keeps changes, in their order.
func remember(tx *db.Tx, said []entry) error {
	rows := make([][]any, len(said))
	for i, e := range said {
		rows[i] = []any{e.ContactID, string(e.Channel), e.How, e.NotedAt, e.Status, e.Source, timeOrNull(e.At), e.Evidence,
			e.Was.Status, e.Was.Source, timeOrNull(e.Was.At), e.Was.Evidence}
	}
	if err := tx.Copy("consents", entryColumns[:], rows); err != nil {
		return fmt.Errorf("keep changes of consents: %w", err)
	}
	return nil
}

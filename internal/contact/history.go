package contact

import (
	"context"
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

// ConsentChange is one change of a consent: what held from then on.
type ConsentChange struct {
	ID        int64
	ContactID uuid.UUID
	Channel   channel.Kind
	How       string
	NotedAt   time.Time // when it was written here; Consent.At is when it was said
	Consent
	Was Consent `gorm:"embedded;embeddedPrefix:was_"` // with HowRefused: what it took the place of
}

// TableName names the table for GORM.
func (ConsentChange) TableName() string { return "consents" }

var entryColumns = [...]string{"contact_id", "channel", "how", "noted_at", "status", "source", "at", "evidence", "undated",
	"was_status", "was_source", "was_at", "was_evidence", "was_undated"}

// remember keeps changes, in their order.
func remember(tx *db.Tx, said []ConsentChange) error {
	rows := make([][]any, len(said))
	for i, e := range said {
		rows[i] = []any{e.ContactID, string(e.Channel), e.How, e.NotedAt, e.Status, e.Source, timeOrNull(e.At), e.Evidence, e.Undated,
			e.Was.Status, e.Was.Source, timeOrNull(e.Was.At), e.Was.Evidence, e.Was.Undated}
	}
	if err := tx.Copy("consents", entryColumns[:], rows); err != nil {
		return fmt.Errorf("keep changes of consents: %w", err)
	}
	return nil
}

// Consents lists what a contact said of its channels, newest first, and the id after
// which the next page starts: 0 when there is none. Start with after 0. A contact
// that is not there is a fault.NotFound.
func (s *Store) Consents(ctx context.Context, contactID uuid.UUID, after int64, limit int) ([]ConsentChange, int64, error) {
	if _, err := s.Get(ctx, contactID); err != nil {
		return nil, 0, err
	}
	q := s.db.Read(ctx).Where("contact_id = ?", contactID)
	if after != 0 {
		q = q.Where("id < ?", after)
	}
	var rows []ConsentChange
	if err := q.Order("id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, 0, fmt.Errorf("list changes of consents: %w", err)
	}
	if len(rows) <= limit {
		return rows, 0, nil
	}
	return rows[:limit], rows[limit-1].ID, nil
}

package token

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// RecurringStatus is what is known of a recurring token.
type RecurringStatus string

// The states of a recurring token. The person stops and resumes it; Void and
// Missing end when Meta tells of it again.
const (
	Live    RecurringStatus = "live"
	Stopped RecurringStatus = "stopped" // by the person
	Invalid RecurringStatus = "void"    // Meta refused it
	Missing RecurringStatus = "missing" // it is not in the Page's list any more
)

// Rest is how long a recurring token must not be used again (Meta, recurring
// notifications: one message for each token in 48 hours).
const Rest = 48 * time.Hour

const recurringColumns = "id, contact_id, page_id, topic, status, source, title, granted_at, renewed_at, expires_at, eligible_at, held_by, updated_at"

// RecurringToken is permission to send Messenger messages for a topic again and
// again, one in 48 hours at most. Its value is not part of it: only
// ReserveRecurring hands that out.
type RecurringToken struct {
	ID         uuid.UUID
	ContactID  *uuid.UUID // nil: the person stopped it before they were heard of, or was erased
	PageID     uuid.UUID
	Topic      string
	Status     RecurringStatus
	Source     Source
	Title      string // what the person was shown
	GrantedAt  time.Time
	RenewedAt  *time.Time // when the person last chose to go on
	ExpiresAt  *time.Time // nil: nobody said when
	EligibleAt time.Time  // it may be used from then on
	HeldBy     *int64     // the delivery that goes out with it now
	UpdatedAt  time.Time
}

// FromListing is the source of tokens that were found in a Page's own list.
const FromListing Source = "listing"

// sealedRecurring is what the values of recurring tokens are bound to when they
// are sealed, and the kind of their hash.
const sealedRecurring = "recurring"

// Expired reports whether the token's time is over.
func (t *RecurringToken) Expired(now time.Time) bool {
	return t.ExpiresAt != nil && !now.Before(*t.ExpiresAt)
}

// RecurringOf returns all recurring tokens of some contacts, newest first, by
// contact.
func (s *Store) RecurringOf(ctx context.Context, contactIDs ...uuid.UUID) (map[uuid.UUID][]RecurringToken, error) {
	var list []RecurringToken
	err := s.db.Read(ctx).Raw("SELECT "+recurringColumns+" FROM recurring_tokens WHERE contact_id IN ? ORDER BY granted_at DESC, id DESC", contactIDs).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("list recurring tokens: %w", err)
	}
	of := make(map[uuid.UUID][]RecurringToken, len(contactIDs))
	for _, t := range list {
		of[*t.ContactID] = append(of[*t.ContactID], t)
	}
	return of, nil
}

// RecurringCount is how many recurring tokens of a Page are in each state;
// those whose time is over count apart.
type RecurringCount struct {
	ByStatus map[RecurringStatus]int
	Expired  int
}

// CountRecurring counts the recurring tokens of a Page.
func (s *Store) CountRecurring(ctx context.Context, pageID uuid.UUID) (RecurringCount, error) {
	out := RecurringCount{ByStatus: map[RecurringStatus]int{Live: 0, Stopped: 0, Invalid: 0, Missing: 0}}
	var rows []struct {
		Status RecurringStatus
		Over   bool
		N      int
	}
	err := s.db.Read(ctx).Raw(`SELECT status, over, COUNT(*) AS n FROM (
		SELECT status, status = 'live' AND CASE WHEN expires_at <= ? THEN TRUE ELSE FALSE END AS over FROM recurring_tokens WHERE page_id = ?) AS r
		GROUP BY status, over`, s.moment(), pageID).Scan(&rows).Error
	if err != nil {
		return out, fmt.Errorf("count recurring tokens: %w", err)
	}
	for _, r := range rows {
		if r.Over {
			out.Expired += r.N
		} else {
			out.ByStatus[r.Status] += r.N
		}
	}
	return out, nil
}

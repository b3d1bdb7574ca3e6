package contact

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// HeldSuppression is a suppression, and who holds its address.
type HeldSuppression struct {
	Suppression
	ContactID uuid.NullUUID
}

// ExportSuppressions returns up to limit suppressions, oldest first: those after the
// one with the id after, or the first when it is uuid.Nil.
func (s *Store) ExportSuppressions(ctx context.Context, f SuppressionFilter, after uuid.UUID, limit int) ([]HeldSuppression, error) {
	where, args := []string{"s.id > ?"}, []any{after}
	if f.Channel != "" {
		where, args = append(where, "s.channel = ?"), append(args, string(f.Channel))
	}
	if f.Reason != "" {
		where, args = append(where, "s.reason = ?"), append(args, f.Reason)
	}
	if f.Address != "" {
		where, args = append(where, "s.hash IN ?"), append(args, s.possibleHashes(f.Address))
	}
	var rows []HeldSuppression
	err := s.db.Read(ctx).Raw(`SELECT s.*, CASE s.channel WHEN 'sms' THEN (SELECT c.id FROM contacts c WHERE c.phone_hash = s.hash LIMIT 1)
			ELSE (SELECT c.id FROM contacts c WHERE c.email_hash = s.hash LIMIT 1) END AS contact_id
		FROM suppressions s WHERE `+strings.Join(where, " AND ")+` ORDER BY s.id LIMIT ?`, append(args, limit)...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("export suppressions: %w", err)
	}
	return rows, nil
}

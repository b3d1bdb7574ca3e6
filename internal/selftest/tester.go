package selftest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/line"
)

// reachable finds the tester on the Page, or says why they cannot be asked now.
func reachable(tx *db.Tx, pageID uuid.UUID, who Tester, now time.Time) (contact uuid.UUID, psid string, err error) {
	var found []struct {
		ContactID                          uuid.UUID
		Psid                               string
		LastActionAt, BlockedAt, HeldUntil *time.Time
	}
	q := tx.Table("messenger_addresses").Where("page_id = ?", pageID)
	if who.PSID != "" {
		q = q.Where("psid = ?", who.PSID)
	} else {
		q = q.Where("contact_id = ?", who.ContactID)
	}
	if err := q.Scan(&found).Error; err != nil {
		return uuid.Nil, "", fmt.Errorf("find the tester: %w", err)
	}
	if len(found) == 0 {
		return uuid.Nil, "", errNobody
	}
	f := found[0]
	stopped, err := line.IsStopped(tx, channel.Window.Line(pageID.String()))
	switch {
	case err != nil:
		return uuid.Nil, "", err
	case stopped:
		return uuid.Nil, "", errStopped
	case f.BlockedAt != nil, !channel.InWindow(f.LastActionAt, now):
		return uuid.Nil, "", errWindow
	case f.HeldUntil != nil && now.Before(*f.HeldUntil):
		return uuid.Nil, "", errHeld
	}
	return f.ContactID, f.Psid, nil
}

package capture

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// place is where a person stands on a page.
type place struct {
	PSID         string `gorm:"column:psid"`
	LastActionAt *time.Time
	BlockedAt    *time.Time
	HeldUntil    *time.Time

	Stopped                  bool `gorm:"-"`
	hasEmail, hasPhone       bool
	emailConsent, smsConsent string
}

// look reads where a person stands. The address is also what two questions at
// once wait for.
func look(tx *db.Tx, page, id uuid.UUID) (p place, err error) {
	var found []place
	if err := tx.Raw("SELECT psid, last_action_at, blocked_at, held_until FROM messenger_addresses WHERE contact_id = ? AND page_id = ?"+tx.ForUpdate(),
		id, page).Scan(&found).Error; err != nil {
		return p, fmt.Errorf("find a Messenger address: %w", err)
	}
	if len(found) == 0 {
		return p, missing(tx, page, id)
	}
	p = found[0]
	err = tx.Raw(`SELECT COALESCE((SELECT stopped FROM stops WHERE page_id = ? AND contact_id = c.id), FALSE) AS stopped, c.email IS NOT NULL, c.phone IS NOT NULL,
		c.email_consent_status, c.sms_consent_status FROM contacts c WHERE c.id = ?`, page, id).
		Row().Scan(&p.Stopped, &p.hasEmail, &p.hasPhone, &p.emailConsent, &p.smsConsent)
	if err != nil {
		return p, fmt.Errorf("look where somebody stands: %w", err)
	}
	return p, nil
}

// absent is a fault about a field that names what is not there.
func absent(pointer, code, detail string) *fault.Error {
	return fault.New(fault.Invalid, code, "%s", detail).With(fault.Field{Pointer: pointer, Code: code, Detail: detail})
}

// missing says what of a page, a contact and their address is not there.
func missing(tx *db.Tx, page, id uuid.UUID) error {
	var has struct{ Page, Contact bool }
	err := tx.Raw("SELECT EXISTS (SELECT 1 FROM pages WHERE id = ?) AS page, EXISTS (SELECT 1 FROM contacts WHERE id = ?) AS contact", page, id).Scan(&has).Error
	switch {
	case err != nil:
		return fmt.Errorf("look what is missing: %w", err)
	case !has.Contact:
		return errContact
	case !has.Page:
		return errPage
	}
	return errAddress
}

// speakable says why nothing may be said to the person now.
func (p *place) speakable(now time.Time) error {
	switch {
	case p.Stopped:
		return errStopped
	case p.HeldUntil != nil && now.Before(*p.HeldUntil):
		return errHeld
	case p.BlockedAt != nil || !channel.InWindow(p.LastActionAt, now):
		return errWindow
	}
	return nil
}

// wants says why the person is not to be asked for an address of this kind.
func (p *place) wants(kind channel.Kind) error {
	has, consent := p.hasEmail, p.emailConsent
	if kind == channel.SMS {
		has, consent = p.hasPhone, p.smsConsent
	}
	switch {
	case consent == contact.Unsubscribed:
		return errNo
	case has && consent == contact.Subscribed:
		return errKnown
	}
	return nil
}

package contact

import (
	"time"

	"github.com/google/uuid"
)

// Optional is a field of a Draft: left out (the zero value), null, or a value.
type Optional[T any] struct {
	Set   bool // sent at all
	Null  bool // sent as null: remove what is there
	Value T
}

// Of is a field that is set to v.
func Of[T any](v T) Optional[T] { return Optional[T]{Set: true, Value: v} }

// Null is a field that is removed.
func Null[T any]() Optional[T] { return Optional[T]{Set: true, Null: true} }

func (o Optional[T]) has() bool { return o.Set && !o.Null }

// Draft is what is known about a person: fields set are written, fields left
// out stay, null removes.
type Draft struct {
	ExternalID, FirstName, LastName, Email, Phone, Locale, TimeZone Optional[string]
	// Attributes are merged name by name; nil removes a name.
	Attributes map[string]any
	// A consent without a time is from now; one older than what is stored
	// changes nothing.
	SMSConsent, EmailConsent Optional[Consent]
	// Messenger and Tokens are added to what is there.
	Messenger []MessengerID
	Tokens    []TokenDraft
}

// MessengerID is a person's id on a page.
type MessengerID struct {
	PageID uuid.UUID
	PSID   string
}

// TokenDraft is a token that another bot platform collected.
type TokenDraft struct {
	PageID    uuid.UUID
	Topic     string
	Value     string
	GrantedAt time.Time // zero is now
}

// identified reports whether the draft says who it is about.
func (d *Draft) identified() bool {
	return d.ExternalID.has() || d.Email.has() || d.Phone.has() || len(d.Messenger) > 0
}

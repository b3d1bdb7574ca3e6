// Package contact keeps the people a business knows: their addresses, what they
// consented to, and which addresses must stay silent.
package contact

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

// The answers a person can have given for a channel. None given is "".
const (
	Subscribed   = "subscribed"
	Unsubscribed = "unsubscribed"
)

// Contact is a person the business knows. Empty texts are NULL in the row
// where the column allows it; the hashes always belong to Phone and Email.
type Contact struct {
	ID           uuid.UUID
	ExternalID   string
	FirstName    string
	LastName     string
	Locale       string
	TimeZone     string
	Attributes   Attributes
	Phone        string
	PhoneHash    []byte
	Email        string
	EmailHash    []byte
	SMSConsent   Consent `gorm:"embedded;embeddedPrefix:sms_consent_"`
	EmailConsent Consent `gorm:"embedded;embeddedPrefix:email_consent_"`
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Anonymous reports whether nothing says who the person is: known by
// Messenger ids only.
func (c Contact) Anonymous() bool { return c.ExternalID == "" && c.Phone == "" && c.Email == "" }

// Consent is what a person said about one channel. It belongs to the contact
// and the channel: a new phone number or e-mail address leaves it as it is.
type Consent struct {
	Status   string // Subscribed, Unsubscribed or "" when never asked
	Source   string
	At       *time.Time
	Evidence string
	Undated  bool // from a file that told no time: At is when it came in
}

// Address is where a contact can be reached on a Page.
type Address struct {
	PageID       uuid.UUID
	PSID         string `gorm:"column:psid"`
	ContactID    uuid.UUID
	LastActionAt *time.Time // opens the window; nil when the person never acted
	BlockedAt    *time.Time
	CreatedAt    time.Time

	// Who holds the thread: the latest sign of each kind, written by NoteThreads.
	ThreadApp   string     // whom a hand-over gave it to: Us, Other or an app's id; "" when there was none
	ThreadAppAt *time.Time // when that was
	StandbyAt   *time.Time // something was said past us
	HumanAt     *time.Time // a human wrote in the Page's inbox
	HeldUntil   *time.Time // the thread is left alone until then; nil when nobody else holds it
}

// Held reports whether another app or a human holds the thread.
func (a Address) Held(now time.Time) bool { return a.HeldUntil != nil && now.Before(*a.HeldUntil) }

// TableName names the table for GORM.
func (Address) TableName() string { return "messenger_addresses" }

// Attributes is a JSON object as it is stored.
type Attributes json.RawMessage

// Map decodes the object. It is never nil.
func (a Attributes) Map() map[string]any {
	out := map[string]any{}
	_ = json.Unmarshal(a, &out) // the column holds nothing but objects
	return out
}

// Scan reads the column of either engine.
func (a *Attributes) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*a = Attributes(v)
	case []byte:
		*a = append(Attributes(nil), v...)
	default:
		return fmt.Errorf("attributes cannot be read from %T", v)
	}
	return nil
}

// Value gives the column's text.
func (a Attributes) Value() (driver.Value, error) {
	if len(a) == 0 {
		return "{}", nil
	}
	return string(a), nil
}

// Grant is a Messenger token that came with a contact.
type Grant struct {
	ContactID uuid.UUID
	PageID    uuid.UUID
	Topic     string
	Value     string
	GrantedAt time.Time
}

// GrantFunc stores tokens in the transaction of the contacts they came with.
// Pages and topics were checked to exist; a token known already is not an error.
type GrantFunc func(ctx context.Context, tx *db.Tx, grants []Grant) error

// Options set a Store up.
type Options struct {
	// DefaultRegion is the country, as in "GB", of phone numbers written
	// without a country code. Empty: such numbers are refused.
	DefaultRegion string
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Grant stores tokens that come with contacts. Nil refuses them.
	Grant GrantFunc
	// MaxImport is the largest import in bytes; 0 is 1 GiB.
	MaxImport int64
	// MissLimit is how many messages in a row may miss an address until it is
	// suppressed; 0 is 3.
	MissLimit int
}

// Store keeps contacts. It is safe for use by many goroutines.
type Store struct {
	db        *db.DB
	queue     *queue.Queue
	box       *seal.Box
	region    string
	clock     func() time.Time
	grant     GrantFunc
	maxImport int64
	missLimit int
	budget    time.Duration // how long one run of an import works
	zones     sync.Map      // time zone names known to exist
}

// New returns a store and registers its jobs with the queue, which must not be
// open yet. A store without a queue takes no imports.
func New(d *db.DB, q *queue.Queue, box *seal.Box, o Options) *Store {
	s := &Store{db: d, queue: q, box: box, region: o.DefaultRegion, clock: o.Now, grant: o.Grant, maxImport: o.MaxImport, missLimit: o.MissLimit, budget: 20 * time.Second}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.maxImport == 0 {
		s.maxImport = 1 << 30
	}
	if s.missLimit == 0 {
		s.missLimit = defaultMisses
	}
	if q != nil {
		queue.Handle(q, importsAtOnce, s.work)
	}
	return s
}

func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

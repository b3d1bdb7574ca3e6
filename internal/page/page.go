// Package page keeps the Facebook Pages whose bots we drive: their names,
// what Meta lets them do, and their sealed access tokens.
package page

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/fault"
	"beckon/internal/hours"
)

// TokenState is what Graph said to the access token when it was last used.
type TokenState string

// The states of an access token.
const (
	TokenUnknown TokenState = "unknown"
	TokenWorks   TokenState = "works"
	TokenRefused TokenState = "refused"
)

// DefaultQuiet is after how many hours without an event of a Page somebody is
// told, unless the Page says otherwise.
const DefaultQuiet = 24

// Page is a Facebook Page. Its access token is not part of it: see
// Store.Sender.
type Page struct {
	ID             uuid.UUID `gorm:"primaryKey"`
	FacebookPageID string    // the Graph id
	Name           string
	Username       string // the m.me name; may be empty
	TimeZone       string // IANA name; may be empty
	Country        string // two capital letters, ISO 3166; may be empty
	HoldHours      int    // how long a thread that another app or a human holds is left alone; 0: not at all
	TokenHealth    TokenState
	QuietHours     int // without an event before somebody is told; 0 is never
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Capabilities   map[Capability]Known `gorm:"-"` // all of them; ByGraphID leaves them out
	Health         Health               `gorm:"-"` // ByGraphID leaves it out
}

// DefaultHoldHours is how long a new Page leaves a thread alone after the last
// sign that another app or a human holds it; MaxHoldHours is a year.
const (
	DefaultHoldHours = 24
	MaxHoldHours     = 365 * 24
)

// Handle is the Page's name in m.me links: its username, or else its Graph id.
func (p Page) Handle() string {
	if p.Username != "" {
		return p.Username
	}
	return p.FacebookPageID
}

// Draft is a Page to be added.
type Draft struct {
	FacebookPageID string // digits
	Name           string
	Username       string // may be empty
	TimeZone       string // may be empty
	Country        string // may be empty
	QuietHours     *int   // nil is DefaultQuiet, 0 never
	AccessToken    string
}

// Patch is a change to a Page. Fields that are nil stay as they are.
type Patch struct {
	Name         *string
	Username     *string // "" removes it
	TimeZone     *string // "" removes it
	Country      *string // "" removes it
	HoldHours    *int    // see MaxHoldHours
	QuietHours   *int    // 0 is never
	AccessToken  *string
	Capabilities map[Capability]State // those that the operator says something of
}

var (
	graphID  = regexp.MustCompile(`^[0-9]{1,32}$`)
	username = regexp.MustCompile(`^[A-Za-z0-9.]{0,50}$`)
	country  = regexp.MustCompile(`^([A-Z]{2})?$`)
)

func (d Draft) check() error {
	var bad []fault.Field
	if !graphID.MatchString(d.FacebookPageID) {
		bad = append(bad, fault.Field{Pointer: "/facebook_page_id", Code: "pattern", Detail: "Must be 1 to 32 digits."})
	}
	bad = append(bad, checkName(&d.Name)...)
	bad = append(bad, checkUsername(&d.Username)...)
	bad = append(bad, checkTimeZone(&d.TimeZone)...)
	bad = append(bad, checkCountry(&d.Country)...)
	bad = append(bad, checkQuiet(d.QuietHours)...)
	bad = append(bad, checkAccessToken(&d.AccessToken)...)
	return fault.InvalidFields(bad...)
}

func (p Patch) check() error {
	bad := append(checkName(p.Name), checkUsername(p.Username)...)
	bad = append(bad, checkTimeZone(p.TimeZone)...)
	bad = append(bad, checkAccessToken(p.AccessToken)...)
	bad = append(bad, checkCountry(p.Country)...)
	bad = append(bad, checkHoldHours(p.HoldHours)...)
	bad = append(bad, checkQuiet(p.QuietHours)...)
	bad = append(bad, checkCapabilities(p.Capabilities)...)
	return fault.InvalidFields(bad...)
}

func checkName(s *string) []fault.Field {
	if s == nil || storable(*s, 200) {
		return nil
	}
	return []fault.Field{{Pointer: "/name", Code: "length", Detail: "Must be a text of 1 to 200 characters."}}
}

func checkUsername(s *string) []fault.Field {
	if s == nil || username.MatchString(*s) {
		return nil
	}
	return []fault.Field{{Pointer: "/username", Code: "pattern", Detail: "Must be at most 50 letters, digits and dots."}}
}

func checkTimeZone(s *string) []fault.Field {
	if s == nil || *s == "" || hours.Known(*s) {
		return nil
	}
	return []fault.Field{{Pointer: "/time_zone", Code: "bad_time_zone", Detail: "Must be an IANA time zone, such as Europe/London."}}
}

func checkHoldHours(n *int) []fault.Field {
	if n == nil || *n >= 0 && *n <= MaxHoldHours {
		return nil
	}
	return []fault.Field{{Pointer: "/hold_hours", Code: "range", Detail: "Must be 0 to 8760 hours."}}
}

func checkCountry(s *string) []fault.Field {
	if s == nil || country.MatchString(*s) {
		return nil
	}
	return []fault.Field{{Pointer: "/country", Code: "pattern", Detail: "Must be a country code of two capital letters, such as GB."}}
}

func checkQuiet(hours *int) []fault.Field {
	if hours == nil || *hours >= 0 && *hours <= 720 {
		return nil
	}
	return []fault.Field{{Pointer: "/quiet_hours", Code: "range", Detail: "Must be 0 to 720 hours; 0 is never."}}
}

func checkAccessToken(s *string) []fault.Field {
	if s == nil || storable(*s, 1000) && !strings.ContainsFunc(*s, blank) {
		return nil
	}
	return []fault.Field{{Pointer: "/access_token", Code: "pattern", Detail: "Must be 1 to 1000 characters without spaces and line breaks."}}
}

// blank finds what would break the header that carries the token.
func blank(r rune) bool { return r <= ' ' || r == 0x7f }

// storable reports whether both engines can keep the text.
func storable(s string, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= most && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

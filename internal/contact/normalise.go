package contact

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/language"
)

const (
	maxText  = 200
	maxEmail = 254
	maxLocal = 64
)

// text trims a field, makes an empty one null and checks what is left.
func (c *checks) text(pointer string, f *Optional[string], most int) {
	f.Value = strings.TrimSpace(f.Value)
	if f.Set && f.Value == "" {
		f.Null = true
	}
	if f.has() {
		c.limit(pointer, f.Value, most)
	}
}

func (c *checks) limit(pointer, v string, most int) {
	switch {
	case utf8.RuneCountInString(v) > most:
		c.add(pointer, "too_long", fmt.Sprintf("Must have at most %d characters.", most))
	case !utf8.ValidString(v) || strings.IndexFunc(v, unicode.IsControl) >= 0:
		c.add(pointer, "bad_characters", "Must not have control characters.")
	}
}

func (c *checks) longText(pointer, v string, most int) {
	c.limit(pointer, strings.Map(lineBreakToSpace, v), most)
}

func lineBreakToSpace(r rune) rune {
	if r == '\n' || r == '\r' || r == '\t' {
		return ' '
	}
	return r
}

// plain reports whether a text is safe to keep: UTF-8, and no control
// characters but line breaks and tabs.
func plain(v string) bool {
	return utf8.ValidString(v) && strings.IndexFunc(v, func(r rune) bool { return unicode.IsControl(lineBreakToSpace(r)) }) < 0
}

// normalise puts a field into its one form, or notes what is wrong with it.
func (c *checks) normalise(pointer string, f *Optional[string], form func(string) (string, bool), code, detail string) {
	before := len(c.fields)
	c.text(pointer, f, maxEmail)
	if !f.has() || len(c.fields) > before {
		return
	}
	v, ok := form(f.Value)
	if !ok {
		c.add(pointer, code, detail)
	}
	f.Value = v
}

// fiction is the range of British mobile numbers kept for films and examples.
const fiction = "+447700900"

// phone returns a number as E.164. Parsing costs as much as all other checks
// together, so a number that is in that form already is only validated.
func (s *Store) phone(v string) (string, bool) {
	if n, ok := international(v); ok && phonenumbers.IsValidNumber(n) {
		return v, true
	}
	n, err := phonenumbers.Parse(v, s.region)
	if err != nil {
		return "", false
	}
	out := phonenumbers.Format(n, phonenumbers.E164)
	return out, phonenumbers.IsValidNumber(n) || strings.HasPrefix(out, fiction) && len(out) == len(fiction)+3
}

// international splits "+", country code and number. It leaves numbers that
// start with a zero to the parser, for whom zeros are a matter of the country.
func international(v string) (*phonenumbers.PhoneNumber, bool) {
	if len(v) < 8 || len(v) > 16 || v[0] != '+' {
		return nil, false
	}
	var all uint64
	for _, ch := range []byte(v[1:]) {
		if ch < '0' || ch > '9' {
			return nil, false
		}
		all = all*10 + uint64(ch-'0')
	}
	code, rest := int32(0), v[1:]
	for n := 1; n <= 3; n++ {
		code = code*10 + int32(rest[n-1]-'0')
		if phonenumbers.GetRegionCodeForCountryCode(int(code)) != phonenumbers.UNKNOWN_REGION {
			return number(code, all, rest[n:])
		}
	}
	return nil, false
}

func number(code int32, all uint64, national string) (*phonenumbers.PhoneNumber, bool) {
	scale := uint64(1)
	for range national {
		scale *= 10
	}
	rest := all % scale
	return &phonenumbers.PhoneNumber{CountryCode: &code, NationalNumber: &rest}, national[0] != '0'
}

// email returns one bare address in lower case, its domain in ASCII.
func email(v string) (string, bool) {
	if !strings.Contains(v, "@") || strings.ContainsAny(v, "\"<>() ,;:\\") {
		return "", false
	}
	a, err := mail.ParseAddress(v)
	if err != nil || a.Address != v {
		return "", false
	}
	at := strings.LastIndexByte(v, '@')
	local, domain := v[:at], v[at+1:]
	if domain, err = idna.Lookup.ToASCII(domain); err != nil || !strings.Contains(domain, ".") {
		return "", false
	}
	out := strings.ToLower(local + "@" + domain)
	return out, len(local) <= maxLocal && len(out) <= maxEmail && ascii(local)
}

func ascii(v string) bool {
	return strings.IndexFunc(v, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// locale returns a BCP 47 tag; "en_GB" is taken too.
func locale(v string) (string, bool) {
	t, err := language.Parse(v)
	if err != nil || len(v) > 35 {
		return "", false
	}
	return t.String(), t != language.Und
}

// timeZone checks an IANA name. Loading a zone reads files, so the names that
// were found are remembered; there are some hundreds of them.
func (s *Store) timeZone(v string) (string, bool) {
	if _, known := s.zones.Load(v); known {
		return v, true
	}
	if v == "" || v == "Local" || len(v) > 64 {
		return "", false
	}
	if _, err := time.LoadLocation(v); err != nil {
		return "", false
	}
	s.zones.Store(v, true)
	return v, true
}

var psidForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func psid(v string) bool { return psidForm.MatchString(v) }

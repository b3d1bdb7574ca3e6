package contact

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// columns says what each column of a CSV file means.
type columns struct {
	list    []column
	zone    func(string) (string, bool)
	options ImportOptions
}

type column struct {
	name   string // of the attribute that unknown columns, and cells not understood, go to
	target string // "" for an attribute
	mobile bool
}

// row is a record of a CSV file on its way to a draft.
type row struct {
	record
	Draft
	phone      column // where the number is from
	name       string
	sms, email cells
	page       uuid.UUID
	psid       string
	token      TokenDraft
}

// cells are those about one channel. An opt-out in any of them wins.
type cells struct {
	Consent
	out     bool
	unclear bool // something stands there that is neither a yes nor a no
}

// draftOf reads the cells of a record. An empty cell leaves its field as it is.
func (c *columns) draftOf(rec record) (Draft, record) {
	r := &row{record: rec, page: c.options.PageID, token: TokenDraft{Topic: c.options.Topic}}
	r.Attributes = map[string]any{}
	for i, v := range rec.cells {
		if v = strings.TrimSpace(v); v != "" && !r.set(c, c.list[i], v) {
			r.Attributes[c.list[i].name] = v
		}
	}
	d := r.finish()
	return d, r.record
}

// set writes a cell into its field. It reports false for what goes to the
// attributes.
func (r *row) set(c *columns, col column, v string) bool {
	switch col.target {
	case "external_id":
		r.ExternalID = Of(v)
	case "first_name":
		r.FirstName = Of(v)
	case "last_name":
		r.LastName = Of(v)
	case "email":
		r.Email = Of(v)
	case "locale":
		r.Locale = Of(v)
	case "time_zone":
		r.TimeZone = Of(v)
	case "psid":
		r.psid = v
	case "page_id":
		r.page = r.parseUUID("/messenger/0/page_id", v)
	case "phone":
		return r.setPhone(col, v)
	case "topic", "token", "granted_at", "tokens.page_id":
		r.setToken(col.target, v)
	default:
		if strings.HasPrefix(col.target, "consents.") {
			return r.setConsent(col.target, v)
		}
		return r.like(c, col.target, v)
	}
	return true
}

// setPhone keeps the mobile number, or else the first one; the other becomes an
// attribute.
func (r *row) setPhone(col column, v string) bool {
	if r.Phone.Set && (r.phone.mobile || !col.mobile) {
		return false
	}
	if r.Phone.Set {
		r.Attributes[r.phone.name] = r.Phone.Value
	}
	r.Phone, r.phone = Of(v), col
	return true
}

func (r *row) setToken(target, v string) {
	switch target {
	case "topic":
		r.token.Topic = v
	case "token":
		r.token.Value = v
	case "granted_at":
		r.token.GrantedAt = *r.spreadsheetTime("/tokens/0/granted_at", v)
	case "tokens.page_id":
		r.token.PageID = r.parseUUID("/tokens/0/page_id", v)
	}
}

func (r *row) setConsent(target, v string) bool {
	_, rest, _ := strings.Cut(target, ".")
	kind, field, _ := strings.Cut(rest, ".")
	to, at := &r.sms, "/consents/"+kind
	if kind == "email" {
		to = &r.email
	}
	switch field {
	case "source":
		to.Source = v
	case "evidence":
		to.Evidence = v
	case "at":
		to.At = r.spreadsheetTime(at+"/at", v)
	default:
		if !to.answer(v) {
			r.refuse(at+"/status", "bad_consent", "Must be subscribed or unsubscribed, or yes or no.")
		}
	}
	return true
}

// like reads the cell of a column that is not ours with good will.
func (r *row) like(c *columns, target, v string) bool {
	switch target {
	case "like:name":
		r.name = v
		return true
	case "like:locale":
		form, ok := locale(v)
		if ok = ok && !r.Locale.Set; ok {
			r.Locale = Of(form)
		}
		return ok
	case "like:time_zone":
		names := zoneNames(v)
		i := slices.IndexFunc(names, func(name string) bool { _, ok := c.zone(name); return ok })
		if i >= 0 {
			r.TimeZone = Of(names[i])
		}
		return i >= 0
	case "like:sms":
		return r.sms.answer(v)
	case "like:email":
		return r.email.answer(v)
	case "out:sms":
		return r.sms.optedOut(v)
	case "out:email":
		return r.email.optedOut(v)
	}
	return false
}

// answer takes a yes or no; anything else is not understood.
func (c *cells) answer(v string) bool {
	yes, known := yesNo(v)
	switch {
	case yes:
		c.Status = Subscribed
	case known:
		c.Status = Unsubscribed
	}
	c.unclear = c.unclear || !known
	return known
}

// optedOut takes a yes as an opt-out. A no is not a permission.
func (c *cells) optedOut(v string) bool {
	yes, known := yesNo(v)
	c.out, c.unclear = c.out || yes, c.unclear || !known
	return known
}

func (c *cells) consent() Optional[Consent] {
	if c.out {
		c.Status = Unsubscribed
	}
	return Optional[Consent]{Set: c.Status != "", Value: c.Consent}
}

// partial reports whether the cells speak of the channel and do not come to an answer.
func (c *cells) partial() bool {
	return c.Status == "" && (c.unclear || c.Source != "" || c.Evidence != "" || c.At != nil)
}

func (r *row) finish() Draft {
	d := r.Draft
	if r.name != "" && !d.FirstName.Set && !d.LastName.Set {
		first, last, _ := strings.Cut(r.name, " ")
		d.FirstName, d.LastName = Of(first), Optional[string]{Set: last != "", Value: last}
	}
	d.SMSConsent, d.EmailConsent = r.sms.consent(), r.email.consent()
	r.unclear.sms, r.unclear.email = r.sms.partial(), r.email.partial()
	if r.psid != "" {
		d.Messenger = []MessengerID{{r.page, r.psid}}
	}
	if r.token.Value != "" {
		if r.token.PageID == uuid.Nil {
			r.token.PageID = r.page
		}
		d.Tokens = []TokenDraft{r.token}
	}
	return d
}

// spreadsheetTime reads a time as programs and people write it; without an
// offset it is UTC. It is never nil.
func (r *record) spreadsheetTime(at, v string) *time.Time {
	for _, form := range spreadsheetForms() {
		if t, err := time.Parse(form, v); err == nil {
			return &t
		}
	}
	r.refuse(at, "bad_time", "Must be a time such as 2026-03-02T09:00:00Z.")
	return &time.Time{}
}

func spreadsheetForms() []string {
	return []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}
}

package contact

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"beckon/internal/fault"
)

// mode is how a draft finds its contact.
type mode int

const (
	match  mode = iota // by its addresses; none found makes one
	create             // always a new one
	change             // the contact named by id
)

// item is a draft that was checked and put into its one form.
type item struct {
	Draft
	mode mode
	id   uuid.UUID // with change
	origin
	attrs  map[string]json.RawMessage
	sms    answer
	email  answer
	fields []fault.Field // what is wrong; such an item is refused
	quiet  *Silence      // of an import of suppressions, instead of the draft
}

// origin says where drafts come from.
type origin struct {
	source   string // of consents that name none
	how      string // a consent comes to change
	fromFile bool
	at       time.Time
}

func (s *Store) api() origin { return origin{source: "api", how: HowAPI, at: s.now()} }

// checks collects everything that is wrong with one draft.
type checks struct {
	now      time.Time
	fromFile bool
	fields   []fault.Field
}

func (c *checks) add(pointer, code, detail string) {
	c.fields = append(c.fields, fault.Field{Pointer: pointer, Code: code, Detail: detail})
}

func (s *Store) check(d Draft, m mode, o origin) item {
	c := &checks{now: o.at, fromFile: o.fromFile}
	c.text("/external_id", &d.ExternalID, maxText)
	c.text("/first_name", &d.FirstName, maxText)
	c.text("/last_name", &d.LastName, maxText)
	c.normalise("/email", &d.Email, email, "bad_email", "Must be one e-mail address.")
	c.normalise("/phone", &d.Phone, s.phone, "bad_phone", "Must be a phone number that exists, with its country code.")
	c.normalise("/locale", &d.Locale, locale, "bad_locale", "Must be a locale such as en-GB.")
	c.normalise("/time_zone", &d.TimeZone, s.timeZone, "bad_time_zone", "Must be an IANA name such as Europe/London.")
	it := item{mode: m, origin: o, attrs: c.attributes(d.Attributes)}
	it.sms, it.email = c.consent("/consents/sms", &d.SMSConsent), c.consent("/consents/email", &d.EmailConsent)
	c.messenger(d.Messenger)
	d.Tokens = c.tokens(d.Tokens, s.grant != nil)
	if m == match && !d.identified() {
		c.add("", "not_identified", "Must have an external id, an e-mail address, a phone number or a Messenger id.")
	}
	it.Draft, it.fields = d, c.fields
	return it
}

const maxList = 20

func (c *checks) messenger(ids []MessengerID) {
	if len(ids) > maxList {
		c.add("/messenger", "too_large", "Must have at most 20 entries.")
		return
	}
	pages := map[uuid.UUID]string{}
	for i, m := range ids {
		at := fmt.Sprintf("/messenger/%d", i)
		if m.PageID == uuid.Nil {
			c.add(at+"/page_id", "required", "Must name the page.")
		}
		if !psid(m.PSID) {
			c.add(at+"/psid", "bad_psid", "Must be a page-scoped id.")
		}
		if other, twice := pages[m.PageID]; twice && other != m.PSID {
			c.add(at+"/psid", "page_taken", "Must not be a second id on the same page.")
		}
		pages[m.PageID] = m.PSID
	}
}

func (c *checks) tokens(in []TokenDraft, granted bool) []TokenDraft {
	if len(in) > maxList || len(in) > 0 && !granted {
		c.add("/tokens", "too_large", "There are more tokens than can be taken.")
		return nil
	}
	out := append([]TokenDraft(nil), in...)
	for i := range out {
		t, at := &out[i], fmt.Sprintf("/tokens/%d", i)
		c.required(at+"/topic", t.Topic, maxText)
		c.required(at+"/token", t.Value, 1000)
		if t.PageID == uuid.Nil {
			c.add(at+"/page_id", "required", "Must name the page.")
		}
		if t.GrantedAt.IsZero() {
			t.GrantedAt = c.now
		}
		t.GrantedAt = c.past(at+"/granted_at", t.GrantedAt)
	}
	return out
}

func (c *checks) required(pointer, v string, most int) {
	if v == "" {
		c.add(pointer, "required", "Must not be empty.")
		return
	}
	c.limit(pointer, v, most)
}

// checkAtOnce is the least number of drafts worth a second goroutine.
const checkAtOnce = 64

// checkAll checks many drafts on all processors: phone numbers are slow.
func (s *Store) checkAll(drafts []Draft, m mode, o origin) []item {
	out := make([]item, len(drafts))
	each := max(checkAtOnce, (len(drafts)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for from := 0; from < len(drafts); from += each {
		wg.Go(func() {
			for i := from; i < min(from+each, len(drafts)); i++ {
				out[i] = s.check(drafts[i], m, o)
			}
		})
	}
	wg.Wait()
	return out
}

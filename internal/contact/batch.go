package contact

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// field is a way to find a contact.
type field byte

const (
	byExternal field = iota
	byEmail
	byPhone
	byPSID
)

// key is one value that at most one contact holds.
type key struct {
	field field
	page  uuid.UUID // byPSID
	value string
}

// person is a contact while a batch works on it.
type person struct {
	Contact
	fresh   bool // not in the database yet
	changed bool
	into    *person // merged into that one
	pages   map[uuid.UUID]*place
}

// place is a person's id on a page.
type place struct {
	psid  string
	fresh bool
	at    time.Time
}

// root is who the person is after merges.
func (p *person) root() *person {
	for p.into != nil {
		p = p.into
	}
	return p
}

// batch applies drafts to contacts in memory, one after the other, so that a
// later one sees what an earlier one did; load and write go around it.
type batch struct {
	store   *Store
	holders map[key]*person
	byID    map[uuid.UUID]*person
	people  []*person // in the order they were found or made
	pages   map[uuid.UUID]bool
	topics  map[string]bool
	freed   map[key]*person // values that rows in the database still hold
	unstick []uuid.UUID     // rows whose values another one takes over
	merged  []*person
	grants  []pendingGrant
	said    []pendingChange
	refused map[string]bool // channel and hash of addresses that their holders refused
}

// pendingChange is a change of a consent; who said it may yet be merged.
type pendingChange struct {
	by *person
	ConsentChange
}

type pendingGrant struct {
	to *person
	TokenDraft
}

// Result is what came of one draft.
type Result struct {
	ContactID uuid.UUID
	Created   bool
	Changed   bool
	Attached  bool  // a Messenger id that nobody held was added
	Merged    bool  // an anonymous contact was merged into this one
	Err       error // a *fault.Error: the draft was refused, nothing of it was written
	who       *person
}

// apply works one draft into the batch.
func (b *batch) apply(it *item) Result {
	if len(it.fields) > 0 {
		return Result{Err: fault.InvalidFields(it.fields...)}
	}
	p := b.find(it)
	if it.mode == change && p == nil {
		return Result{Err: fault.New(fault.NotFound, "contact_not_found", "There is no such contact.")}
	}
	attrs, attrsChanged, fits := attributesOf(p).with(it.attrs)
	if err := b.refuse(it, p, fits); err != nil {
		return Result{Err: err}
	}
	r := Result{}
	if p == nil {
		p, r.Created = b.make(it.at), true
	}
	was := p.changed
	p.changed = attrsChanged
	p.Attributes = attrs
	b.set(p, it)
	r.Merged = b.join(p, it)
	r.Attached = b.attach(p, it)
	r.Changed = p.changed
	p.changed = p.changed || was
	for _, t := range it.Tokens {
		b.grants = append(b.grants, pendingGrant{p, t})
	}
	r.who = p
	return r
}

func attributesOf(p *person) Attributes {
	if p == nil {
		return nil
	}
	return p.Attributes
}

func (b *batch) make(at time.Time) *person {
	p := &person{Contact: Contact{ID: uuid.Must(uuid.NewV7()), CreatedAt: at, UpdatedAt: at}, fresh: true, pages: map[uuid.UUID]*place{}}
	b.byID[p.ID] = p
	b.people = append(b.people, p)
	return p
}

// find returns the contact a draft is about: by external id, then Messenger
// id, e-mail address and phone number. Someone known by Messenger ids only
// yields to anyone else who is found.
func (b *batch) find(it *item) *person {
	switch it.mode {
	case change:
		return b.byID[it.id]
	case create:
		return nil
	}
	if p := b.holder(it.ExternalID, byExternal); p != nil {
		return p
	}
	var anonymous *person
	for _, m := range it.Messenger {
		p := b.at(m)
		if p != nil && !p.Anonymous() && b.mayBe(p, it) {
			return p
		}
		anonymous = cmp.Or(anonymous, p)
	}
	for _, p := range []*person{b.holder(it.Email, byEmail), b.holder(it.Phone, byPhone)} {
		if p != nil && b.mayBe(p, it) {
			return p
		}
	}
	if anonymous != nil && anonymous.Anonymous() {
		return anonymous
	}
	return nil
}

// mayBe reports whether nothing speaks against the draft being about p: a
// different external id means another person.
func (b *batch) mayBe(p *person, it *item) bool {
	return !it.ExternalID.has() || p.ExternalID == ""
}

func (b *batch) holder(v Optional[string], f field) *person {
	if !v.has() {
		return nil
	}
	return b.holders[key{field: f, value: v.Value}]
}

func (b *batch) at(m MessengerID) *person {
	p := b.holders[key{byPSID, m.PageID, m.PSID}]
	if p == nil {
		return nil
	}
	return p.root()
}

// set writes the plain fields and consents of a draft.
func (b *batch) set(p *person, it *item) {
	b.claim(p, &p.ExternalID, it.ExternalID, byExternal)
	if b.claim(p, &p.Email, it.Email, byEmail) {
		p.EmailHash = b.store.hash("email", p.Email)
	}
	if b.claim(p, &p.Phone, it.Phone, byPhone) {
		p.PhoneHash = b.store.hash("phone", p.Phone)
	}
	for _, f := range []struct {
		to   *string
		from Optional[string]
	}{{&p.FirstName, it.FirstName}, {&p.LastName, it.LastName}, {&p.Locale, it.Locale}, {&p.TimeZone, it.TimeZone}} {
		if f.from.Set {
			p.put(f.to, value(f.from))
		}
	}
	b.consent(p, channel.SMS, it.SMSConsent, it.sms, it.origin)
	b.consent(p, channel.Email, it.EmailConsent, it.email, it.origin)
	if p.changed {
		p.UpdatedAt = it.at
	}
}

func value(v Optional[string]) string {
	if v.Null {
		return ""
	}
	return v.Value
}

func (p *person) put(to *string, v string) {
	p.changed = p.changed || *to != v
	*to = v
}

// consent has an answer follow what a person said of a channel before.
func (b *batch) consent(p *person, kind channel.Kind, sent Optional[Consent], a answer, o origin) {
	to := &p.SMSConsent
	if kind == channel.Email {
		to = &p.EmailConsent
	}
	next := *to
	switch {
	case sent.Null:
		next = Consent{}
	case sent.Set && b.mayAgree(p, kind, a):
		next = a.follow(*to, o.source)
	}
	if next.same(*to) {
		return
	}
	p.changed, *to = true, next
	b.said = append(b.said, pendingChange{p, ConsentChange{Channel: kind, How: o.how, NotedAt: o.at, Consent: next}})
}

// claim moves a value that only one contact can hold to p, and gives up the
// one it had.
func (b *batch) claim(p *person, to *string, sent Optional[string], f field) bool {
	if !sent.Set || *to == value(sent) {
		return false
	}
	if *to != "" {
		b.release(p, key{field: f, value: *to})
	}
	p.put(to, value(sent))
	if *to != "" {
		k := key{field: f, value: *to}
		if row := b.freed[k]; row != nil && row != p {
			b.unstick = append(b.unstick, row.ID)
		}
		b.holders[k] = p
	}
	return true
}

func (b *batch) release(p *person, k key) {
	delete(b.holders, k)
	if !p.fresh && b.freed[k] == nil {
		b.freed[k] = p
	}
}

// join merges the anonymous contacts that hold the draft's Messenger ids.
func (b *batch) join(p *person, it *item) (joined bool) {
	for _, m := range it.Messenger {
		if h := b.at(m); h != nil && h != p {
			b.merge(h, p, it)
			joined = true
		}
	}
	return joined
}

func (b *batch) merge(from, into *person, it *item) {
	for page, at := range from.pages {
		into.pages[page] = at
	}
	from.into, from.pages = into, nil
	b.merged = append(b.merged, from)
	fill := map[string]json.RawMessage{}
	_ = json.Unmarshal(from.Attributes, &fill) // the column holds nothing but objects
	have := into.Attributes.Map()
	for name := range fill {
		if _, had := have[name]; had {
			delete(fill, name)
		}
	}
	if attrs, changed, fits := into.Attributes.with(fill); changed && fits {
		into.Attributes, into.changed = attrs, true
	}
	into.put(&into.FirstName, cmp.Or(into.FirstName, from.FirstName))
	into.put(&into.LastName, cmp.Or(into.LastName, from.LastName))
	into.put(&into.Locale, cmp.Or(into.Locale, from.Locale))
	into.put(&into.TimeZone, cmp.Or(into.TimeZone, from.TimeZone))
	b.inherit(into, channel.SMS, from.SMSConsent, it.at)
	b.inherit(into, channel.Email, from.EmailConsent, it.at)
	into.changed, into.UpdatedAt = true, it.at
}

func (b *batch) inherit(to *person, kind channel.Kind, from Consent, at time.Time) {
	b.consent(to, kind, Optional[Consent]{Set: from.Status != ""}, answer{Consent: from, undated: from.Undated, fromFile: from.Undated}, origin{source: from.Source, how: HowMerged, at: at})
}

// attach adds the draft's Messenger ids that nobody holds.
func (b *batch) attach(p *person, it *item) (added bool) {
	for _, m := range it.Messenger {
		if p.pages[m.PageID] == nil {
			p.pages[m.PageID] = &place{psid: m.PSID, fresh: true, at: it.at}
			b.holders[key{byPSID, m.PageID, m.PSID}] = p
			p.changed, p.UpdatedAt, added = true, it.at, true
		}
	}
	return added
}

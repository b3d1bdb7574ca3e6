package contact

import "time"

const (
	maxEvidence = 2000
	// clockSkew is how far ahead of ours another system's clock may be.
	clockSkew = 5 * time.Minute
)

// answer is a checked consent. Undated ones carry the time they came in.
type answer struct {
	Consent
	undated  bool
	fromFile bool
	fallback bool // named for a whole import: it stands where nothing is known
}

// consent checks an answer and fills in what was left out.
func (c *checks) consent(pointer string, o *Optional[Consent]) (a answer) {
	if !o.has() {
		return a
	}
	v := o.Value
	if v.Status != Subscribed && v.Status != Unsubscribed {
		c.add(pointer+"/status", "bad_consent", "Must be subscribed or unsubscribed.")
	}
	c.limit(pointer+"/source", v.Source, maxText)
	c.longText(pointer+"/evidence", v.Evidence, maxEvidence)
	a = answer{Consent: v, undated: v.At == nil, fromFile: c.fromFile}
	at := c.now
	if v.At != nil {
		at = c.past(pointer+"/at", *v.At)
	}
	a.At = &at
	return a
}

// past returns a moment that is over, or notes that it is not one.
func (c *checks) past(pointer string, at time.Time) time.Time {
	at = at.UTC().Truncate(time.Microsecond)
	switch {
	case at.After(c.now.Add(clockSkew)):
		c.add(pointer, "in_the_future", "Must not lie in the future.")
	case at.After(c.now):
		return c.now
	case at.Year() < 2000: // and nothing that a database cannot keep
		c.add(pointer, "too_old", "Must not lie before the year 2000.")
	}
	return at
}

// follow returns the consent that holds when a comes after old was stored.
// The newest answer by its time wins, and at the same time the opt-out. An
// undated answer that says what is stored already keeps its time, so that
// sending it again changes nothing; an undated yes from a file, which may be
// years old, never undoes an opt-out, and any opt-out undoes it.
func (a answer) follow(old Consent, source string) Consent {
	next := a.Consent
	next.Undated = a.undated && a.fromFile && next.Status == Subscribed
	if next.Source == "" {
		next.Source = source
	}
	switch {
	case old.Status == "" || old.At == nil:
		return next
	case a.fallback:
		return old
	case a.undated && next.Status == old.Status:
		return a.annotate(old)
	case a.undated && a.fromFile && old.Status == Unsubscribed:
		return old
	case old.Undated && next.Status == Unsubscribed:
		return next
	case next.At.Before(*old.At):
		return old
	case next.At.Equal(*old.At) && old.Status == Unsubscribed && next.Status == Subscribed:
		return old
	}
	return next
}

func (a answer) annotate(old Consent) Consent {
	if a.Source != "" {
		old.Source = a.Source
	}
	if a.Evidence != "" {
		old.Evidence = a.Evidence
	}
	return old
}

func (c Consent) same(o Consent) bool {
	if (c.At == nil) != (o.At == nil) || c.At != nil && !c.At.Equal(*o.At) {
		return false
	}
	return c.Status == o.Status && c.Source == o.Source && c.Evidence == o.Evidence && c.Undated == o.Undated
}

package hours

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// Zone is where on the clock a person is: one time zone, or several that they
// may be in when only their phone number tells. nil is UTC.
type Zone struct {
	all []*time.Location // in the order of their names
	// one stands for all of them where nothing suits them all.
	one *time.Location
}

var inUTC = Zone{all: []*time.Location{time.UTC}, one: time.UTC}

// Names lists the zones.
func (z *Zone) Names() []string {
	out := make([]string, 0, 1)
	for _, l := range z.get().all {
		out = append(out, l.String())
	}
	return out
}

func (z *Zone) get() *Zone {
	if z == nil {
		return &inUTC
	}
	return z
}

// Reach is the first moment at which the clocks of all zones have come as far
// as wall reads in UTC.
func (z *Zone) Reach(wall time.Time) time.Time {
	var last time.Time
	for _, l := range z.get().all {
		if at := reach(wall, l); at.After(last) {
			last = at
		}
	}
	return last
}

// Atlas finds time zones and keeps what it has found. It is safe for use by
// many goroutines.
type Atlas struct {
	places sync.Map // time zone name → *time.Location
	zones  sync.Map // key → *Zone, nil when none of the names exists
}

// key is a list of zone names and the page's, which stands in for them.
type key struct{ names, page string }

// NewAtlas returns an empty atlas.
func NewAtlas() *Atlas { return &Atlas{} }

// Known reports whether name is an IANA time zone.
func Known(name string) bool { return load(name) != nil }

func load(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

// Zone returns where a contact is: their own time zone, else all that their
// phone number may stand for, else the page's, else UTC.
func (a *Atlas) Zone(contact, phone, page string) *Zone {
	if contact != "" {
		if z := a.of([]string{contact}, ""); z != nil {
			return z
		}
	}
	if phone != "" {
		if names, err := phonenumbers.GetTimezonesForPrefix(phone); err == nil {
			if z := a.of(names, page); z != nil {
				return z
			}
		}
	}
	if page != "" {
		if z := a.of([]string{page}, ""); z != nil {
			return z
		}
	}
	return &inUTC
}

// of returns nil when none of the names is known.
func (a *Atlas) of(names []string, page string) *Zone {
	k := key{names: names[0]}
	if len(names) > 1 {
		k = key{strings.Join(names, " "), page}
	}
	if z, ok := a.zones.Load(k); ok {
		return z.(*Zone)
	}
	var all []*time.Location
	for _, name := range names {
		if l := a.place(name); l != nil {
			all = append(all, l)
		}
	}
	var z *Zone
	if len(all) > 0 {
		z = &Zone{all: all, one: middle(all, a.place(page))}
	}
	kept, _ := a.zones.LoadOrStore(k, z)
	return kept.(*Zone)
}

// middle is the page's zone when it is one of them, else the one half-way from
// west to east: the least wrong for everybody.
func middle(all []*time.Location, page *time.Location) *time.Location {
	for _, l := range all {
		if page != nil && l.String() == page.String() {
			return l
		}
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *time.Location) int { return offset(a) - offset(b) })
	return sorted[len(sorted)/2]
}

// offset is a zone's in a winter of the north.
func offset(l *time.Location) int {
	_, seconds := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).In(l).Zone()
	return seconds
}

func (a *Atlas) place(name string) *time.Location {
	if l, ok := a.places.Load(name); ok {
		return l.(*time.Location)
	}
	l := load(name)
	if l != nil {
		a.places.Store(name, l)
	}
	return l
}

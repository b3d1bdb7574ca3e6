package hours

import (
	"slices"
	"time"
)

const (
	day      = 24 * 3600
	wholeRun = 7 * day
)

// week is when something is open, in seconds of the week by the clock on the
// wall, from Monday: sorted stretches that neither touch nor overlap. nil is
// always open. It is never without any stretch.
type week []stretch

type stretch struct{ from, to int }

// weekOf joins stretches; one that runs past Sunday goes on on Monday.
func weekOf(parts []stretch) week {
	var all []stretch
	for _, p := range parts {
		all = append(all, stretch{p.from, min(p.to, wholeRun)})
		if p.to > wholeRun {
			all = append(all, stretch{0, p.to - wholeRun})
		}
	}
	slices.SortFunc(all, func(a, b stretch) int { return a.from - b.from })
	var out week
	for _, p := range all {
		if n := len(out); n > 0 && p.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, p.to)
			continue
		}
		out = append(out, p)
	}
	if len(out) == 1 && out[0] == (stretch{0, wholeRun}) {
		return nil
	}
	return out
}

// until is how many seconds from a second of the week it takes to be open, or
// to be closed.
func (w week) until(wall int, open bool) int {
	for _, s := range w {
		switch {
		case wall >= s.to:
			continue
		case wall < s.from && open:
			return s.from - wall
		case wall < s.from || open:
			return 0
		case s.to == wholeRun && w[0].from == 0: // Sunday runs on into Monday
			return s.to - wall + w[0].to
		}
		return s.to - wall
	}
	if open {
		return wholeRun - wall + w[0].from
	}
	return 0
}

// seek returns the first moment from at on at which the clock on the wall of a
// zone says open, or closed. Between two changes of the zone's offset that is
// plain arithmetic, so hours that a change skips or repeats are right.
func (w week) seek(at time.Time, zone *time.Location, open bool) time.Time {
	for {
		local := at.In(zone)
		_, offset := local.Zone()
		next := at
		if wait := w.until(secondOfWeek(at.Unix()+int64(offset)), open); wait > 0 {
			next = time.Unix(at.Unix()+int64(wait), 0).UTC()
		}
		_, change := local.ZoneBounds()
		if change.IsZero() || next.Before(change) {
			return next
		}
		at = change.UTC()
	}
}

// secondOfWeek takes seconds since 1970, a Thursday.
func secondOfWeek(wall int64) int {
	const thursday = 3 * day
	return int(((wall+thursday)%wholeRun + wholeRun) % wholeRun)
}

// reach returns the first moment at which the clock on the wall of a zone has
// come as far as wall, which is read as if it were in UTC.
func reach(wall time.Time, zone *time.Location) time.Time {
	at := wall.Add(-mostAhead).In(zone)
	for {
		_, offset := at.Zone()
		there := wall.Add(-time.Duration(offset) * time.Second)
		if there.Before(at) { // a change of the offset skips it
			return at.UTC()
		}
		_, change := at.ZoneBounds()
		if change.IsZero() || there.Before(change) {
			return there.UTC()
		}
		at = change.In(zone)
	}
}

// mostAhead is how far any zone on earth is ahead of UTC.
const mostAhead = 14 * time.Hour

// Earliest is the moment at which the first zone on earth reads the time that
// wall reads in UTC.
func Earliest(wall time.Time) time.Time { return wall.Add(-mostAhead) }

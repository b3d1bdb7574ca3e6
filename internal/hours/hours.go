// Package hours says when a person may be written to: by the clock on their own
// wall, per lane.
package hours

import (
	"time"

	"beckon/internal/channel"
)

// Hours are a campaign's allowed hours: a week for each lane that is not open
// at any time. The zero value allows everything.
type Hours struct {
	lanes map[channel.Lane]week
}

// Default are the hours of a campaign that names none: text messages from 09:00
// to 20:00, the other lanes at any time.
func Default() Hours {
	return Hours{lanes: map[channel.Lane]week{channel.LaneSMS: span{from: 9 * 3600, to: 20 * 3600, days: everyDay}.week()}}
}

// searched is how far ahead a moment is looked for that suits all zones of a
// person: every week is there at least once, a change of the clocks included.
const searched = 15 * 24 * time.Hour

// Next returns at when the lane is open then, else when it opens next. Where a
// person may be in several zones it is open when it is in all of them, and if
// that never happens, when it is in the page's or else the middle one.
func (h Hours) Next(lane channel.Lane, at time.Time, zone *Zone) time.Time {
	next, _ := h.next(lane, at, zone.get())
	return next
}

// next also returns the zones that the moment is inside of.
func (h Hours) next(lane channel.Lane, at time.Time, z *Zone) (time.Time, []*time.Location) {
	w := h.lanes[lane]
	if w == nil {
		return at, nil
	}
	if len(z.all) > 1 {
		if next, ok := w.common(at, z.all); ok {
			return next, z.all
		}
	}
	one := []*time.Location{z.one}
	return w.seek(at, z.one, true), one
}

// common is the first moment that suits all zones: whichever is closed puts it
// off, until none is.
func (w week) common(at time.Time, zones []*time.Location) (time.Time, bool) {
	end, next := at.Add(searched), at
	for suits := 0; suits < len(zones); {
		for _, l := range zones {
			suits++
			if opens := w.seek(next, l, true); opens.After(next) {
				next, suits = opens, 1
			}
			if suits == len(zones) {
				break
			}
		}
		if next.After(end) {
			return at, false
		}
	}
	return next, true
}

// Left returns how long a lane that is open stays so. It is false when there is
// no end to it, and nothing when the lane is closed.
func (h Hours) Left(lane channel.Lane, at time.Time, zone *Zone) (time.Duration, bool) {
	next, zones := h.next(lane, at, zone.get())
	if zones == nil {
		return 0, false
	}
	if next.After(at) {
		return 0, true
	}
	left := searched
	for _, l := range zones {
		left = min(left, h.lanes[lane].seek(at, l, false).Sub(at))
	}
	return left, true
}

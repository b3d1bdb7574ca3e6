package campaign

import (
	"encoding/json"
	"slices"
	"time"

	"beckon/internal/channel"
	"beckon/internal/fault"
	"beckon/internal/hours"
)

// Schedule says when a campaign may write to whom.
type Schedule struct {
	StartsAt      time.Time // zero is at once
	StartsLocal   bool      // what StartsAt reads in UTC is the clock on each contact's wall
	EndsAt        time.Time // the deadline; zero is none
	Hours         hours.Hours
	EscalateAfter time.Duration // 0 is never
}

// Zone is where on the clock a contact is; nil is UTC.
type Zone = hours.Zone

// Zone returns a contact's time zone: their own, else by their phone number,
// else the page's, else UTC.
func (s *Service) Zone(contact, phone, page string) *Zone { return s.atlas.Zone(contact, phone, page) }

// MostEscalateHours is the longest silence that a campaign may wait for.
const MostEscalateHours = 30 * 24

// Begins is the first moment at which anybody may be written to: for a start in
// each contact's own time zone, when the first zone on earth reaches it.
func (s *Schedule) Begins() time.Time {
	if s.StartsAt.IsZero() || !s.StartsLocal {
		return s.StartsAt
	}
	return hours.Earliest(s.StartsAt)
}

// Over reports whether the deadline has passed: nothing new may be sent, and
// what is left is expired.
func (s *Schedule) Over(now time.Time) bool { return !s.EndsAt.IsZero() && !now.Before(s.EndsAt) }

// LeastValidity is how long a text must still be allowed to arrive when it is
// handed over. Twilio takes it for a second, but advises against less than five,
// and carriers need some: what is given up on its way is paid for all the same.
const LeastValidity = 10 * time.Second

// NotBefore returns when a contact may be written to on a lane, in their time
// zone: the zero time when that is now, else the later of their start and the
// next opening of their hours. For a text that is an opening that leaves it
// LeastValidity, or the deadline when that comes first.
func (s *Schedule) NotBefore(lane channel.Lane, now time.Time, zone *Zone) time.Time {
	at := now
	if s.StartsLocal && !s.StartsAt.IsZero() {
		if start := zone.Reach(s.StartsAt); start.After(at) {
			at = start
		}
	}
	at = s.Hours.Next(lane, at, zone)
	if closes := s.Closes(lane, at, zone); s.tooShort(lane, closes.Sub(at)) && !closes.IsZero() {
		at = s.Hours.Next(lane, closes, zone)
	}
	if at.After(now) {
		return at
	}
	return time.Time{}
}

func (s *Schedule) tooShort(lane channel.Lane, left time.Duration) bool {
	return left <= 0 || lane == channel.LaneSMS && left < LeastValidity
}

// TooLate reports whether a message on a lane that closes then, the zero time is
// never, must not be handed over any more.
func (s *Schedule) TooLate(lane channel.Lane, now, closes time.Time) bool {
	return !closes.IsZero() && s.tooShort(lane, closes.Sub(now))
}

// Closes is until when a message that may go out now may arrive: as long as the
// hours last, and not beyond the deadline. The zero time is without end.
func (s *Schedule) Closes(lane channel.Lane, now time.Time, zone *Zone) time.Time {
	left, limited := s.Hours.Left(lane, now, zone)
	if closes := now.Add(left); limited && (s.EndsAt.IsZero() || closes.Before(s.EndsAt)) {
		return closes
	}
	return s.EndsAt
}

// reschedule takes over what a change says about time.
func (c *Campaign) reschedule(p Patch) {
	set(&c.StartsLocal, p.StartsLocal)
	set(&c.EscalateAfterHours, p.EscalateAfterHours)
	if p.StartsAt != nil {
		at := *p.StartsAt
		if c.StartsLocal && !at.IsZero() {
			_, offset := at.Zone()
			at = at.Add(time.Duration(offset) * time.Second)
		}
		c.StartsAt = moment(at)
	}
	if p.EndsAt != nil {
		c.EndsAt = moment(*p.EndsAt)
	}
	switch {
	case string(p.AllowedHours) == "null":
		c.AllowedHours = nil
	case p.AllowedHours != nil:
		text := string(p.AllowedHours)
		c.AllowedHours = &text
	}
}

// moment is a time as both engines keep it; nil for none.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Microsecond)
	return &at
}

// schedule reads when the campaign may write to whom; its mistakes are
// fault.Invalid.
func (c Campaign) schedule(lanes []channel.Lane) (Schedule, error) {
	s := Schedule{StartsLocal: c.StartsLocal, EscalateAfter: time.Duration(c.EscalateAfterHours) * time.Hour}
	if c.StartsAt != nil {
		s.StartsAt = c.StartsAt.UTC()
	}
	if c.EndsAt != nil {
		s.EndsAt = c.EndsAt.UTC()
	}
	var raw json.RawMessage
	if c.AllowedHours != nil {
		raw = json.RawMessage(*c.AllowedHours)
	}
	var err error
	s.Hours, err = hours.Parse(raw)
	return s, fault.InvalidFields(slices.Concat(fieldsOf(err), s.checkTimes(), c.checkEscalation(lanes))...)
}

// checkTimes takes a deadline that comes before a local start for a part of the
// world: the preview tells of those.
func (s *Schedule) checkTimes() []fault.Field {
	var out []fault.Field
	for i, at := range []time.Time{s.StartsAt, s.EndsAt} {
		if !at.IsZero() && (at.Year() < 2000 || at.Year() > 2999) {
			out = append(out, fault.Field{Pointer: []string{"/starts_at", "/ends_at"}[i], Code: "out_of_range", Detail: "Must be in this millennium."})
		}
	}
	if s.StartsLocal && s.StartsAt.IsZero() {
		out = append(out, fault.Field{Pointer: "/starts_local", Code: "needs_starts_at", Detail: "There is no time to start at: set starts_at."})
	}
	if !s.StartsAt.IsZero() && !s.EndsAt.IsZero() && !s.EndsAt.After(s.Begins()) {
		out = append(out, fault.Field{Pointer: "/ends_at", Code: "before_start", Detail: "Must be after starts_at."})
	}
	return out
}

func (c Campaign) checkEscalation(lanes []channel.Lane) []fault.Field {
	const at = "/escalate_after_hours"
	if c.EscalateAfterHours < 0 || c.EscalateAfterHours > MostEscalateHours {
		return []fault.Field{{Pointer: at, Code: "out_of_range", Detail: "Must be between 1 and 720 hours, or 0 for never."}}
	}
	first := slices.IndexFunc(lanes, func(l channel.Lane) bool { return l.Kind() == channel.Messenger })
	if c.EscalateAfterHours > 0 && (first < 0 || len(linkBack(lanes[first:])) == 0) {
		return []fault.Field{{Pointer: at, Code: "needs_both", Detail: "The route must have a Messenger lane to listen on and, after it, a link-back lane to escalate to."}}
	}
	return nil
}

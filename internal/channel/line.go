package channel

import "time"

// Line names the sender that carries the lane: each Page is one for Messenger,
// and SMS and e-mail have one each. The page is only looked at for Messenger.
func (l Lane) Line(page string) string {
	if l.Kind() == Messenger {
		return string(Messenger) + ":" + page
	}
	return string(l.Kind())
}

// Grant is a lease of a line: leave to hand over a number of units, each at its
// turn. A unit is a message, or one segment of an SMS.
type Grant struct {
	Line  string
	Units int           // none: come back after Wait
	Start time.Time     // the turn of the first unit
	Every time.Duration // from one turn to the next; 0 when the line has no pace
	Wait  time.Duration // with no units: ask again then
	// Stopped tells that the line must not be used now, at any pace.
	Stopped bool
	// Probe tells that the line is stopped, and that what comes of these units
	// decides whether it stays so.
	Probe bool
	// Watched tells that the line is slowed or has a doubtful past, so that good
	// news of it is worth writing down.
	Watched bool
	Leased  time.Time // when it was taken
	End     time.Time // where the line goes on after the last unit
}

// Turn is when unit i may be handed over.
func (g Grant) Turn(i int) time.Time { return g.Start.Add(time.Duration(i) * g.Every) }

// Tally is what came of one lease: the results of a chunk, counted.
type Tally struct {
	Tried      int // handed over, or begun to be
	Accepted   int
	Refused    int
	Unknown    int
	Unreached  int
	Throttled  bool
	RetryAfter time.Duration // the longest of those that were throttled
	Load       int           // the highest
	Stop       *Result       // says that the line itself must stop
}

// Add counts one result. One that was held back before its call tells nothing of
// the line, and counts for nothing.
func (t *Tally) Add(r Result) {
	if r.Outcome == TryLater && r.Code == "" && !r.Throttled && !r.Unreached {
		return
	}
	t.Tried++
	t.Load = max(t.Load, r.Load)
	switch {
	case r.Outcome == Accepted:
		t.Accepted++
	case r.Outcome == Refused && (r.Countrywide || r.Soft): // nothing about the sender
	case r.Outcome == Refused:
		t.Refused++
	case r.Outcome == StopTheLine:
		t.Stop = &r
	case r.Outcome == Unknown:
		t.Unknown++
	case r.Unreached:
		t.Unreached++
	case r.Throttled:
		t.Throttled = true
		t.RetryAfter = max(t.RetryAfter, r.RetryAfter)
	}
}

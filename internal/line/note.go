package line

import (
	"cmp"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// Note acts on what came of a lease, in the transaction that settles it and
// before anything else of it, so that lines are locked in the same order
// everywhere. A line that is throttled rests, and goes slowly for a while; one
// that must not be used is stopped until somebody resumes it; one whose provider
// is down, or refuses most of what it is given, is stopped by the breaker. Good
// news of a line with nothing to forget costs no statement.
func (s *Store) Note(tx *db.Tx, g channel.Grant, campaign uuid.UUID, t channel.Tally) error {
	if !worthNoting(g, t) {
		return nil
	}
	now := s.now()
	r, err := locked(tx, g.Line, now)
	if err != nil {
		return err
	}
	before := r
	told := r.note(now, g, t)
	if r == before {
		return nil
	}
	if err := r.save(tx, now); err != nil {
		return err
	}
	return tell(tx, told, r.Sender, campaign, now)
}

// word is something to tell of a line.
type word struct {
	kind event.Type
	data map[string]any
}

func tell(tx *db.Tx, told []word, name string, campaign uuid.UUID, now time.Time) error {
	events := make([]event.Event, len(told))
	for i, w := range told {
		w.data["sender"] = name
		events[i] = event.Event{Type: w.kind, At: now, Page: pageOf(name), Campaign: campaign, Data: w.data}
	}
	if err := event.Add(tx, events...); err != nil {
		return fmt.Errorf("tell of a line: %w", err)
	}
	return nil
}

const (
	loadSlow, loadCrawl   = 80, 95 // percent of the provider's limit
	shareSlow, shareCrawl = 50, 25 // percent of the pace from then on
	shareLeast            = 5
	restFor               = 5 * time.Second // when the provider does not say
	slowFor               = time.Minute     // before it goes up in steps
)

func worthNoting(g channel.Grant, t channel.Tally) bool {
	return g.Probe || g.Watched || t.Stop != nil || t.Throttled || t.Load >= loadSlow || doubtful(t)
}

// note is what a line makes of a tally.
func (r *row) note(now time.Time, g channel.Grant, t channel.Tally) (told []word) {
	switch {
	case t.Stop != nil:
		return r.stop(now, t.Stop.Code, t.Stop.Detail)
	case r.StoppedAt != nil && g.Probe && r.RetryAt != nil:
		told = r.probed(now, t)
	case r.StoppedAt == nil:
		told = r.judge(now, t)
	}
	if r.StoppedAt != nil {
		return told
	}
	did := pace(now, g, t)
	switch {
	case t.Throttled:
		told = append(told, r.throttle(now, g, cmp.Or(t.RetryAfter, restFor), max(did, sane(r.Sender)))...)
	case t.Load >= loadCrawl:
		told = append(told, r.slowTo(now, shareCrawl, max(did, sane(r.Sender)))...)
	case t.Load >= loadSlow:
		told = append(told, r.slowTo(now, shareSlow, max(did, sane(r.Sender)))...)
	}
	return told
}

// pace is what one lease is known to have done, in units a second.
func pace(now time.Time, g channel.Grant, t channel.Tally) float64 {
	took := now.Sub(g.Leased)
	if g.Leased.IsZero() || took <= 0 {
		return 0
	}
	return float64(t.Tried) / took.Seconds()
}

// throttle lets the line rest, and then go at half of what it did. What was
// leased before the last rest was over says nothing new: it only makes the rest
// longer.
func (r *row) throttle(now time.Time, g channel.Grant, rest time.Duration, did float64) (told []word) {
	until := now.Add(rest)
	share, old := r.shareAt(now), r.SlowUntil != nil && g.Leased.Before(r.SlowUntil.Add(-slowFor))
	if share == full || !old {
		told = r.slowed(max(share/2, shareLeast), share, did)
	}
	r.FreeAt = max(r.FreeAt, until.UnixMicro())
	r.slowUntil(until.Add(slowFor))
	return told
}

// slowTo keeps the line at most at a share of its pace for a while. To write it
// down anew with every chunk would be too much.
func (r *row) slowTo(now time.Time, most int, did float64) []word {
	share := r.shareAt(now)
	if share < most || share == most && r.SlowUntil.Sub(now) > slowFor/2 {
		return nil
	}
	told := r.slowed(most, share, did)
	r.slowUntil(now.Add(slowFor))
	return told
}

// slowed sets the share; was is the share so far.
func (r *row) slowed(share, was int, did float64) []word {
	if was == full {
		r.Pace, r.SlowUntil = did, nil
	}
	r.Share = share
	if share == was {
		return nil
	}
	return []word{{event.LineSlowed, map[string]any{"share": share}}}
}

func (r *row) slowUntil(at time.Time) {
	if r.SlowUntil == nil || r.SlowUntil.Before(at) {
		r.SlowUntil = &at
	}
}

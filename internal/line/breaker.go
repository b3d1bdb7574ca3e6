package line

import (
	"time"

	"beckon/internal/channel"
	"beckon/internal/event"
)

// The codes of stops that are ours and not a provider's.
const (
	CodeDown     = "provider_down"
	CodeRefusals = "too_many_refusals"
)

const (
	fewFaults   = 5  // tries that tell whether a provider is there
	fewRefusals = 20 // tries that tell whether it takes what it is given
	badInARow   = 3
	firstRest   = 30 * time.Second
	longestRest = 10 * time.Minute
)

func faults(t channel.Tally) int { return t.Unknown + t.Unreached }

// doubtful tells a chunk of which at least half went wrong, however small.
func doubtful(t channel.Tally) bool {
	return faults(t) > 0 && 2*faults(t) >= t.Tried || t.Refused > 0 && 2*t.Refused >= t.Tried
}

// stop stops the line until somebody resumes it.
func (r *row) stop(now time.Time, code, detail string) []word {
	if r.StoppedAt != nil && r.RetryAt == nil {
		return nil
	}
	if r.StoppedAt == nil {
		r.StoppedAt = &now
	}
	r.StopCode, r.StopDetail, r.RetryAt = code, detail, nil
	r.forget()
	return []word{{event.LineStopped, map[string]any{"code": code, "detail": detail}}}
}

// forget starts the breaker anew.
func (r *row) forget() { r.Tried, r.Faults, r.Refused, r.Streak, r.Rest = 0, 0, 0, 0, 0 }

// judge adds a tally to what is not judged yet, and opens the breaker with the
// third bad chunk in a row. A chunk too small to be judged by itself is only
// begun to be counted when it is bad; then the next ones count as well.
func (r *row) judge(now time.Time, t channel.Tally) []word {
	if r.Tried == 0 && t.Tried < fewFaults && !doubtful(t) && r.Streak == 0 {
		return nil
	}
	r.Tried, r.Faults, r.Refused = r.Tried+t.Tried, r.Faults+faults(t), r.Refused+t.Refused
	down := r.Tried >= fewFaults && 2*r.Faults >= r.Tried
	refused := r.Tried >= fewRefusals && 2*r.Refused >= r.Tried
	switch {
	case down || refused:
		r.Streak++
	case r.Tried >= fewRefusals || r.Refused == 0 && r.Tried >= fewFaults:
		r.Streak = 0
	default:
		return nil
	}
	r.Tried, r.Faults, r.Refused = 0, 0, 0
	switch {
	case r.Streak < badInARow:
		return nil
	case down:
		told := r.stop(now, CodeDown, "The provider could not be reached, or did not answer, for most of what was sent.")
		return r.restFor(now, firstRest, told)
	}
	return r.stop(now, CodeRefusals, "The provider refuses most of what is sent.")
}

// restFor makes a stop one that heals itself.
func (r *row) restFor(now time.Time, rest time.Duration, told []word) []word {
	at := now.Add(rest)
	r.RetryAt, r.Rest = &at, int(rest.Seconds())
	for _, w := range told {
		w.data["retry_at"] = at
	}
	return told
}

// probed ends the stop when the provider answers, and makes the rest longer when
// it does not.
func (r *row) probed(now time.Time, t channel.Tally) []word {
	switch {
	case t.Tried == 0: // nothing was left to send: somebody else may try
		r.RetryAt = &now
		return nil
	case 2*faults(t) >= t.Tried:
		rest := min(2*time.Duration(r.Rest)*time.Second, longestRest)
		return r.restFor(now, max(rest, firstRest), nil)
	}
	return r.resume("probe")
}

// resume lets the line go on. By says who wanted it.
func (r *row) resume(by string) []word {
	r.StoppedAt, r.RetryAt, r.StopCode, r.StopDetail = nil, nil, "", ""
	r.forget()
	return []word{{event.LineResumed, map[string]any{"by": by}}}
}

package line

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/event"
)

// Whatever comes back, in any order: a line slows down, stops and goes on only in
// the ways there are, and tells of each.
func TestALineMovesOnlyInTheWaysThereAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		r := fresh("sms", now)
		var wrong, begun int // what the breaker may know since the line went on last
		for range rapid.IntRange(1, 80).Draw(rt, "chunks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "seconds")) * time.Second)
			before := r
			tally := anyTally(rt)
			g := channel.Grant{Line: "sms", Leased: now.Add(-time.Second), Probe: r.StoppedAt != nil && r.RetryAt != nil && rapid.Bool().Draw(rt, "probe")}
			told := r.note(now, g, tally)
			begun, wrong = begun+tally.Tried, wrong+faults(tally)+tally.Refused

			require.GreaterOrEqual(rt, r.shareAt(now), shareLeast)
			require.LessOrEqual(rt, r.shareAt(now), full)
			require.GreaterOrEqual(rt, r.FreeAt, before.FreeAt, "the end of the line only moves on")
			require.Equal(rt, r.StoppedAt != nil, r.StopCode != "")
			require.False(rt, r.RetryAt != nil && r.StoppedAt == nil)
			if r.RetryAt != nil {
				require.LessOrEqual(rt, r.RetryAt.Sub(now), longestRest)
			}
			stopped, resumed := before.StoppedAt != nil, before.StoppedAt != nil && r.StoppedAt == nil
			require.Equal(rt, resumed, count(told, event.LineResumed) == 1)
			require.False(rt, resumed && (!g.Probe || tally.Stop != nil || 2*faults(tally) >= tally.Tried), "only a probe that went well lets it go on")
			switch {
			case stopped && before.RetryAt == nil:
				require.Equal(rt, before, r, "a person is waited for")
			case tally.Stop != nil:
				require.NotNil(rt, r.StoppedAt)
				require.Nil(rt, r.RetryAt)
				require.Equal(rt, 1, count(told, event.LineStopped))
			case !stopped && r.StoppedAt != nil:
				require.GreaterOrEqual(rt, wrong, badInARow*(fewFaults+1)/2, "the breaker needs reasons")
				require.GreaterOrEqual(rt, begun, badInARow*fewFaults)
				require.Equal(rt, r.StopCode == CodeDown, r.RetryAt != nil)
			}
			if resumed {
				begun, wrong = 0, 0
			}
		}
	})
}

func count(told []word, kind event.Type) (n int) {
	for _, w := range told {
		if w.kind == kind {
			n++
		}
	}
	return n
}

func anyTally(t *rapid.T) (out channel.Tally) {
	results := []channel.Result{
		{Outcome: channel.Accepted}, {Outcome: channel.Accepted, Load: 85}, {Outcome: channel.Refused}, {Outcome: channel.Unknown}, {Outcome: channel.Unknown},
		{Outcome: channel.TryLater, Unreached: true}, {Outcome: channel.TryLater, Throttled: true, Code: "429"}, {Outcome: channel.TryLater}, {Outcome: channel.Gone},
	}
	for range rapid.IntRange(0, 3).Draw(t, "kinds") {
		r := rapid.SampledFrom(results).Draw(t, "result")
		for range rapid.SampledFrom([]int{1, 1, 5, 30}).Draw(t, "times") {
			out.Add(r)
		}
	}
	if rapid.IntRange(0, 30).Draw(t, "stop") == 0 {
		out.Add(channel.Result{Outcome: channel.StopTheLine, Code: "20003", Detail: "x"})
	}
	return out
}

func TestWhatWasHeldBackTellsNothingOfTheLine(t *testing.T) {
	t.Parallel()
	var tally channel.Tally
	tally.Add(channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending was stopped"})
	require.Equal(t, channel.Tally{}, tally)
	tally.Add(channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Minute})
	tally.Add(channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Second, Load: 97})
	require.Equal(t, channel.Tally{Tried: 2, Throttled: true, RetryAfter: time.Minute, Load: 97}, tally)
}

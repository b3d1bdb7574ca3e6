package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
)

func answered(n int, outcome channel.Outcome) map[int64]channel.Result {
	out := map[int64]channel.Result{}
	for i := range n {
		out[int64(i)] = channel.Result{Outcome: outcome}
	}
	return out
}

func TestAChunkIsAboutHalfASecondOfSending(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n       int
		outcome channel.Outcome
		took    time.Duration
		want    int
	}{
		"a quick provider":                  {100, channel.Accepted, 10 * time.Millisecond, 400},
		"one as expected":                   {100, channel.Accepted, chunkTime, 100},
		"a slow one":                        {100, channel.Accepted, time.Second, 50},
		"a very slow one":                   {100, channel.Refused, time.Minute, leastChunk},
		"a part of a chunk, quick":          {10, channel.Accepted, time.Millisecond, firstChunk},
		"a part of a chunk, slow":           {50, channel.Accepted, 2 * chunkTime, leastChunk},
		"a call that hung says nothing":     {100, channel.Unknown, time.Minute, firstChunk},
		"nor does a throttle":               {100, channel.TryLater, time.Millisecond, firstChunk},
		"no time at all is not divided by":  {100, channel.Accepted, 0, 400},
		"nothing sent, because all was off": {0, channel.Accepted, 0, firstChunk},
	} {
		s := newChunks(500)
		s.learn(channel.Window, answered(c.n, c.outcome), c.took)
		require.Equal(t, c.want, s.of(channel.Window), name)
		require.Equal(t, firstChunk, s.of(channel.LaneSMS), "lanes learn for themselves")
	}
}

func TestAChunkIsNeverLargerThanABatchAndNeverEmpty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 1000).Draw(t, "batch")
		s := newChunks(most)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			n := rapid.IntRange(0, s.of(channel.Window)).Draw(t, "n")
			s.learn(channel.Window, answered(n, channel.Accepted), time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "took")))
			require.LessOrEqual(t, s.of(channel.Window), most)
			require.GreaterOrEqual(t, s.of(channel.Window), min(most, leastChunk))
		}
	})
}

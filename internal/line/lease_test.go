package line_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/line"
)

// node is one of many that lease the same line, with a clock of its own.
type node struct {
	*line.Store
	skew time.Duration
}

// fleet makes nodes over one database; real is the true time.
func fleet(d *db.DB, rate float64, real *time.Time, skews ...time.Duration) []node {
	nodes := make([]node, len(skews))
	for i, skew := range skews {
		nodes[i] = node{line.NewStore(d, line.Rates{Email: rate}, func() time.Time { return real.Add(skew) }), skew}
	}
	return nodes
}

func (n node) lease(t require.TestingT, d *db.DB, name string, want int) (g channel.Grant) {
	require.NoError(t, d.Transact(noContext, func(tx *db.Tx) (err error) {
		g, err = n.Lease(tx, name, want)
		return err
	}))
	return g
}

// The law of the pace: of turns that come in a time T, over all nodes, there are
// at most pace times T and one second's worth. Clocks that differ by s let a burst
// through that lasts 2s; a higher pace they never make.
func TestTurnsKeepThePaceOnAnyNumberOfNodesWhateverTheirClocks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			name, real := fmt.Sprintf("email:%d", round), noon
			rate := rapid.SampledFrom([]float64{0.3, 1, 1.9, 2, 15, 40, 333.3}).Draw(rt, "rate")
			skew := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 5 * time.Second}).Draw(rt, "skew")
			nodes := fleet(d, rate, &real, skew, -skew, 0)
			var turns []time.Time
			for range rapid.IntRange(5, 40).Draw(rt, "leases") {
				real = real.Add(time.Duration(rapid.IntRange(0, 800).Draw(rt, "ms")) * time.Millisecond)
				n := nodes[rapid.IntRange(0, 2).Draw(rt, "node")]
				g := n.lease(rt, d, name, rapid.IntRange(1, 500).Draw(rt, "want"))
				used := rapid.IntRange(0, g.Units).Draw(rt, "used")
				for i := range used {
					turns = append(turns, latest(real, g.Turn(i).Add(-n.skew)))
				}
				if rapid.Bool().Draw(rt, "give back") {
					require.NoError(rt, n.Owe(noContext, g, used-g.Units))
				}
			}
			requirePace(rt, turns, rate, 2*skew)
		})
	})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func requirePace(t require.TestingT, turns []time.Time, rate float64, slack time.Duration) {
	slices.SortFunc(turns, time.Time.Compare)
	for i := range turns {
		for j := i; j < len(turns); j++ {
			n, T := float64(j-i+1), turns[j].Sub(turns[i])+slack+time.Microsecond*time.Duration(j-i+1)
			if n > rate*T.Seconds()+max(1, rate)+1e-6 { // asked too often for require
				require.Fail(t, "too fast", "%g turns in %s at %g/s", n, turns[j].Sub(turns[i]), rate)
			}
		}
	}
}

// Three nodes that come again when they are told to use all of the pace, but for
// a twentieth at most.
func TestTheLineIsKeptBusy(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, rate := range []float64{1, 15, 200} {
			name, real := fmt.Sprintf("email:%g", rate), noon
			nodes := fleet(d, rate, &real, 0, 0, 0)
			due := []time.Time{noon, noon, noon}
			sent := 0
			for {
				i := 0
				for j := range due {
					if due[j].Before(due[i]) {
						i = j
					}
				}
				if real = due[i]; !real.Before(noon.Add(time.Minute)) {
					break
				}
				g := nodes[i].lease(t, d, name, 100)
				due[i] = real.Add(g.Wait)
				if g.Units > 0 {
					due[i] = latest(real, g.Turn(g.Units-1)).Add(130 * time.Millisecond) // the last answer, and writing down
				}
				for k := range g.Units {
					if g.Turn(k).Before(noon.Add(time.Minute)) {
						sent++
					}
				}
			}
			require.InDelta(t, 60*rate, sent, 60*rate/20+1, "at %g/s", rate)
		}
	})
}

func TestLeasesAtOnceNeverOverlap(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var clock atomic.Int64
		clock.Store(noon.UnixMicro())
		s := node{Store: line.NewStore(d, line.Rates{SMS: 50}, func() time.Time { return time.UnixMicro(clock.Load()) })}
		var mu sync.Mutex
		var got []channel.Grant
		for range 4 {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 4 {
						g := s.lease(t, d, "sms", 20)
						mu.Lock()
						got = append(got, g)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			clock.Add(1_700_000)
		}
		got = slices.DeleteFunc(got, func(g channel.Grant) bool { return g.Units == 0 })
		slices.SortFunc(got, func(a, b channel.Grant) int { return a.Start.Compare(b.Start) })
		require.GreaterOrEqual(t, len(got), 12)
		for i := 1; i < len(got); i++ {
			require.False(t, got[i].Start.Before(got[i-1].End), "two leases overlap")
		}
	})
}

func TestALeaseIsASecondsWorthAndNoneIsGivenFarAhead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{SMS: 3})
		first := b.lease("sms", 100)
		require.Equal(t, 3, first.Units)
		require.InDelta(t, 1.0/3, first.Every.Seconds(), 1e-5)
		second := b.lease("sms", 2)
		require.Equal(t, first.End, second.Start)
		require.Equal(t, 2, second.Units)
		none := b.lease("sms", 1)
		require.Zero(t, none.Units)
		require.False(t, none.Stopped)
		require.InDelta(t, 0.41, none.Wait.Seconds(), 0.02)
		b.pass(none.Wait)
		require.Equal(t, 1, b.lease("sms", 1).Units)
		b.pass(time.Hour)
		require.Equal(t, b.at.Add(-250*time.Millisecond), b.lease("sms", 1).Start, "idle time is not saved up")
	})
}

func TestAskingTakesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{SMS: 1})
		for range 3 {
			g := b.lease("sms", 0)
			require.Zero(t, g.Units+int(g.Wait))
		}
		require.Equal(t, 1, b.lease("sms", 1).Units)
	})
}

func TestALineWithoutAPaceIsOnlyRead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{})
		g := b.lease("email", 500)
		require.Equal(t, 500, g.Units)
		require.Zero(t, g.Every)
		b.note(g, channel.Tally{Tried: 500, Accepted: 490, Refused: 10})
		require.NoError(t, b.Owe(t.Context(), g, -3))
		var rows int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM lines").Scan(&rows).Error)
		require.Zero(t, rows)
	})
}

func TestWhatIsNotUsedIsGivenBackOnlyAtTheEndOfTheLine(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{SMS: 10})
		first := b.lease("sms", 10)
		require.NoError(t, b.Owe(t.Context(), first, -4))
		second := b.lease("sms", 1)
		require.Equal(t, first.Turn(6), second.Start)
		require.NoError(t, b.Owe(t.Context(), first, -6))
		require.Equal(t, second.End, b.lease("sms", 1).Start, "somebody is behind it")
	})
}

func TestSegmentsBeyondTheLeaseAreOwed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{SMS: 1})
		g := b.lease("sms", 1)
		require.NoError(t, b.Owe(t.Context(), g, 3))
		b.pass(2 * time.Second)
		require.Zero(t, b.lease("sms", 1).Units)
		b.pass(1100 * time.Millisecond)
		require.Equal(t, 1, b.lease("sms", 1).Units)
	})
}

package channeltest

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
)

// waitsForTurns expects that turns are asked for in the order of the messages,
// one at a time, and that every call comes after a turn of its own.
func waitsForTurns(t *testing.T, s Suite) {
	var asked []int
	var granted, calls, inside, early atomic.Int32
	sender := s.New(t, s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > granted.Load() {
			early.Add(1)
		}
		s.Accept.ServeHTTP(w, r)
	})))
	b := s.Batch(40)
	b.Turn = func(_ context.Context, i int) bool {
		if inside.Add(1) > 1 {
			early.Add(1)
		}
		asked = append(asked, i)
		granted.Add(1)
		inside.Add(-1)
		return true
	}
	for _, r := range sender.Send(t.Context(), b) {
		require.Equal(t, channel.Accepted, r.Outcome, r.Detail)
	}
	require.Zero(t, early.Load(), "calls before their turn, or two turns at once")
	require.Len(t, asked, int(calls.Load()), "a turn for each call")
	require.Zero(t, asked[0])
	require.IsIncreasing(t, append(asked, len(b.Messages)))
}

func refusedTurnEnds(t *testing.T, s Suite) {
	for last := range 3 {
		var calls atomic.Int32
		sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
		b := s.Batch(40)
		granted, refused := 0, -1
		b.Turn = func(_ context.Context, i int) bool {
			require.Negative(t, refused, "nothing is asked once the batch is over")
			if i < last {
				granted++
				return true
			}
			refused = i
			return false
		}
		results := sender.Send(t.Context(), b)
		if refused < 0 { // one call carried them all
			refused = len(results)
		}
		require.EqualValues(t, granted, calls.Load(), "nothing may be written after a refused turn")
		expectAll(t, s, channel.Batch{Messages: b.Messages[refused:]}, results[refused:], channel.TryLater)
		expectAll(t, s, channel.Batch{Messages: b.Messages[:refused]}, results[:refused], channel.Accepted)
	}
}

func cancelledInTurn(t *testing.T, s Suite) {
	for _, answer := range []bool{false, true} {
		var calls atomic.Int32
		sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
		ctx, cancel := context.WithCancel(t.Context())
		b := s.Batch(5)
		b.Turn = func(own context.Context, _ int) bool {
			cancel()
			<-own.Done()
			return answer
		}
		results := sender.Send(ctx, b)
		expectAll(t, s, b, results, channel.TryLater)
		require.Zero(t, calls.Load(), "nothing may be written")
		require.False(t, results[0].Unreached, "nobody tried")
	}
}

func haltedInTurn(t *testing.T, s Suite) {
	var calls atomic.Int32
	var halted atomic.Bool
	sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
	b := s.Batch(5)
	b.Halted = halted.Load
	b.Turn = func(context.Context, int) bool {
		halted.Store(true)
		return true
	}
	expectAll(t, s, b, sender.Send(t.Context(), b), channel.TryLater)
	require.Zero(t, calls.Load(), "nothing may be written")
}

package wire_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/wire"
)

func TestEachCallsEveryNumberOnceAndNeverTooManyAtATime(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 1000} {
		calls := make([]atomic.Int32, n)
		var now, most atomic.Int32
		begun := wire.Each(8, n, func(int) bool { return true }, func(i int) {
			most.Store(max(most.Load(), now.Add(1)))
			calls[i].Add(1)
			now.Add(-1)
		})
		for i := range calls {
			require.EqualValues(t, 1, calls[i].Load())
		}
		require.Equal(t, n, begun)
		require.LessOrEqual(t, most.Load(), int32(8))
	}
}

func TestEachAsksInOrderAndEndsWithTheFirstNo(t *testing.T) {
	t.Parallel()
	for _, last := range []int{0, 1, 99} {
		var asked []int
		var calls atomic.Int32
		begun := wire.Each(8, 100, func(i int) bool {
			asked = append(asked, i)
			return i < last
		}, func(int) { calls.Add(1) })
		require.Equal(t, last, begun)
		require.EqualValues(t, last, calls.Load())
		require.Len(t, asked, last+1)
		for i, n := range asked {
			require.Equal(t, i, n)
		}
	}
}

func TestWatchTellsWhetherARequestMayHaveLeft(t *testing.T) {
	t.Parallel()
	dropped := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	t.Cleanup(dropped.Close)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	for address, left := range map[string]bool{dropped.URL: true, "http://" + nobody.Addr().String(): false} {
		var may atomic.Bool
		req, err := http.NewRequestWithContext(wire.Watch(t.Context(), &may), http.MethodPost, address, nil)
		require.NoError(t, err)
		_, err = wire.Transport(2).RoundTrip(req)
		require.Error(t, err)
		require.Equal(t, left, may.Load(), address)
	}
}

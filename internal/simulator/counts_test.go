package simulator

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountsAreExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Receipts.Off = true })
	b.sim.AddPeople(testPage, 10)
	token := b.sim.GrantToken(testPage, "psid-1")
	const workers, each = 8, 25
	var wg sync.WaitGroup
	var won, lost sync.Map
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				b.graph(t, toPSID([]string{"psid-1", "psid-2", "nobody"}[i%3], `{"text":"x"}`))
			}
			if got := b.graph(t, toToken(token)); got.status == http.StatusOK {
				won.Store(w, true)
			} else {
				lost.Store(w, got.code(t))
			}
		})
	}
	wg.Wait()
	winners := 0
	won.Range(func(any, any) bool { winners++; return true })
	require.Equal(t, 1, winners, "a token goes once, whoever asks")

	c := b.sim.Counts()[Graph]
	require.Equal(t, int64(workers*(each+1)), c.Requests)
	require.Equal(t, int64(workers*17+1), c.Accepted)
	require.Equal(t, map[string]int64{"100/2018001": workers * 8, "100": workers - 1}, c.Refused)
	require.Equal(t, 2, c.Recipients)
	require.Equal(t, workers*9+1, c.MaxPerRecipient)
	require.Equal(t, map[int]int{workers*9 + 1: 1, workers * 8: 1}, c.Distribution)
	require.Equal(t, &TokenCount{Shown: 1, Repeated: 1}, c.Tokens, "a token that was named again and refused is told of")
	require.Equal(t, []string{"psid-1", "psid-2"}, c.Repeated)
	require.Equal(t, map[string]int{"psid-1": workers*9 + 1, "psid-2": workers * 8}, b.sim.AcceptedBy(Graph))

	b.sim.Reset()
	c = b.sim.Counts()[Graph]
	require.Zero(t, c.Requests+c.Accepted)
	require.Empty(t, c.Refused)
	require.Len(t, b.sim.Received(testPage, "psid-2"), workers*8, "messages stay")
}

func TestRepeatedIsBounded(t *testing.T) {
	t.Parallel()
	s := New(Config{})
	for range 2 {
		for _, psid := range s.AddPeople(testPage, maxRepeated+5) {
			s.desks[Graph].accept(psid)
		}
	}
	c := s.Counts()[Graph]
	require.Len(t, c.Repeated, maxRepeated)
	require.Equal(t, map[int]int{2: maxRepeated + 5}, c.Distribution)
}

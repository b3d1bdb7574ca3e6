package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// TestSTOPWhileACampaignRuns is the whole way: people text STOP while their text is
// waiting for its turn on one of several nodes. What Twilio's webhook answered holds
// within a second, and a START takes it back.
func TestSTOPWhileACampaignRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := newWorld(t, database, nil)
		w.settings = append(w.settings, "BECKON_SMS_SEGMENTS_PER_SECOND=100")
		front := w.serve(t)
		w.open(t)
		if strings.HasPrefix(database, "BECKON_DATABASE_URL") { // the embedded one has one node
			w.serve(t, "BECKON_ROLE=worker")
			w.serve(t, "BECKON_ROLE=worker")
			w.leadTo(front.address)
		}
		people := crowd{sms: 200}
		require.Equal(t, 200, w.imported(t, people.file(w)).Created)
		campaign := w.campaign(t, "sms", "email")
		require.Eventually(t, func() bool { return len(w.sim.AcceptedBy(simulator.Twilio)) >= 20 }, time.Minute, 5*time.Millisecond)

		answered, slowest := map[string]time.Time{}, time.Duration(0)
		for i := 199; i > 0 && len(answered) < 60; i -= 3 { // those whose turn comes last
			if w.sim.AcceptedBy(simulator.Twilio)[phone(i)] > 0 {
				continue
			}
			began := time.Now()
			require.NoError(t, w.sim.Text(t.Context(), phone(i), []string{"STOP", "Stopp!", "arrêt"}[i%3]))
			answered[phone(i)] = time.Now()
			slowest = max(slowest, time.Since(began))
		}
		require.NotEmpty(t, answered)
		eventually(t, func(c *assert.CollectT) { require.Equal(c, "finished", w.report(c, campaign).State) })

		spared, last := 0, time.Duration(0)
		for number, at := range answered {
			texts := w.sim.Texts(number)
			if len(texts) == 0 {
				spared++
				continue
			}
			after := texts[0].Created.Sub(at)
			last = max(last, after)
			require.Less(t, after, time.Second, "a text went out more than a second after the webhook was answered")
		}
		t.Logf("%d people said stop in the middle: the webhook was answered within %v, %d got no text, and nobody got one later than %v after the answer",
			len(answered), slowest.Round(time.Millisecond), spared, last.Round(time.Millisecond))
		require.NotZero(t, spared)
		r := w.report(t, campaign)
		require.Equal(t, spared, r.Unreachable.Total, "who was spared has no other lane")
		w.hidden = append(w.hidden, "arrêt", "Stopp!")
		w.logs.holdsNone(t, w.hidden)
	})
}

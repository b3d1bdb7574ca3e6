package dispatch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/line"
	"beckon/internal/simulator"
)

// within counts the most moments that lie in any stretch of time so long.
func within(at []time.Time, stretch time.Duration) (most int) {
	slices.SortFunc(at, time.Time.Compare)
	for i := range at {
		n := 0
		for _, x := range at[i:] {
			if x.Sub(at[i]) < stretch {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func TestMessagesGoOutAtTheirSendersPace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 100, Batch: 30, Parallel: 4}, rates: line.Rates{Messenger: 10}})
		var all []made
		for range 100 {
			all = append(all, b.make(human{window: true}))
		}
		b.sendOut(b.draft(nil))
		var at []time.Time
		for _, who := range all {
			got := b.sim.Received(graphPage, who.psid)
			require.Len(t, got, 1)
			at = append(at, got[0].At)
		}
		require.LessOrEqual(t, within(at, time.Second), 20, "a second's worth, and one second's worth more")
		require.LessOrEqual(t, within(at, 5*time.Second), 60)
		took := at[len(at)-1].Sub(at[0])
		require.Greater(t, took, 8*time.Second)
		require.Less(t, took, 30*time.Second, "four batches share the pace, none waits for nothing")
	})
}

func TestALongTextTakesAsManyTurnsAsItHasSegments(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{rates: line.Rates{SMS: 6}})
		for range 30 {
			b.make(human{phone: "new"})
		}
		began := b.now()
		b.sendOut(b.draft(func(p *campaign.Patch) {
			p.Content.SMS = &content.SMS{Text: strings.Repeat("Courses are open. ", 20) + "{{ link }} Reply STOP to opt out"} // three segments
		}))
		require.GreaterOrEqual(t, b.now().Sub(began), 13*time.Second, "90 segments at 6 a second, less what was there at once")
		b.onceEach()
	})
}

func TestAProviderThatThrottlesIsLeftAloneForAsLongAsItSays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 60 {
			b.make(human{email: "new"})
		}
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{ThrottleRate: 1})
		c := b.draft(nil)
		b.start(c)
		b.drain()
		asked := b.sim.Counts()[simulator.SendGrid].Requests
		require.LessOrEqual(t, asked, int64(4), "one for each batch that was under way")
		b.drain()
		b.drain()
		require.Equal(t, asked, b.sim.Counts()[simulator.SendGrid].Requests, "nobody asks again before the time")
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{})
		b.advance(2 * time.Minute)
		b.drain()
		require.Equal(t, 60, b.report(c).Lanes[channel.LaneEmail].States[delivery.Accepted])
		b.onceEach()
	})
}

func TestAProviderThatIsDownIsTriedALittleUntilItIsBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 300 {
			b.make(human{phone: "new"})
		}
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{FalseErrorRate: 1}) // it fails, and does not say whether it took them
		c := b.draft(nil)
		b.start(c)
		b.drain()
		states := b.report(c).Lanes[channel.LaneSMS].States
		lost := states[delivery.Unknown]
		require.NotZero(t, lost)
		require.LessOrEqual(t, lost, 160, "the breaker opens in the beginning: the rest is not burned")
		require.Equal(t, 300, lost+states[delivery.Pending])
		stopped, err := b.lines.Stopped(t.Context(), "sms")
		require.NoError(t, err)
		require.Len(t, stopped, 1)
		require.NotNil(t, stopped[0].RetryAt, "it heals by itself")

		b.sim.SetFaults(simulator.Twilio, simulator.Faults{})
		for range 20 {
			b.advance(time.Minute)
			b.drain()
		}
		states = b.report(c).Lanes[channel.LaneSMS].States
		require.Equal(t, 300-states[delivery.Unknown], states[delivery.Accepted])
		require.Equal(t, campaign.Finished, b.state(c))
		b.onceEach()
	})
}

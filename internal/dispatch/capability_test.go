package dispatch_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/page"
	"beckon/internal/route"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// known is what is known of the Page's one-time messages.
func (b *bundle) known() page.Known {
	b.t.Helper()
	p, err := b.pages.Get(b.t.Context(), b.page.ID)
	require.NoError(b.t, err)
	return p.Capabilities[page.OneTime]
}

func (b *bundle) capabilityEvents() (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM events WHERE type = 'page.capability_changed'").Scan(&n).Error)
	return n
}

// tokensOf counts the tokens of a number of people.
func (b *bundle) tokensOf(people []made) map[token.Status]int {
	b.t.Helper()
	out := map[token.Status]int{}
	for _, who := range people {
		for status, n := range b.tokenStates(who) {
			out[status] += n
		}
	}
	return out
}

// crowd makes people of one kind.
func (b *bundle) crowd(n int, h human) []made {
	b.t.Helper()
	people := make([]made, n)
	for i := range people {
		people[i] = b.make(h)
	}
	return people
}

func TestAPageWithOneTimeMessagesOffSendsOnItsOtherLanesAndBurnsNoToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.oneTime(page.Off)
		inWindow, byPhone := b.crowd(4, human{window: true, tokens: 1}), b.crowd(5, human{tokens: 2, phone: "new"})
		byMail, nobody := b.crowd(6, human{tokens: 1, email: "new"}), b.crowd(3, human{tokens: 1})
		c := b.draft(nil)
		seen, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, map[channel.Lane]int{channel.Window: 4, channel.LaneSMS: 5, channel.LaneEmail: 6}, seen.Lanes)

		r := b.sendOut(c)
		require.Equal(t, [3]int{4, 11, 3}, [3]int{r.Messenger.Total, r.LinkBack.Total, r.Unreachable.Total})
		everybody := slices.Concat(inWindow, byPhone, byMail, nobody)
		require.Equal(t, map[token.Status]int{token.Available: 23}, b.tokensOf(everybody), "not one was touched")
		for lane, people := range map[channel.Lane][]made{channel.Window: inWindow, channel.LaneSMS: byPhone, channel.LaneEmail: byMail} {
			for _, who := range people {
				got, attempts := b.of(c, who)
				require.Equal(t, []any{lane, delivery.Accepted}, []any{got.Lane, got.State})
				require.Len(t, attempts, 1, "no lane was tried in vain")
			}
		}
		for _, who := range nobody {
			require.Empty(t, b.sim.Received(graphPage, who.psid))
		}
		open, err := b.engine.Reach(t.Context(), nobody[0].id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, []route.Closed{{Lane: channel.OneTime, Reason: route.CapabilityOff}}, open[channel.OneTime].Closed())
	})
}

func TestALaneThatTurnsOutToBeOffBurnsAFewTokensAndNoMore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 60, Batch: 60, Parallel: 4}})
		b.oneTime(page.Unknown)
		people := b.crowd(60, human{tokens: 1, phone: "new"})
		for _, who := range people {
			b.sim.Refuse(simulator.Graph, who.psid, "100")
		}
		before := b.capabilityEvents()
		r := b.sendOut(b.draft(nil))
		require.Equal(t, 60, r.Lanes[channel.LaneSMS].Total, "everybody is reached, on the next lane")
		require.Equal(t, page.Off, b.known().State)
		require.Equal(t, page.BySend, b.known().How)
		require.Equal(t, before+1, b.capabilityEvents())
		lost := b.tokensOf(people)
		require.Equal(t, 60, lost[token.Void]+lost[token.Available])
		require.Equal(t, 8, lost[token.Void], "one small chunk told it")
	})
}

func TestTheFirstMessageTakenProvesALane(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.oneTime(page.Unknown)
		dead, alive := b.crowd(4, human{tokens: 1, phone: "new"}), b.crowd(30, human{tokens: 1})
		for _, who := range dead {
			b.sim.Refuse(simulator.Graph, who.psid, "100")
		}
		r := b.sendOut(b.draft(nil))
		require.Equal(t, []int{30, 4}, []int{r.Lanes[channel.OneTime].Total, r.Lanes[channel.LaneSMS].Total})
		require.Equal(t, page.Works, b.known().State)
		require.Equal(t, page.BySend, b.known().How)
		require.Equal(t, map[token.Status]int{token.Spent: 30}, b.tokensOf(alive))
	})
}

package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// refusal is a row of Meta's error codes: what it means for a message into the
// window, and for one to a token.
type refusal struct {
	code            string
	window, oneTime channel.Outcome
}

// definite are the codes after which this lane is over for one person.
func definite() []refusal {
	return []refusal{
		{"10/2018278", channel.TokenDead, channel.TokenDead},
		{"10/2018065", channel.TokenDead, channel.TokenDead},
		{"10/2018108", channel.Gone, channel.Gone},
		{"10/1893015", channel.TokenDead, channel.TokenDead},
		{"100/2018001", channel.Gone, channel.TokenDead},
		{"100", channel.Refused, channel.TokenDead},
		{"10", channel.Refused, channel.TokenDead},
		{"10/1545041", channel.Refused, channel.TokenDead}, // 1545041 alone says nothing
		{"200/1545041", channel.Gone, channel.Gone},
		{"551", channel.Gone, channel.Gone},
		{"551/1545041", channel.Gone, channel.Gone},
		{"613/1893016", channel.Refused, channel.Refused},
	}
}

func TestADefiniteRefusalMarksWhatItIsAboutAndFallsThrough(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		byWindow, byToken := map[string]made{}, map[string]made{}
		for _, row := range definite() {
			byWindow[row.code], byToken[row.code] = b.make(human{window: true, phone: "new"}), b.make(human{tokens: 1, phone: "new"})
			b.sim.Refuse(simulator.Graph, byWindow[row.code].psid, row.code)
			b.sim.Refuse(simulator.Graph, byToken[row.code].psid, row.code)
		}
		c := b.draft(nil)
		b.sendOut(c)
		for _, row := range definite() {
			for lane, want := range map[channel.Lane]channel.Outcome{channel.Window: row.window, channel.OneTime: row.oneTime} {
				who := byWindow[row.code]
				if lane == channel.OneTime {
					who = byToken[row.code]
				}
				got, attempts := b.of(c, who)
				require.Equal(t, channel.LaneSMS, got.Lane, "%s on %s", row.code, lane)
				require.Equal(t, delivery.Accepted, got.State, "%s on %s", row.code, lane)
				require.Equal(t, []channel.Outcome{want, channel.Accepted}, outcomes(attempts), "%s on %s", row.code, lane)
				require.Equal(t, row.code, attempts[0].Code)
				b.marked(who, lane, want, row.code)
			}
		}
		b.lineIs(false, "")
	})
}

// marked checks the effects of an outcome on a person's address and token.
func (b *bundle) marked(who made, lane channel.Lane, outcome channel.Outcome, code string) {
	b.t.Helper()
	a := b.address(who)
	require.Equal(b.t, outcome == channel.Gone, a.BlockedAt != nil, "%s on %s: blocked", code, lane)
	if lane == channel.Window {
		require.Equal(b.t, outcome == channel.TokenDead, a.LastActionAt == nil, "%s: the window is closed", code)
		return
	}
	want := token.Available
	switch outcome {
	case channel.TokenDead:
		want = token.Void
	case channel.Accepted, channel.Unknown:
		want = token.Spent
	}
	require.Equal(b.t, map[token.Status]int{want: 1}, b.tokenStates(who), "%s on %s", code, lane)
}

func (b *bundle) address(who made) contact.Address {
	b.t.Helper()
	all, err := b.contacts.Addresses(b.t.Context(), who.id)
	require.NoError(b.t, err)
	require.Len(b.t, all[who.id], 1)
	return all[who.id][0]
}

// lineIs checks whether the Page's line is stopped, and why.
func (b *bundle) lineIs(stopped bool, code string) {
	b.t.Helper()
	found, err := b.lines.Stopped(b.t.Context(), channel.Window.Line(b.page.ID.String()))
	require.NoError(b.t, err)
	require.Equal(b.t, stopped, len(found) == 1, code)
	if stopped {
		require.Equal(b.t, code, found[0].Code)
	}
}

// each runs a campaign for each code that everybody meets, over the same two
// people: one in the window, one with a token.
func (b *bundle) each(codes []string, check func(code string, c campaign.Campaign, open, holder made)) {
	b.t.Helper()
	open, holder := b.make(human{window: true, phone: "new"}), b.make(human{tokens: 1, phone: "new"})
	for _, code := range codes {
		b.sim.Refuse(simulator.Graph, "*", code)
		c := b.draft(nil)
		b.start(c)
		b.drain()
		check(code, c, open, holder)
		_, err := b.campaigns.Cancel(b.t.Context(), c.ID)
		require.NoError(b.t, err)
		b.resumed()
		b.drain()
	}
}

// waits checks that nothing was burned on two people who wait on their lanes.
func (b *bundle) waits(code string, c campaign.Campaign, open, holder made) {
	b.t.Helper()
	for lane, who := range map[channel.Lane]made{channel.Window: open, channel.OneTime: holder} {
		got, attempts := b.of(c, who)
		require.Equal(b.t, delivery.Pending, got.State, code)
		require.Equal(b.t, lane, got.Lane, code)
		require.Empty(b.t, attempts, "%s: it counts as no try", code)
		b.marked(who, lane, channel.TryLater, code)
	}
}

func TestWhatIsTheSendersFaultStopsTheLineAndBurnsNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.each([]string{"10/1893063", "10/1404170", "200", "200/2018028", "200/2018027", "190", "190/460", "190/493", "613/2018338", "2022"},
			func(code string, c campaign.Campaign, open, holder made) {
				b.waits(code, c, open, holder)
				b.lineIs(true, code)
			})
		p, err := b.pages.Get(t.Context(), b.page.ID)
		require.NoError(t, err)
		require.EqualValues(t, "refused", p.TokenHealth, "190 is about the Page's token")
	})
}

func TestWhatPassesIsTriedLaterAndCountsAsNoTry(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.each([]string{"4", "4/2018354", "9/2018352", "613", "613/2534040", "32", "80006", "17", "1200", "2"},
			func(code string, c campaign.Campaign, open, holder made) {
				b.waits(code, c, open, holder)
				b.lineIs(false, code)
				require.Nil(t, b.address(open).HeldUntil, code)
			})
		for _, code := range []string{"2018300", "10/2018300"} {
			b.sim.Refuse(simulator.Graph, "*", code)
			who := b.make(human{window: true, phone: "new"})
			c := b.draft(nil)
			b.start(c)
			b.drain()
			got, _ := b.of(c, who)
			require.Equal(t, delivery.Pending, got.State)
			require.True(t, got.NotBefore.After(b.now().Add(time.Minute)), "a human may be talking")
			require.NotNil(t, b.address(who).HeldUntil, "another app holds the thread")
			_, err := b.campaigns.Cancel(t.Context(), c.ID)
			require.NoError(t, err)
		}
	})
}

func TestAnErrorThatHidesADeliveredMessageIsUnknownAndNeverSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		open, holder := b.make(human{window: true, phone: "new"}), b.make(human{tokens: 1, phone: "new"})
		b.sim.Refuse(simulator.Graph, "*", "1/1357046")
		c := b.draft(nil)
		b.start(c)
		b.drain()
		b.sim.Refuse(simulator.Graph, "*", "")
		b.advance(time.Hour)
		b.resumed()
		b.drain()
		for lane, who := range map[channel.Lane]made{channel.Window: open, channel.OneTime: holder} {
			got, attempts := b.of(c, who)
			require.Equal(t, delivery.Unknown, got.State)
			require.Equal(t, []channel.Outcome{channel.Unknown}, outcomes(attempts))
			require.Empty(t, b.sim.Received(graphPage, who.psid), "nothing went out after it")
			b.marked(who, lane, channel.Unknown, "1/1357046")
		}
	})
}

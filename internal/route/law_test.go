package route_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/route"
)

func reaches() *rapid.Generator[route.Reach] {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "never") {
			return time.Time{}
		}
		return noon.Add(time.Duration(rapid.Int64Range(-3000, 3000).Draw(t, "minutes")) * time.Minute)
	})
	consent := rapid.SampledFrom([]string{"", route.Subscribed, route.Unsubscribed, "?"})
	return rapid.Custom(func(t *rapid.T) route.Reach {
		yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
		return route.Reach{
			HasMessenger: yes("messenger"), Blocked: yes("blocked"), ThreadHeld: yes("held"), Stopped: yes("said stop"), LastAction: moment.Draw(t, "last"),
			Token: yes("token"), TokenExpires: moment.Draw(t, "expires"), OneTimeOff: yes("off"),
			Recurring:    route.Permit{Known: yes("permit"), Stopped: yes("stopped"), Expires: moment.Draw(t, "ends"), Eligible: moment.Draw(t, "eligible")},
			RecurringOff: yes("recurring off"), Transactional: yes("transactional"), TemplateApproved: yes("approved"), UtilityOff: yes("utility off"),
			Phone: yes("phone"), Email: yes("email"),
			SMSConsent: consent.Draw(t, "sms consent"), EmailConsent: consent.Draw(t, "email consent"),
			PhoneSuppressed: yes("phone suppressed"), EmailSuppressed: yes("email suppressed"),
			SMSOff: yes("sms off"), SMSAbroad: yes("abroad"), EmailOff: yes("email off"),
		}
	})
}

func routes() *rapid.Generator[[]channel.Lane] {
	return rapid.SliceOfN(rapid.SampledFrom(append(channel.Lanes(), "pigeon", "")), 0, 9)
}

func TestLawsOfTheDecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, lanes := reaches().Draw(t, "reach"), routes().Draw(t, "route")
		before := slices.Clone(lanes)
		d := route.Decide(r, lanes, noon)

		require.Equal(t, before, lanes, "the route is left alone")
		require.Equal(t, d, route.Decide(r, lanes, noon), "the same question has the same answer")
		checkPartition(t, d, lanes)
		checkFirstOpen(t, r, d)
		if r.InWindow(noon) {
			require.NotEqual(t, channel.OneTime, d.Lane, "no token is spent inside the window")
			require.NotEqual(t, channel.Recurring, d.Lane, "nor is one that must rest then")
		}
		if d.Lane == channel.Recurring {
			require.False(t, r.Recurring.Stopped || noon.Before(r.Recurring.Eligible), "nobody is written to who stopped it, or too soon")
		}
		if d.Lane == channel.Utility {
			require.True(t, r.Transactional && r.TemplateApproved, "nothing else than what Meta approved goes out without a permission")
		}
		if r.Stopped {
			require.NotEqual(t, channel.Messenger, d.Lane.Kind(), "nobody is written to in Messenger who said stop there")
		}
		if r.ThreadHeld {
			require.NotEqual(t, channel.Messenger, d.Lane.Kind(), "nobody is written to whom another app or a human is talking with")
		}
	})
}

// checkPartition says that closed lanes, the chosen lane and the rest make up
// the route, and that each closed lane has a reason of the closed set.
func checkPartition(t *rapid.T, d route.Decision, lanes []channel.Lane) {
	got := []channel.Lane{}
	for _, c := range d.Closed() {
		require.Contains(t, route.Reasons(), c.Reason)
		got = append(got, c.Lane)
	}
	if d.Reachable() {
		got = append(append(got, d.Lane), d.Rest...)
		require.Empty(t, d.Why())
	} else {
		require.Empty(t, d.Rest)
		require.Equal(t, len(lanes) > 0, d.Why() != "")
	}
	require.Equal(t, append([]channel.Lane{}, lanes...), got)
}

// checkFirstOpen asks for every lane alone: the closed ones are closed and the
// chosen one is open, whatever stands beside them.
func checkFirstOpen(t *rapid.T, r route.Reach, d route.Decision) {
	for _, c := range d.Closed() {
		alone := route.Decide(r, []channel.Lane{c.Lane}, noon)
		require.Equal(t, []route.Closed{c}, alone.Closed())
	}
	if d.Reachable() {
		require.True(t, d.Lane.Valid())
		require.Equal(t, d.Lane, route.Decide(r, []channel.Lane{d.Lane}, noon).Lane)
	}
}

func TestClosingMoreNeverOpensALane(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, lanes := reaches().Draw(t, "reach"), routes().Draw(t, "route")
		worse := r
		worse.Blocked, worse.PhoneSuppressed, worse.EmailSuppressed, worse.OneTimeOff = true, true, true, true
		require.Empty(t, route.Decide(worse, lanes, noon).Lane, "nothing goes out to who blocked us and is suppressed")
	})
}

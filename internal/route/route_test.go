package route_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/route"
)

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	usual = []channel.Lane{channel.Window, channel.OneTime, channel.LaneSMS, channel.LaneEmail}
)

// everywhere can be reached on every lane but the window.
func everywhere() route.Reach {
	return route.Reach{
		HasMessenger: true, LastAction: noon.Add(-48 * time.Hour),
		Token: true, TokenExpires: noon.Add(time.Hour),
		Recurring:     route.Permit{Known: true, Expires: noon.Add(time.Hour), Eligible: noon},
		Transactional: true, TemplateApproved: true,
		Phone: true, SMSConsent: route.Subscribed,
		Email: true, EmailConsent: route.Subscribed,
	}
}

func TestDecideTakesTheFirstOpenLane(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*route.Reach)
		lane   channel.Lane
		rest   int
	}{
		"inside the window":          {func(r *route.Reach) { r.LastAction = noon.Add(-time.Hour) }, channel.Window, 3},
		"token":                      {func(*route.Reach) {}, channel.OneTime, 2},
		"token without an end":       {func(r *route.Reach) { r.TokenExpires = time.Time{} }, channel.OneTime, 2},
		"token, psid not known":      {func(r *route.Reach) { r.HasMessenger = false }, channel.OneTime, 2},
		"no token":                   {func(r *route.Reach) { r.Token = false }, channel.LaneSMS, 1},
		"blocked":                    {func(r *route.Reach) { r.Blocked = true }, channel.LaneSMS, 1},
		"blocked inside the window":  {func(r *route.Reach) { r.Blocked, r.LastAction = true, noon }, channel.LaneSMS, 1},
		"another holds the thread":   {func(r *route.Reach) { r.ThreadHeld = true }, channel.LaneSMS, 1},
		"held inside the window":     {func(r *route.Reach) { r.ThreadHeld, r.LastAction = true, noon }, channel.LaneSMS, 1},
		"one-time off, no SMS here":  {func(r *route.Reach) { r.OneTimeOff, r.SMSOff = true, true }, channel.LaneEmail, 0},
		"nothing but a mail address": {func(r *route.Reach) { *r = route.Reach{Email: true, EmailConsent: route.Subscribed} }, channel.LaneEmail, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := everywhere()
			c.change(&r)
			d := route.Decide(r, usual, noon)
			require.Equal(t, c.lane, d.Lane)
			require.True(t, d.Reachable())
			require.Equal(t, usual[len(usual)-c.rest:], d.Rest)
			require.Len(t, d.Closed(), len(usual)-c.rest-1)
			require.Empty(t, d.Why())
		})
	}
}

func TestDecideGivesTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*route.Reach)
		lane   channel.Lane
		want   route.Reason
	}{
		"window: not in Messenger":     {func(r *route.Reach) { r.HasMessenger = false }, channel.Window, route.NoAddress},
		"window: blocked":              {func(r *route.Reach) { r.Blocked = true }, channel.Window, route.Blocked},
		"window: never wrote":          {func(r *route.Reach) { r.LastAction = time.Time{} }, channel.Window, route.WindowClosed},
		"window: long ago":             {func(*route.Reach) {}, channel.Window, route.WindowClosed},
		"one_time: not in Messenger":   {func(r *route.Reach) { r.HasMessenger, r.Token = false, false }, channel.OneTime, route.NoAddress},
		"one_time: blocked":            {func(r *route.Reach) { r.Blocked = true }, channel.OneTime, route.Blocked},
		"window: held":                 {func(r *route.Reach) { r.ThreadHeld, r.LastAction = true, noon }, channel.Window, route.ThreadHeld},
		"one_time: held":               {func(r *route.Reach) { r.ThreadHeld = true }, channel.OneTime, route.ThreadHeld},
		"one_time: none":               {func(r *route.Reach) { r.Token = false }, channel.OneTime, route.NoToken},
		"one_time: expires now":        {func(r *route.Reach) { r.TokenExpires = noon }, channel.OneTime, route.TokenExpired},
		"one_time: capability":         {func(r *route.Reach) { r.OneTimeOff = true }, channel.OneTime, route.CapabilityOff},
		"one_time: inside the window":  {func(r *route.Reach) { r.LastAction = noon }, channel.OneTime, route.InsideWindow},
		"one_time: inside, no token":   {func(r *route.Reach) { r.LastAction, r.Token = noon, false }, channel.OneTime, route.NoToken},
		"sms: no phone":                {func(r *route.Reach) { r.Phone = false }, channel.LaneSMS, route.NoAddress},
		"sms: never asked":             {func(r *route.Reach) { r.SMSConsent = "" }, channel.LaneSMS, route.NoConsent},
		"sms: unknown consent":         {func(r *route.Reach) { r.SMSConsent = "maybe" }, channel.LaneSMS, route.NoConsent},
		"sms: said no":                 {func(r *route.Reach) { r.SMSConsent = route.Unsubscribed }, channel.LaneSMS, route.OptedOut},
		"sms: suppressed though asked": {func(r *route.Reach) { r.PhoneSuppressed = true }, channel.LaneSMS, route.Suppressed},
		"sms: not here":                {func(r *route.Reach) { r.SMSOff = true }, channel.LaneSMS, route.NotConfigured},
		"email: no address":            {func(r *route.Reach) { r.Email = false }, channel.LaneEmail, route.NoAddress},
		"email: never asked":           {func(r *route.Reach) { r.EmailConsent = "" }, channel.LaneEmail, route.NoConsent},
		"email: said no":               {func(r *route.Reach) { r.EmailConsent = route.Unsubscribed }, channel.LaneEmail, route.OptedOut},
		"email: suppressed":            {func(r *route.Reach) { r.EmailSuppressed = true }, channel.LaneEmail, route.Suppressed},
		"email: not here":              {func(r *route.Reach) { r.EmailOff = true }, channel.LaneEmail, route.NotConfigured},
		"utility: not in Messenger":    {func(r *route.Reach) { r.HasMessenger = false }, channel.Utility, route.NoAddress},
		"utility: blocked":             {func(r *route.Reach) { r.Blocked = true }, channel.Utility, route.Blocked},
		"utility: held":                {func(r *route.Reach) { r.ThreadHeld = true }, channel.Utility, route.ThreadHeld},
		"utility: promotion":           {func(r *route.Reach) { r.Transactional = false }, channel.Utility, route.NotTransactional},
		"utility: capability":          {func(r *route.Reach) { r.UtilityOff = true }, channel.Utility, route.CapabilityOff},
		"utility: not approved":        {func(r *route.Reach) { r.TemplateApproved = false }, channel.Utility, route.TemplateNotApproved},
		"recurring: not in Messenger":  {func(r *route.Reach) { r.HasMessenger, r.Recurring = false, route.Permit{} }, channel.Recurring, route.NoAddress},
		"recurring: blocked":           {func(r *route.Reach) { r.Blocked = true }, channel.Recurring, route.Blocked},
		"recurring: held":              {func(r *route.Reach) { r.ThreadHeld = true }, channel.Recurring, route.ThreadHeld},
		"recurring: capability":        {func(r *route.Reach) { r.RecurringOff = true }, channel.Recurring, route.CapabilityOff},
		"recurring: none":              {func(r *route.Reach) { r.Recurring = route.Permit{} }, channel.Recurring, route.NoToken},
		"recurring: stopped":           {func(r *route.Reach) { r.Recurring.Stopped = true }, channel.Recurring, route.OptedOut},
		"recurring: expires now":       {func(r *route.Reach) { r.Recurring.Expires = noon }, channel.Recurring, route.TokenExpired},
		"recurring: inside the window": {func(r *route.Reach) { r.LastAction = noon }, channel.Recurring, route.InsideWindow},
		"recurring: must rest":         {func(r *route.Reach) { r.Recurring.Eligible = noon.Add(1) }, channel.Recurring, route.TooSoon},
		"a lane nobody knows":          {func(*route.Reach) {}, "pigeon", route.NotConfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := everywhere()
			c.change(&r)
			d := route.Decide(r, []channel.Lane{c.lane}, noon)
			require.False(t, d.Reachable())
			require.Equal(t, []route.Closed{{Lane: c.lane, Reason: c.want}}, d.Closed())
			require.Equal(t, c.want, d.Why())
			require.Empty(t, d.Rest)
		})
	}
}

func TestUtilityAndRecurringAreOpen(t *testing.T) {
	t.Parallel()
	r := everywhere()
	for _, lane := range []channel.Lane{channel.Utility, channel.Recurring} {
		require.Equal(t, lane, route.Decide(r, []channel.Lane{lane, channel.LaneSMS}, noon).Lane)
	}
	r.HasMessenger, r.Recurring.Expires = false, time.Time{}
	require.Equal(t, channel.Recurring, route.Decide(r, []channel.Lane{channel.Recurring}, noon).Lane, "the token is enough, and may have no end")
}

func TestWindowKeepsItsMargin(t *testing.T) {
	t.Parallel()
	r := everywhere()
	for ago, open := range map[time.Duration]bool{
		-time.Minute:                             true, // their clock runs ahead of ours
		0:                                        true,
		route.Window - route.WindowMargin - 1:    true,
		route.Window - route.WindowMargin:        false,
		route.Window:                             false,
		400 * 24 * time.Hour:                     false,
		route.Window - route.WindowMargin + 1e12: false,
	} {
		r.LastAction = noon.Add(-ago)
		require.Equal(t, open, r.InWindow(noon), ago)
		require.Equal(t, open, route.Decide(r, usual, noon).Lane == channel.Window, ago)
	}
}

func TestTokenIsKeptWhenTheWindowComesLaterInTheRoute(t *testing.T) {
	t.Parallel()
	r := everywhere()
	r.LastAction = noon
	d := route.Decide(r, []channel.Lane{channel.OneTime, channel.Window, channel.LaneSMS}, noon)
	require.Equal(t, channel.Window, d.Lane)
	require.Equal(t, []route.Closed{{channel.OneTime, route.InsideWindow}}, d.Closed())
	require.Equal(t, []channel.Lane{channel.LaneSMS}, d.Rest)
}

func TestWhyIsTheMostActionableReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reach route.Reach
		want  route.Reason
	}{
		"nothing known":            {route.Reach{}, route.NoAddress},
		"only in Messenger":        {route.Reach{HasMessenger: true}, route.NoToken},
		"never asked about SMS":    {route.Reach{HasMessenger: true, Phone: true}, route.NoConsent},
		"suppressed over no asked": {route.Reach{Phone: true, Email: true, EmailSuppressed: true}, route.Suppressed},
		"said no over never asked": {route.Reach{Phone: true, Email: true, EmailConsent: route.Unsubscribed}, route.OptedOut},
		"SMS not here":             {route.Reach{Phone: true, SMSConsent: route.Subscribed, SMSOff: true}, route.NotConfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, route.Decide(c.reach, usual, noon).Why())
		})
	}
}

func TestEmptyRouteReachesNobody(t *testing.T) {
	t.Parallel()
	d := route.Decide(everywhere(), nil, noon)
	require.False(t, d.Reachable())
	require.Empty(t, d.Closed())
	require.Empty(t, d.Why())
}

func TestDecideDoesNotAllocate(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	r := everywhere()
	r.Token, r.SMSConsent, r.EmailConsent = false, "", ""
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = route.Decide(r, usual, noon).Lane }))
}

func BenchmarkDecide(b *testing.B) {
	r := everywhere()
	r.Token, r.SMSConsent = false, ""
	b.ReportAllocs()
	for b.Loop() {
		if route.Decide(r, usual, noon).Lane != channel.LaneEmail {
			b.Fatal("wrong lane")
		}
	}
}

func BenchmarkWhy(b *testing.B) {
	d := route.Decide(route.Reach{Phone: true}, usual, noon)
	b.ReportAllocs()
	for b.Loop() {
		if d.Why() != route.NoConsent {
			b.Fatal("wrong reason")
		}
	}
}

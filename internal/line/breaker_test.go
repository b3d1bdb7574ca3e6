package line_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/line"
)

func TestARealStopStaysUntilSomebodyResumesIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{SMS: 10})
		g, campaign := b.lease("sms", 5), uuid.Must(uuid.NewV7())
		stop := channel.Tally{Tried: 5, Stop: &channel.Result{Outcome: channel.StopTheLine, Code: "20003", Detail: "the credentials do not work"}}
		for range 2 { // a second chunk says it again
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return b.Note(tx, g, campaign, stop) }))
		}
		b.pass(24 * time.Hour)
		g = b.lease("sms", 5)
		require.True(t, g.Stopped)
		require.Zero(t, g.Units)
		require.Equal(t, time.Minute, g.Wait)
		b.note(g, good)
		l := b.look("sms")
		require.Equal(t, []any{noon, "20003", "the credentials do not work"}, []any{l.StoppedAt.UTC(), l.Code, l.Detail})
		require.Nil(t, l.RetryAt)

		types, last := b.events()
		require.Equal(t, []event.Type{event.LineStopped}, types)
		require.Equal(t, campaign, last.Campaign)
		require.Equal(t, map[string]any{"sender": "sms", "code": "20003", "detail": "the credentials do not work"}, last.Data)

		l, err := b.Resume(t.Context(), "sms")
		require.NoError(t, err)
		require.Nil(t, l.StoppedAt)
		require.Empty(t, l.Code)
		require.Equal(t, 5, b.lease("sms", 5).Units)
		_, err = b.Resume(t.Context(), "sms")
		require.NoError(t, err, "again changes nothing")
		types, last = b.events()
		require.Equal(t, []event.Type{event.LineStopped, event.LineResumed}, types)
		require.Equal(t, "person", last.Data["by"])
	})
}

func TestOnlySendersThatThereAreCanBeResumed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{})
		for _, name := range []string{"", "fax", "messenger", "messenger:", "messenger:" + uuid.NewString(), "sms:" + uuid.NewString(), "messenger:\x00"} {
			_, err := b.Resume(t.Context(), name)
			require.True(t, fault.HasCode(err, "line_not_found"), name)
		}
		lines, err := b.List(t.Context(), "email", 10)
		require.NoError(t, err)
		require.Len(t, lines, 1)
		require.Equal(t, "sms", lines[0].Sender)
	})
}

func TestTheBreakerOpensWithTheThirdBadChunkInARow(t *testing.T) {
	t.Parallel()
	one := func(r channel.Outcome, unreached bool) channel.Tally {
		var t channel.Tally
		t.Add(channel.Result{Outcome: r, Unreached: unreached, Code: "1"})
		return t
	}
	many := func(n int, t channel.Tally) (out []channel.Tally) {
		for range n {
			out = append(out, t)
		}
		return out
	}
	mixed := append(many(12, one(channel.Accepted, false)), many(3, one(channel.Unknown, false))...)
	for name, c := range map[string]struct {
		chunks []channel.Tally
		code   string
	}{
		"two are not enough":                    {many(2, down), ""},
		"three are":                             {many(3, down), line.CodeDown},
		"a good one between starts anew":        {[]channel.Tally{down, down, good, down, down}, ""},
		"refusals":                              {many(3, refused), line.CodeRefusals},
		"some refusals are daily life":          {many(9, channel.Tally{Tried: 40, Refused: 19, Accepted: 21}), ""},
		"few faults among many":                 {many(9, channel.Tally{Tried: 100, Unknown: 49, Accepted: 51}), ""},
		"chunks of one are added up":            {many(15, one(channel.TryLater, true)), line.CodeDown},
		"fourteen times one are not three":      {many(14, one(channel.Unknown, false)), ""},
		"one by one, most of them well":         {append(append(mixed, mixed...), mixed...), ""},
		"refused one by one":                    {many(60, one(channel.Refused, false)), line.CodeRefusals},
		"an address that is gone is no fault":   {many(90, one(channel.Gone, false)), ""},
		"neither is one that has to wait a bit": {many(90, one(channel.TryLater, false)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t), line.Rates{})
			for _, chunk := range c.chunks {
				require.False(t, b.look("sms").StoppedAt != nil, "too early")
				b.note(b.lease("sms", chunk.Tried), chunk)
			}
			require.Equal(t, c.code, b.look("sms").Code)
			require.Equal(t, c.code != "", b.lease("sms", 1).Stopped)
		})
	}
}

func TestALineWhoseProviderWasDownHealsByItself(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{Messenger: 15})
		name := channel.Window.Line(uuid.NewString())
		open := func() {
			for range 3 {
				b.note(b.lease(name, 10), down)
				b.pass(time.Second)
			}
		}
		open()
		for _, rest := range []int{30, 60, 120, 240, 480, 600, 600} {
			l := b.look(name)
			wait := l.RetryAt.Sub(b.at)
			require.InDelta(t, rest, wait.Seconds(), 1)
			require.True(t, b.lease(name, 10).Stopped)
			b.pass(wait)
			probe := b.lease(name, 100)
			require.True(t, probe.Probe)
			require.Equal(t, 5, probe.Units)
			require.True(t, b.lease(name, 100).Stopped, "one probe at a time")
			b.note(channel.Grant{Line: name}, good) // leased before the stop
			b.note(channel.Grant{Line: name}, down)
			b.note(probe, channel.Tally{Tried: 5, Unknown: 3, Accepted: 2})
		}
		b.pass(10 * time.Minute)
		probe := b.lease(name, 100)
		b.note(probe, channel.Tally{}) // nothing was left to send
		probe = b.lease(name, 100)
		require.True(t, probe.Probe, "so the next one tries")
		b.pass(2 * time.Minute) // its node died
		probe = b.lease(name, 100)
		require.True(t, probe.Probe)
		b.note(probe, channel.Tally{Tried: 5, Accepted: 3, Unreached: 2})
		require.Equal(t, 15, b.lease(name, 100).Units)
		types, last := b.events()
		require.Equal(t, []event.Type{event.LineStopped, event.LineResumed}, types)
		require.Equal(t, "probe", last.Data["by"])
		open()
		require.InDelta(t, 30, b.look(name).RetryAt.Sub(b.at).Seconds(), 1, "the next rest is short again")
	})
}

func TestTooManyRefusalsWaitForAPerson(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{})
		for range 3 {
			b.note(b.lease("email", 40), refused)
		}
		b.pass(time.Hour)
		g := b.lease("email", 40)
		require.True(t, g.Stopped)
		require.False(t, g.Probe)
		require.Nil(t, b.look("email").RetryAt)
	})
}

func TestAThrottledLineRestsAndGoesBackUpInSteps(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{Messenger: 20})
		name := channel.Window.Line(uuid.NewString())
		g := b.lease(name, 20)
		other := b.lease(name, 20)
		throttled := channel.Tally{Tried: 20, Accepted: 10, Throttled: true, RetryAfter: 30 * time.Second}
		b.pass(time.Second)
		b.note(g, throttled)
		b.note(other, throttled) // under way at the same time: the same news
		require.Zero(t, b.lease(name, 20).Units)
		l := b.look(name)
		require.Equal(t, []any{50, 10.0}, []any{l.Share, l.Pace})
		require.InDelta(t, 30, l.RestUntil.Sub(b.at).Seconds(), 1)
		for _, c := range []struct {
			at   time.Duration
			pace int
		}{{29 * time.Second, 10}, {31 * time.Second, 10}, {89 * time.Second, 10}, {91 * time.Second, 15}, {151 * time.Second, 20}} {
			b.at = noon.Add(time.Second + c.at)
			g := b.lease(name, 100)
			require.Equal(t, c.pace, g.Units, c.at)
			require.False(t, g.Start.Before(noon.Add(30*time.Second)), "nothing goes out while it rests")
			b.note(g, good)
		}
		require.Equal(t, 100, b.look(name).Share)
		types, _ := b.events()
		require.Equal(t, []event.Type{event.LineSlowed}, types)

		b.note(b.lease(name, 20), channel.Tally{Tried: 5, Throttled: true})
		require.InDelta(t, 5, b.look(name).RestUntil.Sub(b.at).Seconds(), 1, "when the provider does not say")
		b.pass(6 * time.Second)
		b.note(b.lease(name, 20), channel.Tally{Tried: 5, Throttled: true})
		require.Equal(t, 25, b.look(name).Share, "again: half of the half")
		_, err := b.Resume(t.Context(), name) // no such page, so by the transaction's way
		require.Error(t, err)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return line.Lift(tx, name, line.ByToken, b.at) }))
		b.pass(2 * time.Second)
		require.Equal(t, 5, b.lease(name, 20).Units, "resumed, it need not rest, but stays slow")
	})
}

func TestALineWithoutAPaceGetsOneWhenItIsThrottled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{})
		g := b.lease("email", 500)
		b.pass(time.Second)
		b.note(g, channel.Tally{Tried: 500, Accepted: 400, Throttled: true, RetryAfter: time.Second})
		b.pass(1500 * time.Millisecond)
		require.Equal(t, 250, b.lease("email", 1000).Units, "half of what it did")
		b.pass(4 * time.Minute)
		require.Equal(t, 1000, b.lease("email", 1000).Units)
		require.Equal(t, line.Line{Sender: "email", Share: 100}, b.look("email"))
		b.note(b.lease("sms", 1), channel.Tally{Tried: 1, Throttled: true})
		require.InDelta(t, 0.5, b.look("sms").Pace, 0.001, "nothing is known of it: a sane start")
	})
}

func TestALineSlowsDownBeforeTheLimitIsUsedUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, line.Rates{Email: 100})
		for _, c := range []struct{ load, share int }{{79, 100}, {80, 50}, {85, 50}, {95, 25}, {80, 25}} {
			b.note(b.lease("email", 10), channel.Tally{Tried: 10, Accepted: 10, Load: c.load})
			require.Equal(t, c.share, b.look("email").Share, c.load)
			b.pass(10 * time.Second)
		}
		require.Nil(t, b.look("email").RestUntil)
		b.pass(3 * time.Minute)
		require.Equal(t, 100, b.look("email").Share)
		types, _ := b.events()
		require.Equal(t, []event.Type{event.LineSlowed, event.LineSlowed}, types)
	})
}

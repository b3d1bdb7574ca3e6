package token_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/token"
)

// somebody is another person of the desk's page who wrote an hour ago.
func (k *desk) somebody(t *testing.T) token.Request {
	t.Helper()
	id := k.newContact(t)
	k.exec(t, "INSERT INTO messenger_addresses (page_id, psid, contact_id, last_action_at, created_at) VALUES (?, ?, ?, ?, ?)", k.page, uuid.NewString(), id, k.now.Add(-time.Hour), k.now)
	return token.Request{ContactID: id, PageID: k.page, Topic: "courses"}
}

func (k *desk) asking(t *testing.T) (a token.Asking, known bool) {
	t.Helper()
	of, err := k.store.AskingOf(t.Context(), k.page, uuid.New())
	require.NoError(t, err)
	a, known = of[k.page]
	return a, known
}

func TestAPageThatMayNotAskStopsAskingUntilAPersonResumesIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		k.m.answer = channel.Result{Outcome: channel.StopTheLine, Code: "10/1404170"}
		r, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.Failed, r.State)
		k.now = k.now.Add(20 * time.Hour)
		_, err = k.service.Ask(t.Context(), k.somebody(t))
		require.True(t, fault.HasCode(err, "asking_stopped"), "%v", err)
		require.EqualValues(t, 1, k.m.calls.Load(), "nobody else is asked")
		a, _ := k.asking(t)
		require.Equal(t, "10/1404170", a.Code)
		require.NotNil(t, a.StoppedAt)
		require.NoError(t, k.store.ResumeAsking(t.Context(), k.page))
		_, known := k.asking(t)
		require.False(t, known)
		_, err = k.service.Ask(t.Context(), k.somebody(t))
		require.NoError(t, err)
	})
}

func TestAPageThatAsksTooMuchRestsLongerEachTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		slow := channel.Result{Outcome: channel.TryLater, Code: "9/2018352", Throttled: true}
		k.m.answer = slow
		for _, rest := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			_, err := k.service.Ask(t.Context(), k.somebody(t))
			require.NoError(t, err)
			a, _ := k.asking(t)
			require.WithinDuration(t, k.now.Add(rest), *a.SlowUntil, time.Microsecond)
			_, err = k.service.Ask(t.Context(), k.somebody(t))
			require.True(t, fault.HasCode(err, "asking_slowed"), "%v", err)
			k.now = k.now.Add(rest)
		}
		slow.RetryAfter = 30 * time.Minute
		k.m.answer = slow
		_, err := k.service.Ask(t.Context(), k.somebody(t))
		require.NoError(t, err)
		k.now = k.now.Add(30*time.Minute - time.Second)
		_, err = k.service.Ask(t.Context(), k.somebody(t))
		require.True(t, fault.HasCode(err, "asking_slowed"), "as long as Graph says")
		k.now = k.now.Add(time.Second)
		k.m.answer = channel.Result{Outcome: channel.Accepted, ProviderID: "m"}
		_, err = k.service.Ask(t.Context(), k.somebody(t))
		require.NoError(t, err)
		k.m.answer = channel.Result{Outcome: channel.TryLater, Code: "9/2018352"}
		_, err = k.service.Ask(t.Context(), k.somebody(t))
		require.NoError(t, err)
		a, _ := k.asking(t)
		require.WithinDuration(t, k.now.Add(time.Minute), *a.SlowUntil, time.Microsecond, "back at the start")
	})
}

// Another bot of the Page may have asked: Meta says so, and that counts as ours.
func TestWhomMetaSaysWasAskedIsNotAskedAgainSoon(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		k.m.answer = channel.Result{Outcome: channel.Refused, Code: "613/1893016"}
		r, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.Failed, r.State)
		_, err = k.service.Ask(t.Context(), k.ask)
		require.True(t, fault.HasCode(err, "asked_recently"), "%v", err)
		k.m.answer = channel.Result{Outcome: channel.Refused, Code: "100"}
		other := k.somebody(t)
		for range 2 { // any other refusal leaves the way open
			_, err = k.service.Ask(t.Context(), other)
			require.NoError(t, err)
		}
	})
}

func TestAPageWhoseOneTimeNotificationsAreOffDoesNotAsk(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		k.exec(t, "INSERT INTO capabilities (page_id, name, state, how, known_at) VALUES (?, 'one_time', 'off', 'operator', ?)", k.page, k.now)
		_, err := k.service.Ask(t.Context(), k.ask)
		require.True(t, fault.HasCode(err, "capability_off"), "%v", err)
		require.Zero(t, k.m.calls.Load())
	})
}

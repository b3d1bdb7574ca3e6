package mirror_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/mirror"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

func (b *bundle) push() {
	b.t.Helper()
	require.NoError(b.t, b.PushNow(b.t.Context()))
}

func (b *bundle) global() []string {
	got := b.sim.SuppressedOn("unsubscribes")
	slices.Sort(got)
	return got
}

func writing(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := setup(t, d)
	b.Service = b.node(writingBack)
	return b
}

func TestWhoRefusesOurMailIsPutOntoTheGlobalList(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		for i, reason := range []string{contact.ReasonUnsubscribe, contact.ReasonComplaint, contact.ReasonManual, contact.ReasonBounce} {
			b.known(address(i), noon)
			b.suppress(address(i), reason)
		}
		for _, source := range []string{mirror.Source, "provider"} {
			b.known(source+"@hidden.example", noon)
			b.transact(func(ctx context.Context, tx *db.Tx) error {
				return b.Suppress(ctx, tx, []contact.Silence{{Channel: channel.Email, Address: source + "@hidden.example", Reason: contact.ReasonUnsubscribe, Source: source}})
			})
		}
		b.push()
		require.Equal(t, []string{address(0), address(1), address(2)}, b.global(), "bounces are SendGrid's own, and so is what it told us")
		require.Equal(t, 1, b.sim.ListCalls(), "all in one call")
		b.push()
		require.Equal(t, 1, b.sim.ListCalls(), "and once")
		require.Equal(t, mirror.Status{List: "write-back", FinishedAt: &noon}, utc(b.of("write-back")))
	})
}

func TestWhoIsLiftedIsTakenOffTheGlobalList(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		b.known(address(0), noon)
		b.suppress(address(0), contact.ReasonUnsubscribe)
		b.suppress(address(0), contact.ReasonManual)
		b.known("theirs@hidden.example", noon.Add(-72*time.Hour))
		b.sim.Suppress("unsubscribes", simulator.Suppressed{Email: "theirs@hidden.example", Created: noon.Add(-time.Hour)},
			simulator.Suppressed{Email: "stranger@hidden.example", Created: noon.Add(-time.Hour)})
		b.pull()
		b.push()
		require.Len(t, b.global(), 3)
		b.pass(time.Hour)
		b.lift(address(0), contact.ReasonUnsubscribe)
		b.push()
		require.Len(t, b.global(), 3, "another reason is left")
		b.lift(address(0), contact.ReasonManual)
		b.lift("theirs@hidden.example", contact.ReasonUnsubscribe)
		b.push()
		require.Equal(t, []string{"stranger@hidden.example"}, b.global(), "also who came from SendGrid")
		b.suppress(address(0), contact.ReasonUnsubscribe)
		b.push()
		require.Equal(t, []string{address(0), "stranger@hidden.example"}, b.global(), "and on again")
	})
}

func TestNobodyIsTakenOffForWhatWasNeverLifted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		b.sim.Suppress("unsubscribes", crowd(5, noon)...)
		b.pull()
		id := b.known(address(0), noon)
		require.NoError(t, b.Erase(t.Context(), id))
		for range 3 {
			b.pass(24 * time.Hour)
			b.push()
			b.pull()
		}
		require.Len(t, b.global(), 5)
		require.True(t, b.silent(address(0)), "erasure keeps the silence")
	})
}

// A refusal of whom only the hash is known waits until somebody has the address.
func TestWhoIsNotKnownIsWrittenBackWhenTheyAre(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		b.suppress(address(0), contact.ReasonManual)
		b.push()
		require.Empty(t, b.global())
		require.Equal(t, 1, b.count("mirrored WHERE state = 'nobody'"))
		b.known(address(0), noon)
		b.pass(24 * time.Hour)
		b.push()
		require.Equal(t, []string{address(0)}, b.global())
	})
}

func TestAnAddressThatSendGridRefusesKeepsNoOtherFromTheList(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		for i := range 9 {
			b.known(address(i), noon)
			b.suppress(address(i), contact.ReasonUnsubscribe)
		}
		bad := b.known("bad@hidden.example", noon)
		b.suppress("bad@hidden.example", contact.ReasonUnsubscribe)
		b.transact(func(_ context.Context, tx *db.Tx) error {
			return tx.Exec("UPDATE contacts SET email = 'no address at all' WHERE id = ?", bad).Error
		})
		b.push()
		require.Len(t, b.global(), 9)
		calls := b.sim.ListCalls()
		b.pass(24 * time.Hour)
		b.push()
		require.Equal(t, calls, b.sim.ListCalls(), "what was refused is not asked for every time")
	})
}

// Whatever goes wrong on the way, everybody is on the list in the end.
func TestWritingBackIsTriedUntilItIsDone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := writing(t, d)
		b.known(address(0), noon)
		b.suppress(address(0), contact.ReasonUnsubscribe)
		b.sim.RefuseLists(1, http.StatusTooManyRequests, time.Minute)
		require.True(t, queue.IsLater(b.PushNow(t.Context())))
		b.pass(time.Minute)
		b.sim.RefuseLists(1, http.StatusServiceUnavailable, 0)
		b.push()
		require.Contains(t, b.of("write-back").Problem, "503")
		require.Empty(t, b.global())
		b.push()
		require.Equal(t, []string{address(0)}, b.global())
		require.Empty(t, b.of("write-back").Problem)
		b.lift(address(0), contact.ReasonUnsubscribe)
		b.sim.RefuseLists(1, http.StatusInternalServerError, 0)
		b.push()
		require.Len(t, b.global(), 1)
		b.sim.Unsuppress("unsubscribes", address(0)) // the answer was lost: it is off already
		b.push()
		require.Zero(t, b.count("mirrored"))
	})
}

func TestWithoutTheSettingNothingIsDone(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	b := setup(t, d)
	b.Service = b.node(func(p *mirror.Parts) { p.Pull = false })
	all, err := b.Statuses(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	b.Service = b.node(func(p *mirror.Parts) { p.Account, p.WriteBack = nil, true })
	all, err = b.Statuses(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
}

package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/fault"
	"beckon/internal/route"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// lostSMS sends a campaign of which Twilio takes every text and answers none.
func (b *bundle) lostSMS(people ...human) (campaign.Campaign, []made) {
	b.t.Helper()
	var all []made
	for _, h := range people {
		all = append(all, b.make(h))
	}
	b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
	c := b.draft(func(p *campaign.Patch) { p.Route = &[]channel.Lane{channel.LaneSMS, channel.LaneEmail} })
	b.sendOut(c)
	b.sim.SetFaults(simulator.Twilio, simulator.Faults{})
	for _, who := range all {
		row, _ := b.of(c, who)
		require.Equal(b.t, delivery.Unknown, row.State)
	}
	return c, all
}

func (b *bundle) reconcile() {
	b.t.Helper()
	require.NoError(b.t, b.engine.Reconcile(b.t.Context()))
}

func TestALookUpSettlesWhatNoCallbackTells(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.sim.Refuse(simulator.Twilio, "+447700900777", "30006")
		c, all := b.lostSMS(human{phone: "new", email: "new"}, human{phone: "+447700900777", email: "new"})
		b.reconcile()
		require.Equal(t, 2, b.report(c).Settling, "too soon to ask")
		b.advance(2 * time.Minute)
		b.reconcile()
		b.drain()
		got, attempts := b.of(c, all[0])
		require.Equal(t, delivery.Delivered, got.State)
		require.Equal(t, b.sim.Texts(all[0].phone)[0].SID, got.ProviderID)
		require.Equal(t, []channel.Outcome{channel.Accepted}, outcomes(attempts))
		got, attempts = b.of(c, all[1])
		require.Equal(t, channel.LaneEmail, got.Lane, "a landline: on to the next lane")
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, []channel.Outcome{channel.Gone, channel.Accepted}, outcomes(attempts))
		require.Equal(t, "30006", attempts[0].Code)
		require.Equal(t, b.sim.Texts(all[1].phone)[0].SID, attempts[0].ProviderID)
		reach, err := b.engine.Reach(t.Context(), all[1].id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.Suppressed, reach[channel.LaneSMS].Why())
		b.reconcile()
		b.onceEach()
	})
}

// watched is a finder that keeps what it was asked, and may answer in the
// provider's stead.
type watched struct {
	channel.Sender
	asked  []int
	answer *channel.Found
}

func (w *watched) Find(ctx context.Context, sought []channel.Sought) []channel.Finding {
	w.asked = append(w.asked, len(sought))
	if w.answer == nil {
		return w.Sender.(channel.Finder).Find(ctx, sought)
	}
	out := make([]channel.Finding, len(sought))
	for i := range out {
		out[i].Found = *w.answer
	}
	return out
}

func watch(w *watched) func(channel.Sender) channel.Sender {
	return func(s channel.Sender) channel.Sender {
		if s.Kind() != channel.SMS {
			return s
		}
		w.Sender = s
		return w
	}
}

// asks advances the clock and says how many messages were asked for.
func (b *bundle) asks(w *watched, after time.Duration) (n int) {
	b.t.Helper()
	b.advance(after)
	w.asked = nil
	b.reconcile()
	for _, k := range w.asked {
		n += k
	}
	return n
}

func TestWhatIsNotThereIsAskedForAtGrowingDistancesAndStaysUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		notThere, w := channel.NotThere, &watched{}
		w.answer = &notThere
		b := setup(t, d, options{wrap: watch(w)})
		c, all := b.lostSMS(human{phone: "new", email: "new"})
		var asked []int
		for _, after := range []time.Duration{time.Minute, time.Minute + 5*time.Second, 12 * time.Minute, 2 * time.Minute, time.Hour, time.Hour, 48 * time.Hour} {
			asked = append(asked, b.asks(w, after))
		}
		require.Equal(t, []int{0, 1, 0, 1, 0, 1, 0}, asked)
		got, _ := b.of(c, all[0])
		require.Equal(t, delivery.Unknown, got.State)
		require.Empty(t, b.sim.Mail(all[0].email), "nothing is ever sent because of it")
		require.Equal(t, 1, b.report(c).ToResolve)
	})
}

func TestALookUpWithoutAnAnswerIsMadeAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		cannot, w := channel.CannotSay, &watched{}
		w.answer = &cannot
		b := setup(t, d, options{wrap: watch(w)})
		c, all := b.lostSMS(human{phone: "new"})
		require.Equal(t, 1, b.asks(w, 3*time.Minute))
		require.Zero(t, b.asks(w, time.Minute), "not at once")
		for range 20 {
			require.Equal(t, 1, b.asks(w, 6*time.Minute), "an outage uses nothing up")
		}
		slow := channel.SlowDown
		w.answer = &slow
		require.Equal(t, 1, b.asks(w, 6*time.Minute))
		w.answer = nil
		require.Equal(t, 1, b.asks(w, 6*time.Minute))
		got, _ := b.of(c, all[0])
		require.Equal(t, delivery.Delivered, got.State)

		w.answer = &cannot
		c, _ = b.lostSMS() // to the same person
		n := 0
		for range 10 {
			n += b.asks(w, 25*time.Hour)
		}
		require.Equal(t, delivery.Lookups, n, "not for ever")
		got, _ = b.of(c, all[0])
		require.Equal(t, delivery.Unknown, got.State)
	})
}

func TestLookUpsComeInBoundedGoesAndHeedThrottling(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		slow, w := channel.SlowDown, &watched{}
		w.answer = &slow
		b := setup(t, d, options{wrap: watch(w), size: dispatch.Sizes{Page: 500, Batch: 250, Parallel: 1}})
		crowd := make([]human, 250)
		for i := range crowd {
			crowd[i] = human{phone: "new"}
		}
		c, _ := b.lostSMS(crowd...)
		require.Equal(t, 100, b.asks(w, 3*time.Minute), "told to slow down it asks no more")
		w.answer = nil
		require.Equal(t, 150, b.asks(w, time.Minute))
		require.Equal(t, []int{100, 50}, w.asked)
		require.Equal(t, 100, b.asks(w, 5*time.Minute))
		require.Equal(t, 250, b.report(c).Lanes[channel.LaneSMS].States[delivery.Delivered])
	})
}

func TestACutOffClaimIsLookedUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := &watched{}
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
			if s.Kind() != channel.SMS {
				return s
			}
			w.Sender = s
			return &dying{w}
		}})
		who := b.make(human{phone: "new"})
		c := b.draft(nil)
		b.start(c)
		require.Panics(t, func() { b.drain() })
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
		})
		b.drain()
		got, _ := b.of(c, who)
		require.Equal(t, "unknown cut_off", string(got.State)+" "+got.Code)
		require.Equal(t, 1, b.asks(w, 3*time.Minute), "found by the time of the claim")
		_, err := b.engine.Ledger.Report(t.Context(), c.ID)
		require.NoError(t, err)
		got, _ = b.of(c, who)
		require.Equal(t, delivery.Delivered, got.State)
	})
}

// dying is a sender whose node dies when the provider has taken the messages.
type dying struct{ *watched }

func (d *dying) Send(ctx context.Context, batch channel.Batch) []channel.Result {
	d.Sender.Send(ctx, batch)
	panic("kill -9")
}

func TestWhoIsErasedOrSettledIsNotAskedFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := &watched{}
		b := setup(t, d, options{wrap: watch(w)})
		c, all := b.lostSMS(human{phone: "new"}, human{phone: "new"})
		require.NoError(t, b.contacts.Erase(t.Context(), all[0].id))
		row, _ := b.of(c, all[1])
		b.tx(func(tx *db.Tx) error {
			return b.ledger.Mark(tx, []delivery.Receipt{{Delivery: row.ID, Channel: channel.SMS, Kind: channel.EventAccepted, ProviderID: "SM1"}})
		})
		require.Zero(t, b.asks(w, 3*time.Minute))
		require.Zero(t, b.asks(w, 3*time.Hour))
	})
}

func code(t testing.TB, err error) string {
	t.Helper()
	var f *fault.Error
	require.True(t, errors.As(err, &f), "%v", err)
	require.Equal(t, fault.Conflict, f.Kind)
	return f.Code
}

func TestResolveSendsAgainOnTheLaneDecidedAnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		second := b.make(human{tokens: 2, phone: "new"})
		nobody := b.make(human{tokens: 1})
		onward := b.make(human{tokens: 1, phone: "new", email: "new"})
		b.sim.SetFaults(simulator.Graph, simulator.Faults{LostAnswerRate: 1})
		c := b.draft(nil)
		b.sendOut(c)
		b.sim.SetFaults(simulator.Graph, simulator.Faults{})
		id := func(who made) int64 { row, _ := b.of(c, who); return row.ID }

		require.Equal(t, "still_settling", code(t, b.engine.Resolve(t.Context(), id(second), dispatch.Resend, false)))
		require.Equal(t, 3, b.report(c).Settling)
		b.advance(delivery.DefaultGrace)
		require.Equal(t, 3, b.report(c).ToResolve)
		for _, who := range []made{second, onward} {
			require.NoError(t, b.engine.Resolve(t.Context(), id(who), dispatch.Resend, false))
			require.Equal(t, "wrong_state", code(t, b.engine.Resolve(t.Context(), id(who), dispatch.Resend, true)))
		}
		require.Equal(t, "no_lane_open", code(t, b.engine.Resolve(t.Context(), id(nobody), dispatch.Resend, false)))
		b.drain()

		got, attempts := b.of(c, second)
		require.Equal(t, channel.OneTime, got.Lane, "another token serves")
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, []channel.Outcome{channel.Unknown, channel.Accepted}, outcomes(attempts))
		require.Equal(t, map[token.Status]int{token.Spent: 2}, b.tokenStates(second))
		require.Len(t, b.sim.Received(graphPage, second.psid), 2)
		got, attempts = b.of(c, onward)
		require.Equal(t, channel.LaneSMS, got.Lane, "its only token stays spent")
		require.Equal(t, []channel.Outcome{channel.Unknown, channel.Accepted}, outcomes(attempts))
		require.Len(t, b.sim.Texts(onward.phone), 1)
		require.Equal(t, map[token.Status]int{token.Spent: 1}, b.tokenStates(onward))

		require.NoError(t, b.engine.Resolve(t.Context(), id(nobody), dispatch.GiveUp, false))
		require.Equal(t, "wrong_state", code(t, b.engine.Resolve(t.Context(), id(nobody), dispatch.GiveUp, false)))
		got, attempts = b.of(c, nobody)
		require.Equal(t, "failed given_up", string(got.State)+" "+got.Reason)
		require.Equal(t, []channel.Outcome{channel.Unknown}, outcomes(attempts))
		require.ErrorIs(t, b.engine.Resolve(t.Context(), 1<<40, dispatch.GiveUp, true), delivery.ErrNone)
		still, err := b.campaigns.Get(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Finished, still.State)
	})
}

func TestWhoSaidStopIsNotSentToAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		c, all := b.lostSMS(human{phone: "new"})
		b.tx(func(tx *db.Tx) error {
			return b.contacts.Suppress(t.Context(), tx, []contact.Silence{{Channel: channel.SMS, ContactID: all[0].id, Reason: contact.ReasonStop}})
		})
		row, _ := b.of(c, all[0])
		require.Equal(t, "no_lane_open", code(t, b.engine.Resolve(t.Context(), row.ID, dispatch.Resend, true)))
		reach, err := b.engine.Reach(t.Context(), all[0].id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.Suppressed, reach[channel.LaneSMS].Why())
	})
}

func TestWhoIsAsleepIsSentToAgainInTheMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.clock.Store(time.Date(2026, 11, 22, 19, 0, 0, 0, time.UTC).UnixMicro())
		b.make(human{phone: "new", zone: "Europe/London"})
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
		ends := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		hoursAsUsual := func(p *campaign.Patch) { p.AllowedHours = nil }
		c := b.draft(hoursAsUsual)
		short := b.draft(func(p *campaign.Patch) { hoursAsUsual(p); p.EndsAt = &ends })
		b.sendOut(c)
		b.sendOut(short)
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{})
		b.advance(26 * time.Hour) // nine in the evening
		n, left, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.Resend, false)
		require.NoError(t, err)
		require.Equal(t, [2]int{1, 0}, [2]int{n, left})
		require.Equal(t, 1, b.report(c).Lanes[channel.LaneSMS].States[delivery.Held])
		_, left, err = b.engine.ResolveAll(t.Context(), short.ID, dispatch.Resend, false)
		require.NoError(t, err)
		require.Equal(t, 1, left, "the campaign is over by the morning")
		b.drain()
		require.Equal(t, 1, b.report(c).Lanes[channel.LaneSMS].States[delivery.Held])
		b.advance(12 * time.Hour)
		b.drain()
		require.Equal(t, 1, b.report(c).Lanes[channel.LaneSMS].States[delivery.Accepted])
	})
}

func TestNothingOfACancelledCampaignIsSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		c, all := b.lostSMS(human{phone: "new"})
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE campaigns SET state = 'cancelled' WHERE id = ?", c.ID).Error
		})
		row, _ := b.of(c, all[0])
		require.Equal(t, "wrong_state", code(t, b.engine.Resolve(t.Context(), row.ID, dispatch.Resend, true)))
		_, _, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.Resend, true)
		require.Equal(t, "wrong_state", code(t, err))
		require.NoError(t, b.engine.Resolve(t.Context(), row.ID, dispatch.GiveUp, true))
	})
}

// Two people press at once: one second message, and one gets to hear that the
// other was faster.
func TestWhoeverResolvesAtOnceOneResendOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		crowd := make([]human, 30)
		for i := range crowd {
			crowd[i] = human{phone: "new"}
		}
		c, all := b.lostSMS(crowd...)
		b.advance(delivery.DefaultGrace)
		first, _ := b.of(c, all[0])
		var wg sync.WaitGroup
		var mu sync.Mutex
		total, single := 0, 0
		for i := range 8 {
			wg.Go(func() {
				if i%2 == 0 {
					n, left, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.Resend, false)
					mu.Lock()
					defer mu.Unlock()
					require.NoError(t, err)
					require.Zero(t, left)
					total += n
					return
				}
				err := b.engine.Resolve(t.Context(), first.ID, dispatch.Resend, false)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					single++
					return
				}
				require.Equal(t, "wrong_state", code(t, err))
			})
		}
		wg.Wait()
		require.Equal(t, 30, total+single)
		require.LessOrEqual(t, single, 1)
		b.drain()
		for _, who := range all {
			require.Len(t, b.sim.Texts(who.phone), 2, "the first try, and one more")
			got, attempts := b.of(c, who)
			require.Equal(t, delivery.Accepted, got.State)
			require.Len(t, attempts, 2)
		}
		n, left, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.Resend, true)
		require.NoError(t, err)
		require.Equal(t, [2]int{}, [2]int{n, left})
	})
}

func TestResolveAllTakesOnlyWhatIsPastItsGrace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		c, all := b.lostSMS(human{phone: "new"}, human{phone: "new"}, human{phone: "new"})
		young, _ := b.of(c, all[2])
		b.advance(delivery.DefaultGrace)
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE deliveries SET sent_at = ? WHERE id = ?", b.now(), young.ID).Error
		})
		r := b.report(c)
		require.Equal(t, [2]int{1, 2}, [2]int{r.Settling, r.ToResolve})
		n, _, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.GiveUp, false)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.NoError(t, b.contacts.Erase(t.Context(), all[2].id))
		n, left, err := b.engine.ResolveAll(t.Context(), c.ID, dispatch.Resend, true)
		require.NoError(t, err)
		require.Equal(t, [2]int{0, 1}, [2]int{n, left}, "nobody is there any more")
		n, _, err = b.engine.ResolveAll(t.Context(), c.ID, dispatch.GiveUp, true)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		draft := b.draft(nil)
		n, _, err = b.engine.ResolveAll(t.Context(), draft.ID, dispatch.Resend, true)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

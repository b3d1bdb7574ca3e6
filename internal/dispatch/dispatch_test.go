package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/route"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

func TestEverybodyGetsExactlyOneMessageOnTheirBestLane(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		inWindow := b.make(human{window: true, tokens: 1, phone: "new", email: "new"})
		withToken := b.make(human{tokens: 2, phone: "new", email: "new"})
		byPhone := b.make(human{psid: true, phone: "new", email: "new"})
		byMail := b.make(human{phone: "new", noSMS: true, email: "new"})
		nobody := b.make(human{phone: "new", silenced: true, email: "new", noEmail: true})
		c := b.draft(nil)
		r := b.sendOut(c)
		require.Equal(t, 5, r.Audience)
		require.Equal(t, map[route.Reason]int{route.Suppressed: 1}, r.Reasons)
		for who, lane := range map[made]channel.Lane{inWindow: channel.Window, withToken: channel.OneTime, byPhone: channel.LaneSMS, byMail: channel.LaneEmail, nobody: ""} {
			got, attempts := b.of(c, who)
			require.Equal(t, lane, got.Lane)
			if lane != "" {
				require.Equal(t, delivery.Accepted, got.State)
				require.Len(t, attempts, 1)
			}
		}
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(inWindow), "no token for a person inside the window")
		require.Equal(t, map[token.Status]int{token.Available: 1, token.Spent: 1}, b.tokenStates(withToken))
		require.Len(t, b.sim.Received(graphPage, inWindow.psid), 1)
		require.Len(t, b.sim.Received(graphPage, withToken.psid), 1)
		require.Len(t, b.sim.Texts(byPhone.phone), 1)
		require.Len(t, b.sim.Mail(byMail.email), 1)
		require.Empty(t, b.sim.Texts(nobody.phone))
	})
}

// TestProvidersKnowADeliveryByItsMark keeps bare numbers from providers: other
// installations on the same Page or account count from 1 as well.
func TestProvidersKnowADeliveryByItsMark(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		inWindow, withToken, byMail := b.make(human{window: true}), b.make(human{tokens: 1}), b.make(human{email: "new"})
		c := b.draft(nil)
		b.sendOut(c)
		for _, who := range []made{inWindow, withToken} {
			got, _ := b.of(c, who)
			require.Equal(t, "bk:"+b.marks.Code(got.ID), b.sim.Received(graphPage, who.psid)[0].Metadata)
		}
		got, _ := b.of(c, byMail)
		require.Equal(t, map[string]string{"bk_delivery": b.marks.Code(got.ID)}, b.sim.Mail(byMail.email)[0].CustomArgs)
	})
}

func TestRefusalsFallThroughToTheNextOpenLane(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		stop := b.make(human{phone: "+15005550004", email: "new"})      // 21610: opted out
		landline := b.make(human{phone: "+15005550009"})                // 21614, nothing else open
		deadToken := b.make(human{tokens: 1, phone: "new"})             //
		blocked := b.make(human{window: true, tokens: 1, email: "new"}) //
		closed := b.make(human{window: true, tokens: 1, phone: "new"})  // we think the window is open
		b.sim.Block(graphPage, blocked.psid)
		b.sim.CloseWindow(graphPage, closed.psid)
		b.sim.Refuse(simulator.Graph, deadToken.psid, "100")
		c := b.draft(nil)
		b.sendOut(c)

		got, attempts := b.of(c, stop)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, []channel.Outcome{channel.OptedOut, channel.Accepted}, outcomes(attempts))
		after, err := b.contacts.Get(t.Context(), stop.id)
		require.NoError(t, err)
		require.Equal(t, contact.Unsubscribed, after.SMSConsent.Status)

		got, _ = b.of(c, landline)
		require.Equal(t, delivery.Failed, got.State)
		got, attempts = b.of(c, deadToken)
		require.Equal(t, channel.LaneSMS, got.Lane)
		require.Equal(t, []channel.Outcome{channel.TokenDead, channel.Accepted}, outcomes(attempts))
		require.Equal(t, map[token.Status]int{token.Void: 1}, b.tokenStates(deadToken))

		got, attempts = b.of(c, blocked)
		require.Equal(t, channel.LaneEmail, got.Lane, "a blocked person is not tried in Messenger again")
		require.Len(t, attempts, 2)
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(blocked))

		got, attempts = b.of(c, closed)
		require.Equal(t, channel.OneTime, got.Lane)
		require.Equal(t, []channel.Outcome{channel.TokenDead, channel.Accepted}, outcomes(attempts))

		reach, err := b.engine.Reach(t.Context(), stop.id, b.page.ID, "courses")
		require.NoError(t, err)
		require.Equal(t, route.Suppressed, reach[channel.LaneSMS].Why())
	})
}

func outcomes(list []delivery.Attempt) []channel.Outcome {
	var out []channel.Outcome
	for _, a := range list {
		out = append(out, a.Outcome)
	}
	return out
}

func TestWithoutFallThroughARefusalIsTheEnd(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{phone: "+15005550004", email: "new"})
		no := false
		c := b.draft(func(p *campaign.Patch) { p.FallThrough = &no })
		b.sendOut(c)
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Failed, got.State)
		require.Equal(t, channel.LaneSMS, got.Lane)
		require.Empty(t, b.sim.Mail(who.email))
	})
}

func TestThrottledDeliveriesWaitAndDoNotFail(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 30 {
			b.make(human{tokens: 1, phone: "new"})
			b.make(human{phone: "new"})
			b.make(human{email: "new"})
		}
		for _, p := range simulator.Providers() {
			b.sim.SetFaults(p, simulator.Faults{ThrottleRate: 0.4})
		}
		r := b.sendOut(b.draft(nil))
		require.Equal(t, 30, r.Lanes[channel.OneTime].States[delivery.Accepted])
		require.Equal(t, 30, r.Lanes[channel.LaneSMS].States[delivery.Accepted])
		require.Equal(t, 30, r.Lanes[channel.LaneEmail].States[delivery.Accepted])
		b.onceEach()
	})
}

func (b *bundle) onceEach() {
	b.t.Helper()
	for _, p := range simulator.Providers() {
		for _, n := range b.sim.AcceptedBy(p) {
			require.Equal(b.t, 1, n, "a recipient at %s", p)
		}
	}
}

func TestUnknownIsAStateAndNeverARetry(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{tokens: 1, phone: "new", email: "new"})
		b.sim.SetFaults(simulator.Graph, simulator.Faults{LostAnswerRate: 1})
		c := b.draft(nil)
		b.sendOut(c)
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Unknown, got.State)
		require.Equal(t, map[token.Status]int{token.Spent: 1}, b.tokenStates(who))
		require.Empty(t, b.sim.Texts(who.phone))
		require.Len(t, b.sim.Received(graphPage, who.psid), 1)
	})
}

// cutOff ends the job in the middle of a call, as a killed node does.
type cutOff struct {
	channel.Sender
	after int
}

func (c *cutOff) Send(ctx context.Context, batch channel.Batch) []channel.Result {
	if c.after--; c.after == 0 {
		c.Sender.Send(ctx, batch)
		panic("kill -9")
	}
	return c.Sender.Send(ctx, batch)
}

func TestWhatWasInFlightWhenTheNodeDiedIsUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return &cutOff{Sender: s, after: 2} }})
		for range 60 {
			b.make(human{phone: "new"})
		}
		c := b.draft(nil)
		b.start(c)
		require.Panics(t, func() { b.drain() })
		b.report(c)
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
		})
		b.drain()
		r := b.report(c)
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 40, delivery.Unknown: 20}, r.Lanes[channel.LaneSMS].States)
		require.Len(t, b.sim.AcceptedBy(simulator.Twilio), 60)
		b.onceEach()
	})
}

func TestAStopThatArrivesMidCampaignCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		stopped := b.make(human{phone: "new", email: "new"})
		erased := b.make(human{phone: "new"})
		back := b.make(human{psid: true, phone: "new"})
		c := b.draft(nil)
		b.start(c)
		require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
		b.tx(func(tx *db.Tx) error {
			return b.contacts.Suppress(t.Context(), tx, []contact.Silence{{Channel: channel.SMS, ContactID: stopped.id, Reason: contact.ReasonStop}})
		})
		require.NoError(t, b.contacts.Erase(t.Context(), erased.id))
		b.tx(func(tx *db.Tx) error {
			return b.contacts.MoveWindow(t.Context(), tx, b.page.ID, map[string]time.Time{back.psid: b.now()})
		})
		require.NoError(t, b.sim.Say(context.WithoutCancel(t.Context()), graphPage, back.psid, "hi"))
		b.drain()
		got, _ := b.of(c, stopped)
		require.Equal(t, channel.LaneEmail, got.Lane)
		got, _ = b.of(c, erased)
		require.Equal(t, delivery.Unreachable, got.State)
		got, _ = b.of(c, back)
		require.Equal(t, channel.Window, got.Lane, "who came back meanwhile is met where it is free")
		require.Empty(t, b.sim.Texts(stopped.phone))
		require.Equal(t, 3, b.report(c).Audience)
		b.onceEach()
	})
}

func TestAStoppedLineBurnsNothingUntilItIsResumed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 50 {
			b.make(human{tokens: 1, phone: "new"})
		}
		b.sim.Refuse(simulator.Graph, "*", "190")
		c := b.draft(nil)
		b.start(c)
		b.drain()
		r := b.report(c)
		require.Equal(t, 50, r.Lanes[channel.OneTime].States[delivery.Pending])
		p, err := b.pages.Get(t.Context(), b.page.ID)
		require.NoError(t, err)
		require.EqualValues(t, "refused", p.TokenHealth)
		b.sim.Refuse(simulator.Graph, "*", "")
		b.advance(2 * time.Hour)
		b.drain()
		require.Equal(t, 50, b.report(c).Lanes[channel.OneTime].States[delivery.Pending], "nobody resumed it")
		_, err = b.lines.Resume(t.Context(), channel.OneTime.Line(b.page.ID.String()))
		require.NoError(t, err)
		b.advance(2 * time.Minute)
		b.drain()
		require.Equal(t, 50, b.report(c).Lanes[channel.OneTime].States[delivery.Accepted])
		b.onceEach()
	})
}

func TestTwoCampaignsNeverSpendOneToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		var all []made
		for range 40 {
			all = append(all, b.make(human{tokens: 1, phone: "new"}))
		}
		first, second := b.draft(nil), b.draft(nil)
		b.start(first)
		b.start(second)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.queue.Run(ctx, time.Minute) }()
		require.Eventually(t, func() bool {
			b.advance(time.Second)
			x, err := b.campaigns.Get(t.Context(), first.ID)
			y, err2 := b.campaigns.Get(t.Context(), second.ID)
			return err == nil && err2 == nil && x.State == campaign.Finished && y.State == campaign.Finished
		}, time.Minute, 50*time.Millisecond)
		cancel()
		require.NoError(t, <-done)
		for _, who := range all {
			require.Equal(t, map[token.Status]int{token.Spent: 1}, b.tokenStates(who))
			require.Len(t, b.sim.Received(graphPage, who.psid), 1)
			require.Len(t, b.sim.Texts(who.phone), 1)
		}
	})
}

func TestLateRefusalsSendPeopleOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{phone: "new", email: "new"})
		c := b.draft(nil)
		b.sendOut(c)
		row, _ := b.of(c, who)
		words := []dispatch.Word{{Delivery: row.ID, Result: channel.Result{Outcome: channel.Gone, Code: "30005"}}}
		require.NoError(t, b.engine.Late(t.Context(), channel.SMS, words))
		require.NoError(t, b.engine.Late(t.Context(), channel.SMS, words), "twice is once")
		b.drain()
		got, attempts := b.of(c, who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Equal(t, delivery.Accepted, got.State)
		require.Equal(t, []channel.Outcome{channel.Gone, channel.Accepted}, outcomes(attempts))
		require.Equal(t, row.ProviderID, attempts[0].ProviderID)
		require.NoError(t, b.engine.Late(t.Context(), channel.SMS, words), "it stands on another lane by now")
		got, _ = b.of(c, who)
		require.Equal(t, delivery.Accepted, got.State)
		require.Len(t, b.sim.Mail(who.email), 1)
	})
}

func TestPreviewSaysWhatPlanningWillDo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for i := range 120 {
			b.make(human{window: i%7 == 0, tokens: i % 3 / 2, phone: pick(i%2 == 0, "new"), email: pick(i%5 == 0, "new"), noSMS: i%4 == 0})
		}
		c := b.draft(nil)
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, 120, p.Audience)
		require.Equal(t, p.Audience, p.Messenger+p.LinkBack+p.Unreachable)
		require.Equal(t, p.Lanes[channel.LaneSMS], p.SMS.Segments)
		require.NotEmpty(t, p.Sample.SMS)
		r := b.sendOut(c)
		for lane, n := range p.Lanes {
			require.Equal(t, n, r.Lanes[lane].Total, lane)
		}
		require.Equal(t, p.Reasons, r.Reasons)
	})
}

func pick(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

// TestThePartitionHoldsWhateverHappens sends random crowds through random
// faults: the rules of the ledger hold afterwards.
func TestThePartitionHoldsWhateverHappens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 7, Batch: 5, Parallel: 2}})
		rapid.Check(t, func(rt *rapid.T) {
			b.sim.Reset()
			b.clock.Store(time.Now().UnixMicro()) // providers tell some waits as moments on the real clock
			b.tx(func(tx *db.Tx) error { return tx.Exec("DELETE FROM contacts").Error })
			crowd := rapid.SliceOfN(rapid.Custom(drawHuman), 1, 20).Draw(rt, "crowd")
			var all []made
			for _, h := range crowd {
				all = append(all, b.make(h))
			}
			for _, p := range simulator.Providers() {
				b.sim.SetFaults(p, simulator.Faults{ThrottleRate: rate(rt), LostAnswerRate: rate(rt), RefuseRate: 0})
			}
			c := b.draft(nil)
			r := b.sendOut(c)
			require.Equal(rt, len(all), r.Audience)
			b.onceEach()
			for i, who := range all {
				row, attempts := b.of(c, who)
				if crowd[i].window {
					require.NotEqual(rt, channel.OneTime, row.Lane)
				}
				require.LessOrEqual(rt, len(attempts), 4)
				require.LessOrEqual(rt, b.tokenStates(who)[token.Spent], 1)
				require.Zero(rt, b.tokenStates(who)[token.Reserved])
			}
		})
	})
}

func rate(rt *rapid.T) float64 {
	return rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(rt, "rate")
}

func drawHuman(rt *rapid.T) human {
	return human{
		psid: rapid.Bool().Draw(rt, "psid"), window: rapid.Bool().Draw(rt, "window"), tokens: rapid.IntRange(0, 2).Draw(rt, "tokens"), permit: rapid.Bool().Draw(rt, "permit"),
		phone: rapid.SampledFrom([]string{"", "new"}).Draw(rt, "phone"), email: rapid.SampledFrom([]string{"", "new"}).Draw(rt, "email"),
		noSMS: rapid.Bool().Draw(rt, "noSMS"), noEmail: rapid.Bool().Draw(rt, "noEmail"), silenced: rapid.Bool().Draw(rt, "silenced"),
	}
}

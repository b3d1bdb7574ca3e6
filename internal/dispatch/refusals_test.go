package dispatch_test

import (
	"context"
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
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// meanwhile has something happen once its batch is claimed, before anything of it
// is handed over, and hands over when the engine knows of it.
type meanwhile struct {
	channel.Sender
	once    *sync.Once
	happens func()
	known   func(silent int) bool
}

func (m meanwhile) Send(ctx context.Context, b channel.Batch) []channel.Result {
	m.once.Do(func() {
		m.happens()
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			silent := 0
			for i := range b.Messages {
				if b.Silent(i) {
					silent++
				}
			}
			if m.known(silent) {
				return
			}
		}
	})
	return m.Sender.Send(ctx, b)
}

// refuse is what a STOP and its kin come to.
func (b *bundle) refuse(kind channel.Kind, reason string, who ...made) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error {
		list := make([]contact.Silence, len(who))
		for i, m := range who {
			list[i] = contact.Silence{Channel: kind, Address: map[channel.Kind]string{channel.SMS: m.phone, channel.Email: m.email}[kind], Reason: reason, Source: "provider"}
		}
		return b.contacts.Suppress(b.t.Context(), tx, list)
	})
}

// leaving is somebody's way out of one channel.
type leaving struct {
	lane   channel.Lane
	made   human // can be reached on the lane
	next   human // and elsewhere too
	onward channel.Lane
	refuse func(b *bundle, who ...made)
}

func leavings() map[string]leaving {
	return map[string]leaving{
		"sms": {channel.LaneSMS, human{phone: "new"}, human{phone: "new", email: "new"}, channel.LaneEmail,
			func(b *bundle, who ...made) { b.refuse(channel.SMS, contact.ReasonStop, who...) }},
		"email": {channel.LaneEmail, human{email: "new"}, human{phone: "new", email: "new"}, channel.LaneSMS,
			func(b *bundle, who ...made) { b.refuse(channel.Email, contact.ReasonUnsubscribe, who...) }},
		"messenger": {channel.OneTime, human{tokens: 1}, human{tokens: 1, email: "new"}, channel.LaneEmail,
			func(b *bundle, who ...made) {
				for _, m := range who {
					b.says(m, true)
				}
			}},
	}
}

// They refuse between claim and call: they get nothing there, wait for nothing, and
// nothing of theirs is used up.
func TestWhoRefusesWhileABatchIsUnderWayIsLeftOutAndDecidedAgainAtOnce(t *testing.T) {
	t.Parallel()
	for name, l := range leavings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) { leftOut(t, d, l) })
		})
	}
}

func leftOut(t *testing.T, d *db.DB, l leaving) {
	var b *bundle
	var refusers []made
	known := func(silent int) bool { return silent == len(refusers) }
	b = setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
		if s.Kind() != l.lane.Kind() {
			return s
		}
		return meanwhile{s, new(sync.Once), func() { l.refuse(b, refusers...) }, known}
	}})
	stays, alone, onward := b.make(l.made), b.make(l.made), b.make(l.next)
	refusers = []made{alone, onward}
	c := b.draft(by(l.lane, l.onward))
	b.start(c)
	b.drain() // the clock stands still: nobody waits

	got, _ := b.of(c, stays)
	require.Equal(t, []any{delivery.Accepted, l.lane}, []any{got.State, got.Lane})
	got, attempts := b.of(c, onward)
	require.Equal(t, []any{delivery.Accepted, l.onward, 1}, []any{got.State, got.Lane, len(attempts)}, "that they were claimed before is no try")
	got, attempts = b.of(c, alone)
	require.Equal(t, []any{delivery.Unreachable, channel.Lane(""), 0}, []any{got.State, got.Lane, len(attempts)})
	require.NotEmpty(t, got.Reason)
	require.Len(t, b.sim.AcceptedBy(map[channel.Kind]simulator.Provider{channel.SMS: simulator.Twilio, channel.Email: simulator.SendGrid, channel.Messenger: simulator.Graph}[l.lane.Kind()]), 1)
	if l.made.tokens > 0 {
		require.Equal(t, map[token.Status]int{token.Available: 1}, b.tokenStates(alone))
	}
	require.Equal(t, campaign.Finished, b.state(c))
	b.onceEach()
}

// What is taken back, before anything is decided, is as if it had not been said.
func TestWhoRefusesAndTakesItBackGetsTheMessage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var b *bundle
		var who made
		b = setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
			return meanwhile{s, new(sync.Once), func() { b.refuse(channel.SMS, contact.ReasonStop, who) }, func(silent int) bool {
				if silent == 0 {
					return false
				}
				b.tx(func(tx *db.Tx) error {
					return b.contacts.Unsilence(t.Context(), tx, []contact.Silence{{Channel: channel.SMS, Address: who.phone, Reason: contact.ReasonStop}})
				})
				return true
			}}
		}})
		who = b.make(human{phone: "new"})
		c := b.draft(by(channel.LaneSMS))
		b.start(c)
		for range 3 {
			b.drain()
			b.advance(time.Second)
		}
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Accepted, got.State)
		b.onceEach()
	})
}

// TestStopWhileACampaignRuns is three nodes in the middle of a campaign: whoever
// refuses gets nothing any more a second later, on whatever node their turn comes.
func TestStopWhileACampaignRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := options{size: dispatch.Sizes{Page: 1000, Batch: 100, Parallel: 1}}
		b := setup(t, d, o)
		var all []made
		for i := range 300 {
			h := human{phone: "new"}
			if i%2 == 0 {
				h.email = "new"
			}
			all = append(all, b.make(h))
		}
		const call = 400 * time.Millisecond
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{Latency: call})
		for _, n := range []*bundle{b, b.node(o), b.node(o)} {
			n.working(t)
		}
		c := b.draft(by(channel.LaneSMS, channel.LaneEmail))
		b.start(c)
		require.Eventually(t, func() bool { return b.texted() > 0 }, 20*time.Second, 5*time.Millisecond)

		texted := b.sim.AcceptedBy(simulator.Twilio)
		var refusers []made
		for i, who := range all {
			if texted[who.phone] == 0 && i%3 > 0 {
				refusers = append(refusers, who)
			}
		}
		b.refuse(channel.SMS, contact.ReasonStop, refusers...)
		said := time.Now()
		last := b.lastOf(refusers, said.Add(time.Second+call)) // one that was handed over within the second takes so long
		after := b.sim.AcceptedBy(simulator.Twilio)
		require.Eventually(t, func() bool { b.advance(time.Second); return b.state(c) == campaign.Finished }, 30*time.Second, 20*time.Millisecond)

		spared := 0
		for _, who := range refusers {
			got := b.sim.AcceptedBy(simulator.Twilio)[who.phone]
			require.Equal(t, after[who.phone], got, "a text was handed over more than a second after the refusal")
			if got == 0 {
				spared++
			}
		}
		t.Logf("%d refused in the middle, %d of them were spared; the last text to one of the others was taken %v after the refusal", len(refusers), spared, last.Sub(said).Round(time.Millisecond))
		require.NotZero(t, spared)
		r := b.report(c)
		require.Equal(t, 300, r.LinkBack.States[delivery.Accepted]+r.Unreachable.Total)
		b.onceEach()
	})
}

// lastOf watches until then, and says when the last text to one of them was taken.
func (b *bundle) lastOf(who []made, until time.Time) (last time.Time) {
	seen := -1
	for time.Now().Before(until) {
		n, all := 0, b.sim.AcceptedBy(simulator.Twilio)
		for _, m := range who {
			n += all[m.phone]
		}
		if n != seen {
			seen, last = n, time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return last
}

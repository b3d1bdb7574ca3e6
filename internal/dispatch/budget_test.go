package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/event"
	"beckon/internal/route"
	"beckon/internal/simulator"
)

// texting is a campaign by SMS with a budget; the text is as long as the
// attribute "more" makes it. With email, that is the next lane.
func (b *bundle) texting(budget string, lanes ...channel.Lane) campaign.Campaign {
	b.t.Helper()
	return b.draft(func(p *campaign.Patch) {
		src := saying
		src.SMS = &content.SMS{Text: "Courses: {{ link }} STOP ends it {{ contact.attributes.more }}"}
		p.Content, p.Route = &src, &lanes
		if budget != "" {
			p.Budget = json.RawMessage(budget)
		}
	})
}

// reader makes a contact whose text has so many segments.
func (b *bundle) reader(segments int, h human) made {
	b.t.Helper()
	who := b.make(h)
	_, err := b.contacts.Patch(b.t.Context(), who.id, contact.Draft{Attributes: map[string]any{"more": strings.Repeat("x", 153*(segments-1))}})
	require.NoError(b.t, err)
	return who
}

func (b *bundle) spent(c campaign.Campaign) budget.Spent {
	b.t.Helper()
	s, err := b.budgets.Spent(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	return s
}

// billed is what the provider counts.
func (b *bundle) billed() int64 { return b.sim.Counts()[simulator.Twilio].Segments }

func (b *bundle) happened(kind event.Type) (out []event.Event) {
	b.t.Helper()
	list, err := event.NewStore(b.d, func() time.Time { return b.now().Add(time.Minute) }).List(b.t.Context(), [16]byte{}, 1000, event.Filter{Type: kind})
	require.NoError(b.t, err)
	return list
}

// doomed is a sender whose node dies in every third call: what was taken by then
// is taken, and nobody is told.
type doomed struct {
	channel.Sender
	calls *atomic.Int64
}

func (m doomed) Send(ctx context.Context, b channel.Batch) []channel.Result {
	out := m.Sender.Send(ctx, b)
	if m.Kind() == channel.SMS && m.calls.Add(1)%3 == 0 {
		panic(errKilled)
	}
	return out
}

// nodes works on three nodes at once until all are idle or dead.
func nodes(all []*bundle) {
	b := all[0]
	b.tx(func(tx *db.Tx) error {
		return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
	})
	b.resumed()
	var wg sync.WaitGroup
	for _, node := range all {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil && !errors.Is(r.(error), errKilled) {
					panic(r)
				}
			}()
			_ = node.queue.Drain(node.t.Context(), node.now())
		})
	}
	wg.Wait()
}

// TestABudgetIsNeverExceededOnThreeNodes: 500 people with texts of one to three
// segments, a hundred segments to spend, lost answers, throttling, and nodes that
// die while they send.
func TestABudgetIsNeverExceededOnThreeNodes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var calls atomic.Int64
		o := options{size: dispatch.Sizes{Page: 200, Batch: 10, Parallel: 4}, wrap: func(s channel.Sender) channel.Sender { return doomed{s, &calls} }}
		b := setup(t, d, o)
		b.readers(500)
		all := []*bundle{b, b.node(o), b.node(o)}
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: .1, ThrottleRate: .3})
		c := b.texting(`{"sms_segments": 100}`, channel.LaneSMS, channel.LaneEmail)
		b.start(c)
		for range 60 {
			nodes(all)
			require.LessOrEqual(t, b.billed(), int64(100))
			if b.state(c) == campaign.Finished {
				break
			}
			b.advance(10 * time.Second)
		}
		require.Equal(t, campaign.Finished, b.state(c))
		r, spent := b.report(c), b.spent(c)
		t.Logf("billed %d, counted as spent %d of 100, %d deaths, states on the lane: %v", b.billed(), spent.Segments, calls.Load()/3, r.Lanes[channel.LaneSMS].States)
		require.GreaterOrEqual(t, calls.Load(), int64(3), "at least one node died")
		require.LessOrEqual(t, b.billed(), spent.Segments, "what is not known counts")
		require.LessOrEqual(t, spent.Segments, int64(100))
		require.GreaterOrEqual(t, spent.Segments, int64(98), "no more is left over than the next text takes")
		require.Equal(t, 500, r.LinkBack.Total)
		require.Equal(t, 500-r.Lanes[channel.LaneSMS].Total, r.Lanes[channel.LaneEmail].States[delivery.Accepted])
		require.Len(t, b.happened(event.BudgetReached), 1)
		b.onceEach()
	})
}

// readers makes people with a phone and an e-mail address, a third of them for each
// length of text.
func (b *bundle) readers(n int) {
	b.t.Helper()
	drafts := make([]contact.Draft, n)
	for i := range drafts {
		drafts[i] = contact.Draft{ExternalID: contact.Of(fmt.Sprintf("c%d", i)), Phone: contact.Of(fmt.Sprintf("+4477009%05d", i)), Email: contact.Of(fmt.Sprintf("c%d@example.com", i)),
			SMSConsent: contact.Of(contact.Consent{Status: contact.Subscribed}), EmailConsent: contact.Of(contact.Consent{Status: contact.Subscribed}),
			Attributes: map[string]any{"more": strings.Repeat("x", 153*(i%3))}}
	}
	for _, dr := range drafts {
		_, _, err := b.contacts.Upsert(b.t.Context(), dr)
		require.NoError(b.t, err)
	}
}

func TestWhoIsBeyondTheBudgetGoesOnToTheNextLane(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		first := b.reader(3, human{phone: "new", email: "new"})
		next := b.reader(2, human{phone: "new", email: "new"})
		only := b.reader(1, human{phone: "new"})
		silent := b.reader(1, human{phone: "new", silenced: true})
		c := b.texting(`{"sms_segments": 4}`, channel.LaneSMS, channel.LaneEmail)
		r := b.sendOut(c)
		require.Len(t, b.sim.Texts(first.phone), 1)
		require.Len(t, b.sim.Mail(next.email), 1, "two segments are too many")
		require.Empty(t, b.sim.Texts(only.phone), "and then the lane is closed for all")
		require.Equal(t, map[route.Reason]int{route.BudgetReached: 1, route.Suppressed: 1}, r.Reasons)
		got, _ := b.of(c, silent)
		require.Equal(t, string(route.Suppressed), got.Reason, "no budget would have helped")
		spent := b.spent(c)
		require.Equal(t, int64(3), spent.Segments)
		require.NotNil(t, spent.ReachedAt)
		told := b.happened(event.BudgetReached)
		require.Len(t, told, 1)
		require.Equal(t, c.ID, told[0].Campaign)
		require.Equal(t, map[string]any{"sms_segments": float64(3)}, told[0].Data)
	})
}

func TestWhoIsBeyondABudgetThatWaitsIsHeldUntilItIsRaised(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 5 {
			b.reader(2, human{phone: "new", email: "new"})
		}
		c := b.texting(`{"sms_segments": 5, "when_reached": "wait"}`, channel.LaneSMS, channel.LaneEmail)
		b.start(c)
		for range 5 {
			b.drain()
			b.advance(20 * time.Second)
		}
		require.Equal(t, int64(4), b.billed())
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 2, delivery.Held: 3}, b.report(c).Lanes[channel.LaneSMS].States)
		require.Equal(t, campaign.Running, b.state(c))

		_, _, err := b.campaigns.Update(t.Context(), c.ID, campaign.Patch{Budget: json.RawMessage(`{"sms_segments": 9}`)})
		require.NoError(t, err)
		for range 3 {
			b.advance(20 * time.Second)
			b.drain()
		}
		require.Equal(t, int64(8), b.billed(), "it waits again")
		require.Len(t, b.happened(event.BudgetReached), 2)
		require.Len(t, b.happened(event.BudgetChanged), 1)
		_, _, err = b.campaigns.Update(t.Context(), c.ID, campaign.Patch{Budget: json.RawMessage(`null`)})
		require.NoError(t, err)
		for range 2 {
			b.advance(20 * time.Second)
			b.drain()
		}
		require.Equal(t, int64(10), b.billed())
		require.Equal(t, campaign.Finished, b.state(c))
		require.Empty(t, b.report(c).Lanes[channel.LaneEmail].Total, "nobody went another way")
		b.onceEach()
	})
}

func TestWhatWaitsForABudgetEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 3 {
			b.reader(1, human{phone: "new"})
		}
		c := b.draft(func(p *campaign.Patch) {
			p.Route, p.Budget, p.EndsAt = &[]channel.Lane{channel.LaneSMS}, json.RawMessage(`{"sms_segments": 1, "when_reached": "wait"}`), new(b.now().Add(time.Hour))
		})
		b.start(c)
		for range 3 {
			b.drain()
			b.advance(time.Minute)
		}
		b.advance(time.Hour)
		b.drain()
		require.Equal(t, campaign.Finished, b.state(c))
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 1, delivery.Expired: 2}, b.report(c).LinkBack.States)
	})
}

func TestWhatTheProviderDidNotTakeIsSpentOnSomebodyElse(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 50, Batch: 4, Parallel: 1}})
		b.sim.Refuse(simulator.Twilio, "+447700900777", "21614")
		b.sim.Refuse(simulator.Twilio, "+447700900778", "30006") // it takes this one first
		b.reader(2, human{phone: "+447700900777", email: "new"})
		b.reader(2, human{phone: "+447700900778", email: "new"})
		for range 6 {
			b.reader(2, human{phone: "new", email: "new"})
		}
		c := b.texting(`{"sms_segments": 4}`, channel.LaneSMS, channel.LaneEmail)
		r := b.sendOut(c)
		require.Equal(t, int64(4), b.spent(c).Segments)
		require.Equal(t, int64(4), b.billed(), "the landline gave back what it took")
		require.Equal(t, 6, r.Lanes[channel.LaneEmail].States[delivery.Accepted])
	})
}

func TestAnUnknownTextStaysPaidFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 50, Batch: 2, Parallel: 1}})
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
		for range 4 {
			b.reader(1, human{phone: "new"})
		}
		c := b.texting(`{"sms_segments": 3}`, channel.LaneSMS)
		r := b.sendOut(c)
		require.Equal(t, int64(3), b.spent(c).Segments)
		require.Equal(t, 3, r.LinkBack.States[delivery.Unknown])
		require.Equal(t, map[route.Reason]int{route.BudgetReached: 1}, r.Reasons)
	})
}

// A budget in money counts by the price of each country, exactly.
func TestABudgetInMoneyIsCountedByTheCountry(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		p, err := budget.ReadPrices("EUR", nil, map[string]string{"GB": "0.0401", "US": "0.0083"})
		require.NoError(t, err)
		_, err = b.budgets.SetPrices(t.Context(), p)
		require.NoError(t, err)
		dear := b.reader(1, human{phone: "new", email: "new"})
		cheap := b.reader(2, human{phone: "+14155550123", email: "new"})
		unpriced := b.reader(1, human{phone: "+4915112345678", email: "new"})
		last := b.reader(1, human{phone: "+14155550124", email: "new"})
		c := b.texting(`{"sms_amount": "0.0567"}`, channel.LaneSMS, channel.LaneEmail)
		b.sendOut(c)
		require.Len(t, b.sim.Texts(dear.phone), 1)
		require.Len(t, b.sim.Texts(cheap.phone), 1, "0.0401 and 2 times 0.0083 are 0.0567")
		require.Empty(t, b.sim.Texts(last.phone))
		row, attempts := b.of(c, unpriced)
		require.Equal(t, channel.LaneEmail, row.Lane)
		require.Equal(t, "no_price", attempts[0].Code, "what has no price cannot be counted, so it is not sent")
		spent := b.spent(c)
		require.Equal(t, "0.0567", spent.Amount.String())
		require.Equal(t, []any{int64(3), int64(0), "EUR"}, []any{spent.Segments, spent.Unpriced, spent.Currency})

		free := b.texting("", channel.LaneSMS)
		b.sendOut(free)
		spent = b.spent(free)
		require.Equal(t, []any{int64(5), int64(1), "0.065"}, []any{spent.Segments, spent.Unpriced, spent.Amount.String()}, "without a limit it is counted all the same")
	})
}

// An escalation spends what its campaign may.
func TestAnEscalationPaysFromTheBudgetOfItsCampaign(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		for range 3 {
			b.make(human{window: true, phone: "new"})
		}
		b.make(human{phone: "new"})
		c := b.draft(func(p *campaign.Patch) {
			p.Route, p.EscalateAfterHours, p.Budget = &[]channel.Lane{channel.Window, channel.LaneSMS}, new(1), json.RawMessage(`{"sms_segments": 3}`)
		})
		b.start(c)
		for range 30 {
			b.drain()
			b.advance(5 * time.Minute)
		}
		require.Equal(t, campaign.Finished, b.state(c))
		require.Equal(t, int64(3), b.billed())
		require.Equal(t, int64(3), b.spent(c).Segments)
		require.Len(t, b.happened(event.BudgetReached), 1)
	})
}

// tardy is a sender whose answer, that it did not take the texts, comes when
// another node has given them up as unknown.
type tardy struct {
	channel.Sender
	giveUp func()
}

func (s tardy) Send(ctx context.Context, b channel.Batch) []channel.Result {
	if s.Kind() != channel.SMS {
		return s.Sender.Send(ctx, b)
	}
	s.giveUp()
	out := make([]channel.Result, len(b.Messages))
	for i := range out {
		out[i] = channel.Result{Outcome: channel.TryLater, Code: "20429"}
	}
	return out
}

func TestWhatWasGivenUpMeanwhileStaysPaidFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		giveUp := func() {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return tx.Exec("UPDATE deliveries SET state = 'unknown' WHERE state = 'sending'").Error
			}))
		}
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return tardy{s, giveUp} }})
		b.reader(2, human{phone: "new"})
		c := b.texting(`{"sms_segments": 3}`, channel.LaneSMS)
		r := b.sendOut(c)
		require.Equal(t, 1, r.LinkBack.States[delivery.Unknown])
		require.Equal(t, int64(2), b.spent(c).Segments)
	})
}

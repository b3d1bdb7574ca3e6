package dispatch

import (
	"context"
	"sync/atomic"
	"time"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/delivery"
)

// call renders and sends.
func (r *run) call(ctx context.Context, halted func() bool) {
	recipients := make([]campaign.Recipient, len(r.going))
	for i, g := range r.going {
		recipients[i] = r.engine.recipient(&g, r.batch.Lane)
	}
	batch, refused := r.def.Compose(r.batch.Lane, r.page.Name, recipients)
	batch.Page = r.page
	batch.Halted = halted
	r.engine.mark(batch.Messages)
	r.limit(batch.Messages)
	began := time.Now()
	results := r.engine.hand(ctx, batch)
	r.engine.chunks.learn(r.batch.Lane, results, time.Since(began))
	for _, g := range r.going {
		res, ok := results[g.ID]
		if !ok {
			res = refused[g.ID]
		}
		t := delivery.Try{Delivery: g.ID, N: g.Attempt, Lane: r.batch.Lane, Started: g.started}
		if g.token != "" {
			t.TokenID = &g.person.tokenID.UUID
		}
		r.results = append(r.results, settled{Try: t, contact: g.Contact, psid: g.person.psid, result: res})
	}
}

func (e *Engine) recipient(g *going, lane channel.Lane) campaign.Recipient {
	r := g.person.who
	r.Delivery, r.To, r.Token = g.ID, g.person.to(lane), g.token
	r.Link, r.Unsubscribe = e.Link(g.ID), e.Unsubscribe(g.ID)
	return r
}

// limit bounds how long a provider may hold texts: not beyond the hours in which
// they may arrive.
func (r *run) limit(messages []channel.Message) {
	if r.batch.Lane != channel.LaneSMS {
		return
	}
	zones := make(map[int64]*campaign.Zone, len(r.going))
	for _, g := range r.going {
		zones[g.ID] = g.person.zone
	}
	now := r.engine.Now()
	for i := range messages {
		messages[i].ValidFor = r.def.ValidFor(r.batch.Lane, now, zones[messages[i].Delivery])
	}
}

func (e *Engine) mark(messages []channel.Message) {
	for i := range messages {
		messages[i].Mark = e.Mark(messages[i].Delivery)
	}
}

// hand gives messages to the sender in the portions it takes.
func (e *Engine) hand(ctx context.Context, b channel.Batch) map[int64]channel.Result {
	out := make(map[int64]channel.Result, len(b.Messages))
	sender := e.Senders[b.Lane.Kind()]
	all := b.Messages
	for i := 0; i < len(all); i += sender.MaxBatch() {
		b.Messages = all[i:min(i+sender.MaxBatch(), len(all))]
		for j, res := range sender.Send(ctx, b) {
			out[b.Messages[j].Delivery] = res
		}
	}
	return out
}

// pausedFor is how soon a batch of a paused campaign looks again; lookEvery is
// how often one under way sees whether its campaign still runs.
const (
	pausedFor = 2 * time.Second
	lookEvery = 500 * time.Millisecond
)

// watch looks after the campaign's state while a batch is under way, so that a
// pause or an end is heeded in the middle of it. The caller calls stop.
func (r *run) watch(ctx context.Context) (halted func() bool, stop func()) {
	var halt atomic.Bool
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			c, err := r.engine.Campaigns.Get(ctx, r.batch.CampaignID)
			if err == nil && c.State != campaign.Running && c.State != campaign.Finished {
				halt.Store(true)
				return
			}
		}
	}()
	return halt.Load, func() { cancel(); <-done }
}

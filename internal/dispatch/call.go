package dispatch

import (
	"context"
	"time"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/delivery"
)

// compose renders the messages of those who are going.
func (r *run) compose(all []going) letters {
	recipients := make([]campaign.Recipient, len(all))
	for i := range all {
		recipients[i] = r.engine.recipient(&all[i], r.batch.Lane)
	}
	batch, refused := r.def.Compose(r.batch.Lane, r.page.Name, recipients)
	return letters{batch, refused}
}

// letters are composed messages, and what came of those that could not be, or
// must not be sent.
type letters struct {
	batch   channel.Batch
	refused map[int64]channel.Result
}

// call renders and sends. It stops in the middle when going ends.
func (r *run) call(ctx, going context.Context) {
	if r.letters == nil {
		r.letters = new(r.compose(r.going))
	}
	batch, refused := r.letters.batch, r.letters.refused
	batch.Page, batch.Campaign = r.page, r.batch.CampaignID.String()
	batch.Halted = func() bool { return going.Err() != nil }
	batch.Turn = r.turns(ctx, going, batch.Messages)
	r.engine.mark(batch.Messages)
	batch.Silenced = r.silent(batch.Messages)
	r.refusals.follow(r.going)
	defer r.refusals.follow(nil)
	began := time.Now()
	results := r.engine.hand(ctx, batch)
	if r.grant.Every == 0 {
		r.engine.chunks.learn(r.batch.Lane, results, time.Since(began))
	}
	for _, g := range r.going {
		res, handed := results[g.ID]
		if !handed {
			res = refused[g.ID]
		}
		t := delivery.Try{Delivery: g.ID, N: g.Attempt, Lane: r.batch.Lane, Started: g.started}
		if g.token != "" {
			id := g.person.tokenFor(r.batch.Lane)
			t.TokenID = &id
		}
		r.results = append(r.results, settled{Try: t, contact: g.Contact, psid: g.person.psid, address: g.person.to(r.batch.Lane), result: res, kept: !handed, paid: g.paid})
	}
}

func (e *Engine) recipient(g *going, lane channel.Lane) campaign.Recipient {
	r := g.person.who
	r.Delivery, r.To, r.Token = g.ID, g.person.to(lane), g.token
	r.Link, r.Unsubscribe = e.Link(g.ID), e.Unsubscribe(g.ID)
	return r
}

// turns spreads messages over the turns that were leased for them, and corrects
// the lease where they take more or fewer. It is nil when the sender has no pace.
func (r *run) turns(ctx, going context.Context, messages []channel.Message) func(context.Context, int) bool {
	if r.grant.Every == 0 {
		return nil
	}
	at, units := make([]time.Time, len(messages)), 0
	for i, m := range messages {
		at[i] = r.grant.Turn(units)
		units += r.engine.unitsOf(r.batch.Lane, m)
	}
	if len(messages) > 0 {
		r.units = float64(units) / float64(len(messages))
	}
	if err := r.engine.Lines.Owe(context.WithoutCancel(ctx), r.grant, units-r.grant.Units); err != nil {
		r.engine.Log.WarnContext(ctx, "a lease cannot be corrected", "sender", r.grant.Line, "error", err)
	}
	return func(_ context.Context, i int) bool { return r.engine.waitUntil(going, at[i]) }
}

// unitsOf is how many turns a message takes of its sender.
func (e *Engine) unitsOf(lane channel.Lane, m channel.Message) int {
	if lane == channel.LaneSMS {
		return max(1, e.Segments(string(m.Body)))
	}
	return 1
}

// waitUntil waits for a moment. It is false when ctx ended first.
func (e *Engine) waitUntil(ctx context.Context, at time.Time) bool {
	for rest := at.Sub(e.Now()); rest > 0 && ctx.Err() == nil; rest = at.Sub(e.Now()) {
		e.Wait(ctx, rest)
	}
	return ctx.Err() == nil
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// silent asks for each message of a chunk, right before it is handed over, whether
// its person refused or their hours have come to an end meanwhile. A provider may
// hold texts no longer than these last.
func (r *run) silent(messages []channel.Message) func(int) bool {
	zones := make(map[int64]*campaign.Zone, len(r.going))
	for _, g := range r.going {
		zones[g.ID] = g.person.zone
	}
	lane, now, closes := r.batch.Lane, r.engine.Now(), make([]time.Time, len(messages))
	for i := range messages {
		closes[i] = r.def.Closes(lane, now, zones[messages[i].Delivery])
		if lane == channel.LaneSMS {
			messages[i].ValidUntil = closes[i]
		}
	}
	refused := r.silenced(messages)
	return func(i int) bool { return refused(i) || r.def.TooLate(lane, r.engine.Now(), closes[i]) }
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
	all, turn, silenced := b.Messages, b.Turn, b.Silenced
	for i := 0; i < len(all); i += sender.MaxBatch() {
		b.Messages = all[i:min(i+sender.MaxBatch(), len(all))]
		b.Turn = from(turn, i)
		b.Silenced = func(j int) bool { return silenced != nil && silenced(i+j) }
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

// from counts turns from message i on.
func from(turn func(context.Context, int) bool, i int) func(context.Context, int) bool {
	if turn == nil {
		return nil
	}
	return func(ctx context.Context, j int) bool { return turn(ctx, i+j) }
}

// watch looks after the campaign's state, and after who refuses, while a batch is
// under way: going ends when the campaign is paused or over, so that this is
// heeded in the middle of a batch. The caller calls stop.
func (r *run) watch(ctx context.Context) (going context.Context, stop func()) {
	going, halt := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-going.Done():
				return
			case <-tick.C:
			}
			if !r.look(going) {
				halt()
				return
			}
		}
	}()
	return going, func() { halt(); <-done }
}

// look hears who refused, and reports whether the campaign still runs. Where the
// database cannot say, it does: the next look will tell.
func (r *run) look(ctx context.Context) bool {
	if err := r.listen(ctx); err != nil && ctx.Err() == nil {
		r.engine.Log.WarnContext(ctx, "who refused meanwhile cannot be read", "campaign_id", r.batch.CampaignID, "error", err)
	}
	c, err := r.engine.Campaigns.Get(ctx, r.batch.CampaignID)
	return err != nil || c.State == campaign.Running || c.State == campaign.Finished
}

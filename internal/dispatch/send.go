package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
	"beckon/internal/route"
	"beckon/internal/token"
)

// settleWithin is how long writing down outcomes may take after the job's own
// time is over: what a provider answered must not be lost.
const settleWithin = 10 * time.Second

// send works one batch: claim, decide again and reserve tokens in one
// transaction; call the provider; settle in another.
func (e *Engine) send(ctx context.Context, job queue.Job[SendJob]) error {
	b, err := e.Ledger.Batch(ctx, job.Args.Batch)
	if err != nil || b.FinishedAt != nil {
		return err
	}
	r := &run{engine: e, batch: b, job: job.ID, again: job.Again}
	if r.def, err = e.Campaigns.Definition(ctx, b.CampaignID); err != nil {
		return err
	}
	if r.page, err = e.Pages.Sender(ctx, r.def.PageID); err != nil {
		return err
	}
	if err := e.db.Transact(ctx, func(tx *db.Tx) error { return r.claim(ctx, tx) }); err != nil {
		return err
	}
	if r.wait > 0 {
		return queue.Later(r.wait)
	}
	r.call(ctx)
	return r.close(context.WithoutCancel(ctx))
}

// run is one run of a batch.
type run struct {
	engine *Engine
	batch  delivery.Batch
	job    int64
	again  bool // an earlier run may have been cut off while sending
	def    *campaign.Definition
	page   channel.Page

	scope   scope
	wait    time.Duration // the line is stopped or the campaign paused: come back then
	going   []going       // claimed and to be sent
	results []settled
	whole   bool // every delivery of the range was claimed
}

// going is a claimed delivery on its way to the provider.
type going struct {
	delivery.Claimed
	person  person
	token   string
	started time.Time
}

func (r *run) claim(ctx context.Context, tx *db.Tx) error {
	r.going, r.results, r.wait = nil, nil, 0
	e := r.engine
	var err error
	if r.scope, err = e.scopeOf(tx.DB, r.def); err != nil {
		return err
	}
	if r.again { // whether or not the campaign may go on
		if err := r.giveUpAbandoned(ctx, tx); err != nil {
			return err
		}
	}
	if ok, err := r.mayGo(tx); err != nil || !ok {
		return err
	}
	claimed, err := e.Ledger.Claim(tx, r.batch, r.job)
	r.whole = len(claimed) == r.batch.Size()
	if err != nil || len(claimed) == 0 {
		return err
	}
	ids := make([]uuid.UUID, len(claimed))
	for i, c := range claimed {
		ids[i] = c.Contact
	}
	people, err := r.scope.people(tx, ids)
	if err != nil {
		return err
	}
	moves := r.decide(claimed, people)
	lost, err := r.reserve(ctx, tx)
	if err != nil {
		return err
	}
	return r.move(ctx, tx, append(moves, lost...))
}

// mayGo checks that the campaign still wants this and that the sender is not
// stopped.
func (r *run) mayGo(tx *db.Tx) (bool, error) {
	var states []campaign.State
	if err := tx.Raw("SELECT state FROM campaigns WHERE id = ?", r.batch.CampaignID).Scan(&states).Error; err != nil {
		return false, fmt.Errorf("read campaign state: %w", err)
	}
	switch {
	case len(states) == 0 || states[0] == campaign.Cancelled:
		return false, r.engine.Ledger.CancelBatch(tx, r.batch)
	case states[0] != campaign.Running && states[0] != campaign.Finished:
		r.wait = pausedFor
		return false, nil
	}
	now := r.engine.Now()
	var until []time.Time
	err := tx.Raw("SELECT retry_at FROM line_stops WHERE sender = ? AND retry_at > ?", lineOf(r.batch.Lane, r.def.PageID), now).Scan(&until).Error
	if err != nil {
		return false, fmt.Errorf("read line stops: %w", err)
	}
	if len(until) > 0 {
		r.wait = until[0].Sub(now)
		return false, nil
	}
	return true, nil
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

// A node died while it sent these: nobody knows whether they went out.
func (r *run) giveUpAbandoned(ctx context.Context, tx *db.Tx) error {
	tries, err := r.engine.Ledger.Abandoned(tx, r.batch, r.job)
	if err != nil || len(tries) == 0 {
		return err
	}
	r.engine.Log.WarnContext(ctx, "a batch was cut off while sending", "campaign_id", r.batch.CampaignID, "unknown", len(tries))
	outcomes := make([]settled, len(tries))
	for i, t := range tries {
		outcomes[i] = settled{Try: t, result: channel.Result{Outcome: channel.Unknown, Code: "cut_off", Detail: "the node ended before the answer was written down"}}
	}
	return r.engine.settle(ctx, tx, r.def, r.scope, outcomes)
}

// decide asks the route again: what was true at planning may not be now.
func (r *run) decide(claimed []delivery.Claimed, people map[uuid.UUID]person) []delivery.Move {
	var moves []delivery.Move
	for _, c := range claimed {
		p, found := people[c.Contact]
		d := route.Decide(p.reach, r.def.Route[min(c.RouteFrom, len(r.def.Route)):], r.scope.now)
		switch {
		case !found:
			moves = append(moves, delivery.Move{Delivery: c.ID, Reason: reasonErased, Attempts: c.Attempt - 1})
		case d.Lane != r.batch.Lane:
			moves = append(moves, delivery.Move{Delivery: c.ID, Lane: d.Lane, Reason: string(d.Why()), Attempts: c.Attempt - 1})
		default:
			r.going = append(r.going, going{Claimed: c, person: p, started: r.scope.now})
		}
	}
	return moves
}

// reasonErased is why nobody is reached who was in the audience at planning.
const reasonErased = "erased"

// reserve takes a token for each delivery on the one-time lane. Those whose
// token somebody else was faster to take go back and are decided again.
func (r *run) reserve(ctx context.Context, tx *db.Tx) ([]delivery.Move, error) {
	if r.batch.Lane != channel.OneTime || len(r.going) == 0 {
		return nil, nil
	}
	claims := make([]token.Claim, len(r.going))
	for i, g := range r.going {
		claims[i] = token.Claim{Delivery: g.ID, TokenID: g.person.tokenID.UUID}
	}
	values, err := r.engine.Tokens.Reserve(ctx, tx, claims)
	if err != nil {
		return nil, err
	}
	var held []going
	var lost []delivery.Move
	for _, g := range r.going {
		value, ok := values[g.ID]
		if !ok {
			lost = append(lost, delivery.Move{Delivery: g.ID, Lane: channel.OneTime, Attempts: g.Attempt - 1})
			continue
		}
		g.token = value
		held = append(held, g)
	}
	r.going = held
	return lost, nil
}

func (r *run) move(ctx context.Context, tx *db.Tx, moves []delivery.Move) error {
	if err := r.engine.Ledger.MoveTo(tx, moves); err != nil {
		return err
	}
	w := waiting{}
	for _, m := range moves {
		if m.Lane != "" && m.Lane != r.batch.Lane { // those that stay are still this batch's
			w.add(m.Lane, time.Time{}, m.Delivery)
		}
	}
	return r.engine.addBatches(ctx, tx, r.batch.CampaignID, w)
}

// call renders and sends.
func (r *run) call(ctx context.Context) {
	if len(r.going) == 0 {
		return
	}
	recipients := make([]campaign.Recipient, len(r.going))
	for i, g := range r.going {
		recipients[i] = r.engine.recipient(&g, r.batch.Lane)
	}
	batch, refused := r.def.Compose(r.batch.Lane, r.page.Name, recipients)
	batch.Page = r.page
	halted, stop := r.watch(ctx)
	defer stop()
	batch.Halted = halted
	r.engine.mark(batch.Messages)
	results := r.engine.hand(ctx, batch)
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

// close writes the outcomes down and sees whether the batch is done.
func (r *run) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	e, wait, finished := r.engine, time.Duration(0), false
	err := e.db.Transact(ctx, func(tx *db.Tx) error {
		if err := e.settle(ctx, tx, r.def, r.scope, r.results); err != nil {
			return err
		}
		left, at, err := r.left(tx)
		if err != nil {
			return err
		}
		wait, finished = 0, left == 0
		if !finished {
			wait = max(at.Sub(e.Now()), again)
			return nil
		}
		return e.Ledger.FinishBatch(tx, r.batch.ID)
	})
	if err != nil {
		return fmt.Errorf("settle a batch: %w", err)
	}
	r.log(ctx)
	if !finished {
		return queue.Later(wait)
	}
	return e.finish(ctx, r.batch.CampaignID)
}

// left counts what of the batch still waits. Nothing does when all of it was
// claimed and sent, and nothing of that came back.
func (r *run) left(tx *db.Tx) (n int, at time.Time, err error) {
	back := len(r.results) != r.batch.Size() || slices.ContainsFunc(r.results, func(s settled) bool {
		return s.result.Outcome == channel.TryLater || s.result.Outcome == channel.StopTheLine
	})
	if r.whole && !back {
		return 0, at, nil
	}
	return r.engine.Ledger.Left(tx, r.batch)
}

// again is the least time before a batch with something left is taken up again.
const again = 200 * time.Millisecond

func (r *run) log(ctx context.Context) {
	count := map[channel.Outcome]int{}
	for _, s := range r.results {
		count[s.result.Outcome]++
	}
	args := []any{"campaign_id", r.batch.CampaignID, "lane", r.batch.Lane, "messages", len(r.results)}
	for _, o := range channel.Outcomes() {
		if count[o] > 0 {
			args = append(args, string(o), count[o])
		}
	}
	r.engine.Log.InfoContext(ctx, "batch sent", args...)
}

var (
	errNoPage    = errors.New("the campaign's page is gone")
	errNoContact = errors.New("there is no such contact")
)

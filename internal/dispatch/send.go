package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
)

// send works one batch, a chunk at a time, for as long as a job may: what the
// last chunk came to is written down, and the next one claimed, in one
// transaction; then the provider is called.
func (e *Engine) send(ctx context.Context, job queue.Job[SendJob]) error {
	b, open, err := e.open(ctx, job.Args.Batch)
	if err != nil || !open {
		return err
	}
	r := &run{engine: e, batch: b, job: job.ID, again: job.Again, units: 1, step: step{due: -1}, count: map[channel.Outcome]int{}}
	if r.def, err = e.Campaigns.Definition(ctx, b.CampaignID); err != nil {
		return err
	}
	if r.page, err = e.Pages.Sender(ctx, r.def.PageID); err != nil {
		return err
	}
	if err := r.work(ctx); err != nil {
		return fmt.Errorf("send a batch: %w", err)
	}
	if r.wait > 0 {
		return queue.Later(r.wait)
	}
	return e.finish(context.WithoutCancel(ctx), b.CampaignID)
}

// open reads a batch, and says whether there is anything left to do with it.
func (e *Engine) open(ctx context.Context, id uuid.UUID) (b delivery.Batch, open bool, err error) {
	b, err = e.Ledger.Batch(ctx, id)
	switch {
	case db.IsNone(err): // given up with its campaign
		return b, false, nil
	case err == nil && b.FinishedAt != nil: // by a run that may have been cut off right after
		return b, false, e.finish(ctx, b.CampaignID)
	}
	return b, true, err
}

// run is one run of a batch.
type run struct {
	engine *Engine
	batch  delivery.Batch
	job    int64
	again  bool // an earlier run, or a commit, may have been cut off while sending
	def    *campaign.Definition
	page   channel.Page

	refusals refusals  // of the chunk that is out
	step               // what the last transaction decided
	results  []settled // what the providers said since then
	units    float64   // that a message took so far, on average
	claimed  int       // of the batch, so far
	back     bool      // some of those wait again
	count    map[channel.Outcome]int
}

// step is what one transaction decides.
type step struct {
	scope scope
	grant channel.Grant // the turns of the sender for those going
	going []going       // claimed and to be sent
	// letters are composed already where they are paid for by their length.
	letters *letters
	taken   int           // claimed, sent or not
	due     int           // of the batch, when this run began; below 0 is not counted yet
	dry     bool          // nothing more of the batch is due
	wait    time.Duration // with nothing going: come back then; 0 is never, the batch is done
}

// going is a claimed delivery on its way to the provider.
type going struct {
	delivery.Claimed
	person  person
	token   string
	paid    channel.Payment // with SMS
	started time.Time
}

func (r *run) work(ctx context.Context) error {
	going, stop := r.watch(ctx)
	defer stop()
	defer r.log(ctx)
	for end := queue.WorkUntil(ctx, workFor); ; {
		more := going.Err() == nil && !r.engine.Queue.Ending() && time.Now().Before(end)
		if err := r.next(ctx, more); err != nil || len(r.going) == 0 {
			return err
		}
		r.call(ctx, going)
	}
}

const (
	writeWithin = 10 * time.Second // one transaction
	keepTrying  = 5 * time.Minute  // to write down what a provider answered
)

// next writes down what the last chunk came to and, if more is wanted, claims
// another. What a provider answered must not be lost: when the database is away
// for a while, that is tried again until it is back. It is safe at any time,
// even when another node has given the chunk up as unknown by then.
func (r *run) next(ctx context.Context, more bool) error {
	write := context.WithoutCancel(ctx)
	for began, rest := time.Now(), again; ; rest = min(2*rest, 2*time.Second) {
		s, err := r.transact(write, more)
		if err == nil {
			r.take(s)
			return r.giveTurnsBack(write)
		}
		if len(r.results) == 0 || time.Since(began) > keepTrying {
			return err
		}
		r.engine.Log.WarnContext(ctx, "outcomes cannot be written down yet", "campaign_id", r.batch.CampaignID, "messages", len(r.results), "error", err)
		more, r.again = false, true // the commit may have come through, with a claim that nobody knows of
		time.Sleep(rest)
	}
}

// giveTurnsBack returns a lease of which nothing is used.
func (r *run) giveTurnsBack(ctx context.Context) error {
	if len(r.going) > 0 || r.grant.Units == 0 {
		return nil
	}
	return r.engine.Lines.Owe(ctx, r.grant, -r.grant.Units)
}

func (r *run) transact(ctx context.Context, more bool) (s step, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	err = r.engine.db.Transact(ctx, func(tx *db.Tx) error {
		s, err = r.decideNext(ctx, tx, more)
		return err
	})
	return s, err
}

// take makes what was committed the state of the run.
func (r *run) take(s step) {
	for _, x := range r.results {
		r.count[x.result.Outcome]++
	}
	r.back = r.back || r.waits()
	r.step, r.again, r.results = s, false, nil
	r.claimed += s.taken
	r.back = r.back || len(s.going) < s.taken
}

func (r *run) decideNext(ctx context.Context, tx *db.Tx, more bool) (s step, err error) {
	e := r.engine
	s.due = r.due
	if err := e.Lines.Note(tx, r.grant, r.def.ID, r.tally()); err != nil {
		return s, err
	}
	if err := r.learn(tx); err != nil {
		return s, err
	}
	if s.scope, err = e.scopeOf(tx.DB, r.def); err != nil {
		return s, err
	}
	if err := e.settle(ctx, tx, r.def, s.scope, r.results); err != nil {
		return s, err
	}
	if r.again { // whether or not the campaign may go on
		if err := r.giveUpAbandoned(ctx, tx, s.scope, time.Time{}); err != nil {
			return s, err
		}
	}
	if more && !r.dry && r.claimed < r.batch.Size() {
		if err := r.claim(ctx, tx, &s); err != nil {
			return s, err
		}
	}
	if len(s.going) == 0 {
		err = r.rest(ctx, tx, &s)
	}
	return s, err
}

// rest says when to come back to what is left of the batch, or ends it.
func (r *run) rest(ctx context.Context, tx *db.Tx, s *step) error {
	e := r.engine
	if r.batch.Lane == channel.LaneSMS {
		if err := e.Purse.Handed(tx, r.batch.ID); err != nil {
			return err
		}
	}
	if whole := r.claimed == r.batch.Size() && !r.back && !r.waits(); !whole {
		left, sending, at, err := e.Ledger.Left(tx, r.batch, r.job)
		if err != nil {
			return err
		}
		if left > 0 {
			s.wait = max(s.wait, at.Sub(e.Now()), again)
			if sending > 0 { // not by this run: by one that overlaps with it, and may be dead
				return r.giveUpAbandoned(ctx, tx, s.scope, e.Now().Add(-queue.RescueAfter))
			}
			return nil
		}
	}
	s.wait = 0
	return e.Ledger.FinishBatch(tx, r.batch.ID)
}

// learn tells what the last chunk says of a lane that was not known to work, so
// that what comes next is decided with that in mind.
func (r *run) learn(tx *db.Tx) error {
	if len(r.results) == 0 || !r.scope.unproven(r.batch.Lane) {
		return nil
	}
	n := map[channel.Outcome]int{}
	for _, s := range r.results {
		n[s.result.Outcome]++
	}
	return r.engine.Pages.Tried(tx, r.def.PageID, r.batch.Lane, n[channel.Accepted], n[channel.TokenDead])
}

// tally is what the last chunk says of its sender.
func (r *run) tally() (t channel.Tally) {
	for _, s := range r.results {
		if !s.kept {
			t.Add(s.result)
		}
	}
	return t
}

// waits reports whether some of the last chunk are to be tried again.
func (r *run) waits() bool {
	return slices.ContainsFunc(r.results, func(s settled) bool {
		return s.result.Outcome == channel.TryLater || s.result.Outcome == channel.StopTheLine
	})
}

// again is the least time before a batch with something left is taken up again.
const again = 200 * time.Millisecond

func (r *run) log(ctx context.Context) {
	if len(r.count) == 0 {
		return
	}
	args := []any{"campaign_id", r.batch.CampaignID, "lane", r.batch.Lane}
	for _, o := range channel.Outcomes() {
		if r.count[o] > 0 {
			args = append(args, string(o), r.count[o])
		}
	}
	r.engine.Log.InfoContext(ctx, "messages sent", args...)
}

package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
	"beckon/internal/route"
)

// workFor is how long a job works before it leaves the rest to the next run.
const workFor = 20 * time.Second

// errOvertaken says that another run of the same plan was faster.
var errOvertaken = errors.New("another run plans this campaign")

func (e *Engine) plan(ctx context.Context, job queue.Job[campaign.PlanJob]) error {
	return e.PlanNow(ctx, job.Args.Campaign)
}

// PlanNow walks the audience in pages by contact id. Each page's deliveries, its
// send jobs and the plan's progress are one transaction. It plans a running campaign as far as one run gets; a plan that is
// complete stays as it is.
func (e *Engine) PlanNow(ctx context.Context, id uuid.UUID) error {
	c, err := e.Campaigns.Get(ctx, id)
	if err != nil {
		return err
	}
	def, err := e.Campaigns.Definition(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.PlannedTo == nil { // the contacts may have been imported a moment ago
		if err := e.db.Analyze(ctx, "contacts", "messenger_addresses", "tokens", "suppressions", "deliveries"); err != nil {
			return err
		}
	}
	for end := e.Now().Add(workFor); c.State == campaign.Running && c.PlannedAt == nil; {
		done, err := e.planPage(ctx, &c, def)
		if errors.Is(err, errOvertaken) {
			return nil
		}
		if err != nil {
			return err
		}
		if done {
			e.Log.InfoContext(ctx, "campaign planned", "campaign_id", c.ID)
			return errors.Join(e.db.Analyze(ctx, "deliveries"), e.finish(ctx, c.ID))
		}
		if e.Now().After(end) {
			return queue.Later(0)
		}
	}
	return e.finish(ctx, id) // a paused one may have had nothing left to send
}

func (e *Engine) planPage(ctx context.Context, c *campaign.Campaign, def *campaign.Definition) (done bool, err error) {
	s, err := e.scopeOf(e.db.Read(ctx), def)
	if err != nil {
		return false, err
	}
	after := uuid.Nil
	if c.PlannedTo != nil {
		after = *c.PlannedTo
	}
	where, args := def.Audience.Where("c")
	crowd, err := s.crowd(e.db.Read(ctx), audienceOf{where, args, after, *c.PlannedUntil, e.size.Page, false})
	if err != nil {
		return false, err
	}
	done = len(crowd) < e.size.Page
	to := *c.PlannedUntil
	if !done {
		to = crowd[len(crowd)-1].id
	}
	places, count := decideAll(crowd, def.Route, s.now)
	err = e.db.Transact(ctx, func(tx *db.Tx) error {
		ok, err := e.Campaigns.Planned(tx, c.ID, c.PlannedTo, to, done)
		if err != nil {
			return err
		}
		if !ok {
			return errOvertaken
		}
		return e.writePage(ctx, tx, c.ID, places, count)
	})
	c.PlannedTo = &to
	return done, err
}

func (e *Engine) writePage(ctx context.Context, tx *db.Tx, id uuid.UUID, places []delivery.Place, count map[channel.Lane]int) error {
	if len(places) == 0 {
		return nil
	}
	first, err := e.Ledger.Write(tx, id, places)
	if err != nil {
		return err
	}
	w := waiting{}
	for _, lane := range channel.Lanes() {
		for range count[lane] {
			w.add(lane, time.Time{}, first)
			first++
		}
	}
	return e.addBatches(ctx, tx, id, w)
}

// decideAll places everybody, sorted by lane so that a lane's numbers follow
// each other; those without a lane come last.
func decideAll(crowd []person, lanes []channel.Lane, now time.Time) ([]delivery.Place, map[channel.Lane]int) {
	places, count := make([]delivery.Place, len(crowd)), map[channel.Lane]int{}
	for i := range crowd {
		d := route.Decide(crowd[i].reach, lanes, now)
		places[i] = delivery.Place{Contact: crowd[i].id, Lane: d.Lane, Reason: string(d.Why())}
		count[d.Lane]++
	}
	slices.SortStableFunc(places, func(a, b delivery.Place) int { return laneOrder(a.Lane) - laneOrder(b.Lane) })
	return places, count
}

func laneOrder(l channel.Lane) int {
	if i := slices.Index(allLanes[:], l); i >= 0 {
		return i
	}
	return len(allLanes)
}

// allLanes is channel.Lanes as a constant would be.
var allLanes = [...]channel.Lane{channel.Window, channel.OneTime, channel.Utility, channel.Recurring, channel.LaneSMS, channel.LaneEmail}

// finish ends the campaign if nothing of it is open any more.
func (e *Engine) finish(ctx context.Context, id uuid.UUID) error {
	done, err := e.Campaigns.FinishIfDone(ctx, id)
	if err == nil && done {
		e.Log.InfoContext(ctx, "campaign finished", "campaign_id", id)
	}
	return err
}

package dispatch

import (
	"cmp"
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
		if err := e.db.Analyze(ctx, "contacts", "messenger_addresses", "tokens", "recurring_tokens", "suppressions", "deliveries"); err != nil {
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
		if err := e.db.AnalyzeNew(ctx, "deliveries"); err != nil { // sending begins while planning goes on, maybe in a new leaf
			return err
		}
		if done && def.Over(e.Now()) { // it may have passed after the page was read
			return e.end(ctx, c.ID)
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
	where, args := def.Where("c", s.now, e.AskAgain)
	crowd, err := s.crowd(e.db.Read(ctx), audienceOf{where, args, after, *c.PlannedUntil, e.size.Page, false})
	if err != nil {
		return false, err
	}
	done = len(crowd) < e.size.Page
	to := *c.PlannedUntil
	if !done {
		to = crowd[len(crowd)-1].id
	}
	places := decideAll(crowd, def, s.now)
	write := func(tx *db.Tx) error {
		ok, err := e.Campaigns.Planned(tx, c.ID, c.PlannedTo, to, done)
		if err != nil {
			return err
		}
		if !ok {
			return errOvertaken
		}
		return e.writePage(ctx, tx, def, places)
	}
	err = e.db.Transact(ctx, write)
	if db.DuplicateOf(err) != "" { // a contact planned before was merged into one of these
		if places, err = e.unplaced(ctx, def.ID, places); err == nil {
			err = e.db.Transact(ctx, write)
		}
	}
	c.PlannedTo = &to
	return done, err
}

// unplaced leaves out who has a place in the campaign already.
func (e *Engine) unplaced(ctx context.Context, campaign uuid.UUID, places []delivery.Place) ([]delivery.Place, error) {
	contacts := make([]uuid.UUID, len(places))
	for i, p := range places {
		contacts[i] = p.Contact
	}
	placed, err := e.Ledger.Placed(e.db.Read(ctx), campaign, contacts)
	return slices.DeleteFunc(places, func(p delivery.Place) bool { return placed[p.Contact] }), err
}

func (e *Engine) writePage(ctx context.Context, tx *db.Tx, def *campaign.Definition, places []delivery.Place) error {
	if len(places) == 0 {
		return nil
	}
	first, err := e.Ledger.Write(tx, def.ID, places)
	if err != nil {
		return err
	}
	w, last := waiting{}, int64(0)
	for i, p := range places {
		if p.Lane != "" && !p.Expired {
			last = first + int64(i)
			w.add(p.Lane, p.NotBefore, last)
		}
	}
	if err := e.addBatches(ctx, tx, def.ID, w); err != nil {
		return err
	}
	return e.listen(ctx, tx, def, first, last)
}

// decideAll places everybody, sorted by lane and by the moment from which they
// may be written to, so that the numbers of those who can be sent together
// follow each other; those without a lane come last. Past the deadline nobody is
// written to any more.
func decideAll(crowd []person, def *campaign.Definition, now time.Time) []delivery.Place {
	places, opens, over := make([]delivery.Place, len(crowd)), openings{}, def.Over(now)
	for i := range crowd {
		p := &crowd[i]
		d := route.Decide(p.reach, def.Route, now)
		places[i] = delivery.Place{Contact: p.id, Lane: d.Lane, Reason: string(d.Why()), Expired: over && d.Reachable()}
		if d.Reachable() && !over {
			places[i].NotBefore = opens.of(def, d.Lane, now, p.zone)
		}
	}
	slices.SortStableFunc(places, func(a, b delivery.Place) int {
		return cmp.Or(laneOrder(a.Lane)-laneOrder(b.Lane), a.NotBefore.Compare(b.NotBefore))
	})
	return places
}

// openings remembers, for one moment, from when on people of a zone may be
// written to on a lane.
type openings map[opening]time.Time

type opening struct {
	lane channel.Lane
	zone *campaign.Zone
}

func (o openings) of(def *campaign.Definition, lane channel.Lane, now time.Time, zone *campaign.Zone) time.Time {
	k := opening{lane, zone}
	at, known := o[k]
	if !known {
		at = def.NotBefore(lane, now, zone)
		o[k] = at
	}
	return at
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

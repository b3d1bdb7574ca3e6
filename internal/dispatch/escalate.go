package dispatch

import (
	"context"
	"maps"
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

// EscalateJob watches a stretch of a campaign's deliveries: whoever stays silent
// on Messenger gets one more message, on a link-back lane.
type EscalateJob struct {
	Batch uuid.UUID `json:"batch"`
}

// Kind names the job.
func (EscalateJob) Kind() string { return "dispatch.escalate" }

const (
	lookForDoubts = time.Hour // what is unknown may turn out to be taken at any time
	lookForOpen   = 10 * time.Second
	leastSilence  = time.Minute // between two looks at the same stretch
)

// listen has a stretch of new deliveries watched for silence. The batch keeps
// the campaign from finishing before all of that is done.
func (e *Engine) listen(ctx context.Context, tx *db.Tx, def *campaign.Definition, first, last int64) error {
	if def.EscalateAfter == 0 || last < first {
		return nil
	}
	watch := []delivery.Batch{{CampaignID: def.ID, FirstID: first, LastID: last}}
	if err := e.Ledger.AddBatches(tx, watch); err != nil {
		return err
	}
	return e.Queue.Insert(ctx, tx, queue.Order{Args: EscalateJob{watch[0].ID}, At: e.Now().Add(def.EscalateAfter)})
}

func (e *Engine) escalate(ctx context.Context, job queue.Job[EscalateJob]) error {
	b, open, err := e.open(ctx, job.Args.Batch)
	if err != nil || !open {
		return err
	}
	c, err := e.Campaigns.Get(ctx, b.CampaignID)
	if err != nil {
		return err
	}
	switch c.State {
	case campaign.Running:
	case campaign.Paused:
		return queue.Later(leastSilence)
	default: // what is left of it is given up elsewhere
		return nil
	}
	x := &escalation{engine: e, batch: b}
	if x.from, err = e.Campaigns.Definition(ctx, b.CampaignID); err != nil {
		return err
	}
	to, err := e.Campaigns.EscalationID(ctx, b.CampaignID)
	if err != nil {
		return err
	}
	if x.to, err = e.Campaigns.Definition(ctx, to); err != nil {
		return err
	}
	return x.work(ctx)
}

// escalation is one look at a stretch of deliveries.
type escalation struct {
	engine *Engine
	batch  delivery.Batch
	from   *campaign.Definition // whose people are silent
	to     *campaign.Definition // that writes to them
	now    time.Time
	next   time.Time // when there may be more to do; zero is never
}

func (x *escalation) work(ctx context.Context) error {
	n := 0
	err := x.engine.db.Transact(ctx, func(tx *db.Tx) (err error) {
		x.now, x.next = x.engine.Now(), time.Time{}
		if n, err = x.speak(ctx, tx); err != nil {
			return err
		}
		if err := x.wait(tx); err != nil || !x.next.IsZero() {
			return err
		}
		return x.engine.Ledger.FinishBatch(tx, x.batch.ID)
	})
	if err != nil {
		return err
	}
	if n > 0 {
		x.engine.Log.InfoContext(ctx, "silent people get one more message", "campaign_id", x.from.ID, "messages", n)
	}
	if !x.next.IsZero() {
		return queue.Later(x.next.Sub(x.now))
	}
	return x.engine.finish(ctx, x.from.ID)
}

// speak places everybody who is silent and may be written to now in the
// escalation, and marks their deliveries. It returns how many they are.
func (x *escalation) speak(ctx context.Context, tx *db.Tx) (int, error) {
	e := x.engine
	if x.from.Over(x.now) {
		return 0, nil
	}
	silent, err := e.Ledger.SilentSince(tx, x.batch, x.now.Add(-x.from.EscalateAfter))
	if err != nil || len(silent) == 0 {
		return 0, err
	}
	s, err := e.scopeOf(tx.DB, x.to)
	if err != nil {
		return 0, err
	}
	ids := make([]uuid.UUID, len(silent))
	for i, d := range silent {
		ids[i] = d.ContactID
	}
	people, err := s.people(tx, ids)
	if err != nil {
		return 0, err
	}
	placed, err := e.Ledger.Placed(tx.DB, x.to.ID, ids) // by a contact that was merged into theirs
	if err != nil {
		return 0, err
	}
	maps.DeleteFunc(people, func(id uuid.UUID, _ person) bool { return placed[id] })
	places, marked := x.place(silent, people)
	if len(places) == 0 {
		return 0, nil
	}
	first, err := e.Ledger.Write(tx, x.to.ID, places)
	if err != nil {
		return 0, err
	}
	w := waiting{}
	for i, p := range places {
		w.add(p.Lane, p.NotBefore, first+int64(i))
	}
	if err := e.addBatches(ctx, tx, x.to.ID, w); err != nil {
		return 0, err
	}
	return len(places), e.Ledger.Escalated(tx, marked)
}

// place finds the next open link-back lane for each. Whose hours are closed is
// asked about again when they open: they may have come back by then.
func (x *escalation) place(silent []delivery.Silent, people map[uuid.UUID]person) (places []delivery.Place, marked []int64) {
	for _, d := range silent {
		p, found := people[d.ContactID]
		if !found { // erased, or placed already
			continue
		}
		from := x.used(d.Lane)
		lane := route.Decide(p.reach, x.to.Route[from:], x.now).Lane
		if lane == "" {
			continue
		}
		if at := x.to.NotBefore(lane, x.now, p.zone); !at.IsZero() {
			x.again(at)
			continue
		}
		places = append(places, delivery.Place{Contact: d.ContactID, Lane: lane, RouteFrom: from})
		marked = append(marked, d.ID)
	}
	slices.SortStableFunc(places, func(a, b delivery.Place) int { return laneOrder(a.Lane) - laneOrder(b.Lane) })
	return places, marked
}

// used counts the link-back lanes that come before a lane in the route.
func (x *escalation) used(lane channel.Lane) (n int) {
	for _, l := range x.from.Route {
		if l == lane {
			break
		}
		if l.Kind() != channel.Messenger {
			n++
		}
	}
	return n
}

// wait finds out when there may be more to do.
func (x *escalation) wait(tx *db.Tx) error {
	if x.from.Over(x.now) {
		return nil
	}
	left, err := x.engine.Ledger.Silences(tx, x.batch, x.now.Add(-x.from.EscalateAfter))
	if err != nil {
		return err
	}
	if left.Waiting > 0 {
		x.again(x.now.Add(x.from.EscalateAfter))
	}
	if left.Doubts > 0 {
		x.again(x.now.Add(lookForDoubts))
	}
	if left.First != nil {
		x.again(left.First.Add(x.from.EscalateAfter))
	}
	if !x.next.IsZero() {
		x.next = later(x.next, x.now.Add(leastSilence))
		return nil
	}
	open, err := x.engine.Ledger.Open(tx, x.to.ID)
	if open {
		x.again(x.now.Add(lookForOpen))
	}
	return err
}

func (x *escalation) again(at time.Time) {
	if x.next.IsZero() || at.Before(x.next) {
		x.next = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/route"
)

// Action is what a person decides about an unknown delivery.
type Action string

// What can be decided. Resend takes the risk that somebody gets the message
// twice, GiveUp that somebody never gets it.
const (
	Resend Action = "resend"
	GiveUp Action = "give_up"
)

// Resolve does what a person decided about an unknown delivery whose grace time
// is over, or at once with force. The delivery is resolved once, however many
// ask: who comes second is told that it is not unknown any more.
//
// A resend decides the lane anew, from the one that the delivery stands on; the
// try in doubt stays in the history, and its token stays spent.
func (e *Engine) Resolve(ctx context.Context, id int64, action Action, force bool) error {
	d, _, err := e.Ledger.Get(ctx, id)
	if err != nil {
		return err
	}
	if d.State != delivery.Unknown {
		return delivery.NotUnknown(d.State)
	}
	if until := d.SentAt.Add(e.Ledger.Grace()); !force && e.Now().Before(until) {
		return delivery.StillSettling(until)
	}
	r, err := e.resolver(ctx, d.CampaignID, action, force)
	if err != nil {
		return err
	}
	n, err := r.do(ctx, []int64{id})
	if err != nil || n == 1 {
		return err
	}
	if d, _, err = e.Ledger.Get(ctx, id); err == nil && d.State == delivery.Unknown {
		return delivery.ErrNoLane
	}
	if err != nil {
		return err
	}
	return delivery.NotUnknown(d.State) // somebody else, or evidence, was faster
}

// ResolveAll does the same for all unknown deliveries of a campaign whose grace
// time is over, or for all of them with force. It returns how many it resolved,
// and how many it left unknown because nothing is open to the person any more.
func (e *Engine) ResolveAll(ctx context.Context, campaign uuid.UUID, action Action, force bool) (resolved, left int, err error) {
	r, err := e.resolver(ctx, campaign, action, force)
	if err != nil {
		return 0, 0, err
	}
	ids, err := e.Ledger.Unknowns(ctx, campaign, r.until)
	if err != nil {
		return 0, 0, err
	}
	for part := range slices.Chunk(ids, e.size.Batch) {
		n, err := r.do(ctx, part)
		resolved += n
		left += r.closed
		if err != nil {
			return resolved, left, err
		}
	}
	e.Log.InfoContext(ctx, "unknown deliveries resolved", "campaign_id", campaign, "action", action, "resolved", resolved, "left", left)
	return resolved, left, nil
}

// resolver does one thing with unknown deliveries of one campaign.
type resolver struct {
	*Engine
	def    *campaign.Definition
	action Action
	until  time.Time // only what was sent up to then
	closed int       // of the last part: those with nothing open
}

func (e *Engine) resolver(ctx context.Context, id uuid.UUID, action Action, force bool) (*resolver, error) {
	r := &resolver{Engine: e, action: action, until: e.Now()}
	if !force {
		r.until = r.until.Add(-e.Ledger.Grace())
	}
	c, err := e.Campaigns.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if action == GiveUp || c.StartedAt == nil { // before its start there is nothing to send again
		return r, nil
	}
	if err := c.MaySendAgain(e.Now()); err != nil {
		return nil, err
	}
	r.def, err = e.Campaigns.Definition(ctx, id)
	return r, err
}

// do resolves a part in one transaction and returns how many it moved.
func (r *resolver) do(ctx context.Context, ids []int64) (moved int, err error) {
	err = r.db.Transact(ctx, func(tx *db.Tx) (err error) {
		r.closed = 0
		if r.action == GiveUp {
			moved, err = r.Ledger.GiveUp(tx, ids)
			return err
		}
		moved, err = r.resend(ctx, tx, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("resolve unknown deliveries: %w", err)
	}
	return moved, nil
}

func (r *resolver) resend(ctx context.Context, tx *db.Tx, ids []int64) (int, error) {
	doubts, err := r.Ledger.Doubts(tx, ids)
	if err != nil || len(doubts) == 0 {
		return 0, err
	}
	s, err := r.scopeOf(tx.DB, r.def)
	if err != nil {
		return 0, err
	}
	contacts := make([]uuid.UUID, len(doubts))
	for i, d := range doubts {
		contacts[i] = d.ContactID
	}
	people, err := s.people(tx, contacts)
	if err != nil {
		return 0, err
	}
	again, w := r.decide(doubts, people, s.now)
	r.closed = len(doubts) - len(again)
	moved, err := r.Ledger.Resend(tx, again)
	if err != nil {
		return 0, err
	}
	return moved, r.addBatches(ctx, tx, r.def.ID, w)
}

// decide finds the lane of each, from the one it stands on, and the hour: who is
// asleep is held until their morning, unless the campaign is over by then.
func (r *resolver) decide(doubts []delivery.Doubt, people map[uuid.UUID]person, now time.Time) ([]delivery.Again, waiting) {
	var again []delivery.Again
	w := waiting{}
	for _, d := range doubts {
		from := max(slices.Index(r.def.Route, d.Lane), 0)
		p, found := people[d.ContactID]
		to := route.Decide(p.reach, r.def.Route[from:], now)
		if !found || !to.Reachable() {
			continue
		}
		at := r.def.NotBefore(to.Lane, now, p.zone)
		if !r.def.Over(at) {
			again = append(again, delivery.Again{Delivery: d.ID, Lane: to.Lane, RouteFrom: from, NotBefore: at})
			w.add(to.Lane, at, d.ID)
		}
	}
	return again, w
}

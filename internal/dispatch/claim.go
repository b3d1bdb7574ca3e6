package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/route"
	"beckon/internal/token"
)

// claim takes the next chunk of the batch, decides again for each person in it
// and reserves their tokens.
func (r *run) claim(ctx context.Context, tx *db.Tx, s *step) error {
	e := r.engine
	if ok, err := r.mayGo(tx, s); err != nil || !ok {
		return err
	}
	if r.batch.Lane == channel.LaneSMS && s.scope.saving {
		s.wait = budgetLook
		return e.Ledger.HoldBatch(tx, r.batch, string(route.BudgetReached))
	}
	most, err := r.lease(tx, s)
	if err != nil || most == 0 {
		return err
	}
	claimed, err := e.Ledger.Claim(tx, r.batch, r.job, most)
	if s.taken, s.dry = len(claimed), len(claimed) < most; err != nil || len(claimed) == 0 {
		return err
	}
	ids := make([]uuid.UUID, len(claimed))
	for i, c := range claimed {
		ids[i] = c.Contact
	}
	people, err := s.scope.people(tx, ids)
	if err != nil {
		return err
	}
	moves := r.decide(s, claimed, people)
	lost, err := r.reserve(ctx, tx, s)
	if err != nil {
		return err
	}
	unpaid, err := r.pay(tx, s)
	if err != nil {
		return err
	}
	return r.move(ctx, tx, slices.Concat(moves, lost, unpaid))
}

// mayGo checks that the campaign still wants this.
func (r *run) mayGo(tx *db.Tx, s *step) (bool, error) {
	var states []campaign.State
	if err := tx.Raw("SELECT state FROM campaigns WHERE id = ?", r.batch.CampaignID).Scan(&states).Error; err != nil {
		return false, fmt.Errorf("read campaign state: %w", err)
	}
	switch {
	case len(states) == 0 || states[0] == campaign.Cancelled:
		return false, r.engine.Ledger.EndBatch(tx, r.batch, delivery.Cancelled)
	case states[0] != campaign.Running && states[0] != campaign.Finished:
		s.wait = pausedFor
		return false, nil
	}
	if r.def.Over(r.engine.Now()) {
		return false, r.engine.Ledger.EndBatch(tx, r.batch, delivery.Expired)
	}
	return true, nil
}

// lease takes turns of the sender for the next chunk, and says how many messages
// they are for: an SMS takes as many as it has segments. Nothing is claimed
// without a turn.
func (r *run) lease(tx *db.Tx, s *step) (most int, err error) {
	if s.due < 0 { // turns of a sender are not to be had for nothing
		if s.due, err = r.engine.Ledger.Due(tx, r.batch); err != nil {
			return 0, err
		}
	}
	most = r.engine.chunks.of(r.batch.Lane)
	if s.scope.unproven(r.batch.Lane) {
		most = min(most, unprovenChunk)
	}
	if most = min(most, s.due-r.claimed); most <= 0 {
		s.dry = true
		return 0, nil
	}
	s.grant, err = r.engine.Lines.Lease(tx, r.batch.Lane.Line(r.def.PageID.String()), int(math.Ceil(float64(most)*r.units)))
	if err != nil || s.grant.Units == 0 {
		s.wait = s.grant.Wait
		return 0, err
	}
	return min(most, max(1, int(float64(s.grant.Units)/r.units))), nil
}

// A node died while it sent these: nobody knows whether they went out. With
// until, only those count that were claimed by then.
func (r *run) giveUpAbandoned(ctx context.Context, tx *db.Tx, s scope, until time.Time) error {
	tries, err := r.engine.Ledger.Abandoned(tx, r.batch, r.job)
	if !until.IsZero() {
		tries = slices.DeleteFunc(tries, func(t delivery.Try) bool { return t.Started.After(until) })
	}
	if err != nil || len(tries) == 0 {
		return err
	}
	r.engine.Log.WarnContext(ctx, "a batch was cut off while sending", "campaign_id", r.batch.CampaignID, "unknown", len(tries))
	outcomes := make([]settled, len(tries))
	for i, t := range tries {
		outcomes[i] = settled{Try: t, result: channel.Result{Outcome: channel.Unknown, Code: "cut_off", Detail: "the node ended before the answer was written down"}}
	}
	return r.engine.settle(ctx, tx, r.def, s, outcomes)
}

// decide asks the route again: what was true at planning may not be now.
func (r *run) decide(s *step, claimed []delivery.Claimed, people map[uuid.UUID]person) []delivery.Move {
	var moves []delivery.Move
	for _, c := range claimed {
		p, found := people[c.Contact]
		if !found {
			moves = append(moves, delivery.Move{Delivery: c.ID, Reason: reasonErased, Attempts: c.Attempt - 1})
			continue
		}
		d := route.Decide(p.reach, r.def.Route[min(c.RouteFrom, len(r.def.Route)):], s.scope.now)
		at := r.def.NotBefore(d.Lane, s.scope.now, p.zone)
		if d.Lane != r.batch.Lane || !at.IsZero() {
			moves = append(moves, delivery.Move{Delivery: c.ID, Lane: d.Lane, NotBefore: at, Reason: string(d.Why()), Attempts: c.Attempt - 1})
			continue
		}
		s.going = append(s.going, going{Claimed: c, person: p, started: s.scope.now})
	}
	return moves
}

// reasonErased is why nobody is reached who was in the audience at planning.
const reasonErased = "erased"

// reserve takes a token for each delivery on a lane of tokens. Those whose
// token somebody else was faster to take go back and are decided again.
func (r *run) reserve(ctx context.Context, tx *db.Tx, s *step) ([]delivery.Move, error) {
	take := r.engine.Tokens.Reserve
	switch {
	case len(s.going) == 0:
		return nil, nil
	case r.batch.Lane == channel.Recurring:
		take = r.engine.Tokens.ReserveRecurring
	case r.batch.Lane != channel.OneTime:
		return nil, nil
	}
	claims := make([]token.Claim, len(s.going))
	for i, g := range s.going {
		claims[i] = token.Claim{Delivery: g.ID, TokenID: g.person.tokenFor(r.batch.Lane)}
	}
	values, err := take(ctx, tx, claims)
	if err != nil {
		return nil, err
	}
	var held []going
	var lost []delivery.Move
	for _, g := range s.going {
		value, ok := values[g.ID]
		if !ok {
			lost = append(lost, delivery.Move{Delivery: g.ID, Lane: r.batch.Lane, Attempts: g.Attempt - 1})
			continue
		}
		g.token = value
		held = append(held, g)
	}
	s.going = held
	return lost, nil
}

func (r *run) move(ctx context.Context, tx *db.Tx, moves []delivery.Move) error {
	if _, err := r.engine.Ledger.MoveTo(tx, moves); err != nil {
		return err
	}
	w := waiting{}
	for _, m := range moves {
		if m.Lane != "" && m.Lane != r.batch.Lane { // those that stay are still this batch's
			w.add(m.Lane, m.NotBefore, m.Delivery)
		}
	}
	return r.engine.addBatches(ctx, tx, r.batch.CampaignID, w)
}

var (
	errNoPage    = errors.New("the campaign's page is gone")
	errNoContact = errors.New("there is no such contact")
)

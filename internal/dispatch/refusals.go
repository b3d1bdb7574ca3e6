package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/route"
)

// refusals are those of a chunk who refused since it was claimed.
type refusals struct {
	mu     sync.Mutex
	people []uuid.UUID // of the chunk that is being handed over
	heard  map[uuid.UUID]bool
}

// follow looks after the people of another chunk; after none with nil.
func (r *refusals) follow(chunk []going) {
	people := make([]uuid.UUID, len(chunk))
	for i, g := range chunk {
		people[i] = g.Contact
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.people, r.heard = people, map[uuid.UUID]bool{}
}

func (r *refusals) followed() []uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.people
}

func (r *refusals) hear(who []uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range who {
		r.heard[id] = true
	}
}

func (r *refusals) of(who uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[who]
}

// silenced asks for each message of a chunk whether its person refused.
func (r *run) silenced(messages []channel.Message) func(int) bool {
	who := make(map[int64]uuid.UUID, len(r.going))
	for _, g := range r.going {
		who[g.ID] = g.Contact
	}
	return func(i int) bool { return r.refusals.of(who[messages[i].Delivery]) }
}

// listen hears who of the chunk refused by now. It compares no clocks, which may
// differ between nodes: it looks at the people themselves, by their keys.
func (r *run) listen(ctx context.Context) error {
	people := r.refusals.followed()
	if len(people) == 0 {
		return nil
	}
	who, err := r.engine.refused(ctx, r.batch.Lane, r.def.PageID, people)
	if err != nil {
		return err
	}
	r.refusals.hear(who)
	return nil
}

// refused finds who of some people must not be written to on a lane any more,
// those included who were erased.
func (e *Engine) refused(ctx context.Context, lane channel.Lane, page uuid.UUID, people []uuid.UUID) (out []uuid.UUID, err error) {
	q, v := e.db.Read(ctx), e.db.Values("v", db.UUIDs("id", people))
	switch kind := string(lane.Kind()); lane.Kind() {
	case channel.SMS:
		err = q.Raw(refusedAddresses("c.phone_hash", "c.sms_consent_status"), v, kind).Scan(&out).Error
	case channel.Email:
		err = q.Raw(refusedAddresses("c.email_hash", "c.email_consent_status"), v, kind).Scan(&out).Error
	default:
		err = q.Raw(`SELECT v.id FROM ? LEFT JOIN contacts c ON c.id = v.id LEFT JOIN stops s ON s.page_id = ? AND s.contact_id = v.id
			WHERE c.id IS NULL OR s.stopped`, v, page).Scan(&out).Error
	}
	if err != nil {
		return nil, fmt.Errorf("look for refusals: %w", err)
	}
	return out, nil
}

func refusedAddresses(hash, consent string) string {
	return `SELECT v.id FROM ? LEFT JOIN contacts c ON c.id = v.id
		WHERE c.id IS NULL OR ` + consent + ` <> 'subscribed' OR EXISTS (SELECT 1 FROM suppressions s WHERE s.channel = ? AND s.hash = ` + hash + `)`
}

// leaveOut decides again, at once, about those who refused after their chunk was
// claimed: nothing was tried, so it is as if they were claimed just now. It says
// who moved.
func (e *Engine) leaveOut(tx *db.Tx, def *campaign.Definition, s scope, fx *effects) (map[int64]bool, error) {
	if len(fx.unwanted) == 0 {
		return nil, nil //nolint:nilnil // nobody moved
	}
	ids := make([]uuid.UUID, len(fx.unwanted))
	for i, o := range fx.unwanted {
		ids[i] = o.contact
	}
	people, err := s.people(tx, ids)
	if err != nil {
		return nil, err
	}
	moves := make([]delivery.Move, len(fx.unwanted))
	for i, o := range fx.unwanted {
		p, found := people[o.contact]
		moves[i] = s.instead(def, o, p, found)
		if lane := moves[i].Lane; lane != "" && lane != o.Lane { // those that stay are still their batch's
			fx.onward.add(lane, moves[i].NotBefore, o.Delivery)
		}
	}
	return e.Ledger.MoveTo(tx, moves)
}

// instead is where somebody goes who was left out: to their next lane, or to none.
func (s scope) instead(def *campaign.Definition, o settled, p person, found bool) delivery.Move {
	m := delivery.Move{Delivery: o.Delivery, Attempts: o.N - 1}
	if !found {
		m.Reason = reasonErased
		return m
	}
	if def.Over(s.now) { // the batch ends with all that is left of it
		m.Lane = o.Lane
		return m
	}
	d := route.Decide(p.reach, def.Route[max(slices.Index(def.Route, o.Lane), 0):], s.now)
	m.Lane, m.Reason = d.Lane, string(d.Why())
	if d.Lane != "" {
		m.NotBefore = def.NotBefore(d.Lane, s.now, p.zone)
	}
	return m
}

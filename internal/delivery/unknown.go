package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// DefaultGrace is how long an unknown delivery is left to settle by itself,
// unless it is set otherwise.
const DefaultGrace = 24 * time.Hour

// ReasonGivenUp is why a delivery failed that a person gave up.
const ReasonGivenUp = "given_up"

// NotUnknown says that a delivery cannot be resolved: it is not unknown, or not
// any more.
func NotUnknown(state State) error {
	return fault.New(fault.Conflict, "wrong_state", "Only what is unknown can be resolved: this delivery is %s.", state)
}

// StillSettling says that a delivery may yet settle by itself.
func StillSettling(until time.Time) error {
	return fault.New(fault.Conflict, "still_settling", "What became of this delivery may yet become known by itself, until %s. "+
		"To resolve it before that, send force.", until.UTC().Format(time.RFC3339))
}

// ErrNoLane says that nothing is open for a person any more.
var ErrNoLane = fault.New(fault.Conflict, "no_lane_open", "There is no lane open to this person any more: it can only be given up.")

// Grace is how long an unknown delivery is left to settle by itself.
func (s *Store) Grace() time.Duration { return s.grace }

// WithGrace returns the ledger with another grace time.
func (s *Store) WithGrace(d time.Duration) *Store {
	out := *s
	out.grace = d
	return &out
}

// Doubt is a delivery of which nobody knows whether the provider took it.
type Doubt struct {
	ID        int64
	ContactID uuid.UUID
	Lane      channel.Lane
	SentAt    time.Time
}

// Unknowns returns the numbers of a campaign's unknown deliveries that were
// sent up to a moment, in order.
func (s *Store) Unknowns(ctx context.Context, campaign uuid.UUID, until time.Time) ([]int64, error) {
	var ids []int64
	err := s.db.Read(ctx).Raw("SELECT id FROM deliveries WHERE campaign_id = ? AND state = 'unknown' AND sent_at <= ? ORDER BY id", campaign, until).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("find unknown deliveries: %w", err)
	}
	return ids, nil
}

// Doubts locks and returns those of the given deliveries that are unknown.
func (s *Store) Doubts(tx *db.Tx, ids []int64) ([]Doubt, error) {
	var out []Doubt
	err := tx.Raw("SELECT id, contact_id, lane, sent_at FROM deliveries WHERE id IN (SELECT v.id FROM ?) AND state = 'unknown' ORDER BY id"+tx.ForUpdate(),
		tx.Values("v", db.Int64s("id", ids))).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("read unknown deliveries: %w", err)
	}
	return out, nil
}

// Again is an unknown delivery that a person has sent again.
type Again struct {
	Delivery  int64
	Lane      channel.Lane
	RouteFrom int
	NotBefore time.Time // held until then; zero is at once
}

// Resend lets unknown deliveries wait on the lanes given, and writes beside the tries in doubt that they were sent again. It returns how many it
// moved: those that are not unknown stay as they are. To be called in the
// transaction that read them with Doubts.
func (s *Store) Resend(tx *db.Tx, again []Again) (int, error) {
	if len(again) == 0 {
		return 0, nil
	}
	n := len(again)
	ids, lanes, from, at := make([]int64, n), make([]string, n), make([]int64, n), make([]time.Time, n)
	for i, a := range again {
		ids[i], lanes[i], from[i], at[i] = a.Delivery, string(a.Lane), int64(a.RouteFrom), a.NotBefore
	}
	err := tx.Exec(`UPDATE attempts SET resent_at = ? FROM ? JOIN deliveries d ON d.id = v.id AND d.state = 'unknown'
		WHERE attempts.delivery_id = d.id AND attempts.n = d.attempt`, s.now(), tx.Values("v", db.Int64s("id", ids))).Error
	if err != nil {
		return 0, fmt.Errorf("note tries that are sent again: %w", err)
	}
	res := tx.Exec(`UPDATE deliveries SET state = CASE WHEN v.not_before IS NULL THEN 'pending' ELSE 'held' END, lane = v.lane,
			route_from = v.route_from, provider_id = '', code = '', reason = '', not_before = v.not_before, accepted_at = NULL, delivered_at = NULL, read_at = NULL
		FROM ? WHERE deliveries.id = v.id AND deliveries.state = 'unknown'`,
		tx.Values("v", db.Int64s("id", ids), db.Texts("lane", lanes), db.Int64s("route_from", from), db.Times("not_before", at)))
	if res.Error != nil {
		return 0, fmt.Errorf("send deliveries again: %w", res.Error)
	}
	return int(res.RowsAffected), nil
}

// GiveUp ends unknown deliveries for good, and returns how many it ended.
func (s *Store) GiveUp(tx *db.Tx, ids []int64) (int, error) {
	res := tx.Exec("UPDATE deliveries SET state = 'failed', reason = ? FROM ? WHERE deliveries.id = v.id AND deliveries.state = 'unknown'",
		ReasonGivenUp, tx.Values("v", db.Int64s("id", ids)))
	if res.Error != nil {
		return 0, fmt.Errorf("give deliveries up: %w", res.Error)
	}
	return int(res.RowsAffected), nil
}

// lastResent are the newest of the tries in doubt that a person had sent again,
// for the deliveries and channels of v.
const lastResent = `JOIN attempts a ON a.delivery_id = v.id AND a.outcome = 'unknown' AND a.resent_at IS NOT NULL
		AND CASE a.lane WHEN 'sms' THEN 'sms' WHEN 'email' THEN 'email' ELSE 'messenger' END = v.channel
		AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.delivery_id = a.delivery_id AND b.n > a.n AND b.outcome = 'unknown')`

// CallOff heeds receipts that come after a person had an unknown delivery sent
// again, and before that was done: the message has arrived after all, so the
// delivery is accepted and not sent a second time. Only what cannot be taken
// back counts: that it arrived, was read, or stands in the conversation. To be
// called before Mark.
func (s *Store) CallOff(tx *db.Tx, receipts []Receipt) error {
	var ids []int64
	var kinds, providers []string
	seen := map[int64]bool{}
	for _, r := range receipts {
		proof := r.Kind == channel.EventDelivered || r.Kind == channel.EventRead || r.Kind == channel.EventEcho
		if proof && !seen[r.Delivery] {
			ids, kinds, providers = append(ids, r.Delivery), append(kinds, string(r.Channel)), append(providers, r.ProviderID)
			seen[r.Delivery] = true
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := tx.Exec(`UPDATE deliveries SET state = 'accepted', lane = w.lane, sent_at = w.started_at, provider_id = w.provider_id
		FROM (SELECT v.id, v.provider_id, a.lane, a.started_at FROM ? `+lastResent+`) AS w
		WHERE deliveries.id = w.id AND deliveries.state IN ('pending', 'held')`,
		tx.Values("v", db.Int64s("id", ids), db.Texts("channel", kinds), db.Texts("provider_id", providers))).Error
	if err != nil {
		return fmt.Errorf("call a second sending off: %w", err)
	}
	return nil
}

// standBy heeds proof that came while an unknown delivery was being sent again,
// and that cannot be about that try, because it was not taken: the first one
// was, so the delivery stands by it and goes nowhere else.
func standBy(tx *db.Tx, settlements []Settlement) error {
	var ids, ns []int64
	var kinds []string
	for _, t := range settlements {
		if t.N > 1 && t.Outcome != channel.Accepted && t.Outcome != channel.Unknown {
			ids, ns, kinds = append(ids, t.Delivery), append(ns, int64(t.N)), append(kinds, string(t.Lane.Kind()))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return tx.Exec(`UPDATE deliveries SET state = CASE WHEN deliveries.delivered_at IS NULL THEN 'accepted' ELSE 'delivered' END,
			lane = w.lane, attempt = w.n, sent_at = w.started_at
		FROM (SELECT v.id, v.n AS try, a.lane, a.n, a.started_at FROM ? `+lastResent+`) AS w
		WHERE deliveries.id = w.id AND CASE WHEN deliveries.state = 'sending' AND deliveries.attempt = w.try THEN deliveries.accepted_at IS NOT NULL ELSE FALSE END`,
		tx.Values("v", db.Int64s("id", ids), db.Int64s("n", ns), db.Texts("channel", kinds))).Error
}

// Former returns the provider's ids of the messages of earlier tries, by delivery.
func (s *Store) Former(tx *db.Tx, ids []int64) (map[int64]map[string]bool, error) {
	var found []struct {
		DeliveryID int64
		ProviderID string
	}
	err := tx.Raw(`SELECT a.delivery_id, a.provider_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
		WHERE a.delivery_id IN ? AND a.n < d.attempt AND a.provider_id <> ''`, ids).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("look for earlier tries: %w", err)
	}
	out := map[int64]map[string]bool{}
	for _, f := range found {
		if out[f.DeliveryID] == nil {
			out[f.DeliveryID] = map[string]bool{}
		}
		out[f.DeliveryID][f.ProviderID] = true
	}
	return out, nil
}

// Muddled returns those of the given deliveries of which two tries on the
// channel are in doubt, because a person had one sent again and its answer was
// lost as well: a word of failure may be about either.
func (s *Store) Muddled(tx *db.Tx, kind channel.Kind, ids []int64) (map[int64]bool, error) {
	var found []int64
	err := tx.Raw(`SELECT DISTINCT a.delivery_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
			JOIN attempts b ON b.delivery_id = d.id AND b.n = d.attempt AND b.outcome = 'unknown'
		WHERE a.delivery_id IN ? AND a.n < b.n AND a.outcome = 'unknown' AND a.resent_at IS NOT NULL
			AND CASE a.lane WHEN 'sms' THEN 'sms' WHEN 'email' THEN 'email' ELSE 'messenger' END = ?`, ids, kind).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("look for tries in doubt: %w", err)
	}
	out := make(map[int64]bool, len(found))
	for _, id := range found {
		out[id] = true
	}
	return out, nil
}

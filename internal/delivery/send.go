package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Claimed is a delivery that this job may send now.
type Claimed struct {
	ID        int64
	Contact   uuid.UUID
	RouteFrom int
	Attempt   int
}

// inBatch picks the rows of a batch by their numbers. The campaign is compared
// as text so that no planner takes the campaign's index, which holds all of it.
const inBatch = "id BETWEEN ? AND ? AND CAST(campaign_id AS text) = ?"

// due are the deliveries of a batch that may be tried: not before their time.
const due = "lane = ? AND state IN ('pending', 'held') AND (not_before IS NULL OR not_before <= ?)"

// Due counts the due deliveries of a batch.
func (s *Store) Due(tx *db.Tx, b Batch) (n int, err error) {
	err = tx.Raw("SELECT COUNT(*) FROM deliveries WHERE "+inBatch+" AND "+due, b.FirstID, b.LastID, b.CampaignID.String(), b.Lane, s.now()).Row().Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count what is due of a batch: %w", err)
	}
	return n, nil
}

// Claim takes at most so many due deliveries of a batch for a job: they are
// sending from here on, and that is the record of the attempt until its outcome
// is written. A delivery is claimed by one job only, however many ask.
func (s *Store) Claim(tx *db.Tx, b Batch, job int64, most int) ([]Claimed, error) {
	now := s.now()
	rows, err := tx.Raw(`UPDATE deliveries SET state = 'sending', attempt = attempt + 1, job_id = ?, sent_at = ?
		FROM (SELECT id AS due_id FROM deliveries WHERE `+inBatch+` AND `+due+` ORDER BY id LIMIT ?`+tx.ForUpdate()+`) AS d
		WHERE deliveries.id = d.due_id
		RETURNING deliveries.id, deliveries.contact_id, deliveries.route_from, deliveries.attempt`,
		job, now, b.FirstID, b.LastID, b.CampaignID.String(), b.Lane, now, most).Rows()
	if err != nil {
		return nil, fmt.Errorf("claim a batch: %w", err)
	}
	defer rows.Close()
	var out []Claimed
	for rows.Next() {
		var c Claimed
		if err := rows.Scan(&c.ID, &c.Contact, &c.RouteFrom, &c.Attempt); err != nil {
			return nil, fmt.Errorf("claim a batch: %w", err)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Claimed) int { return cmp.Compare(a.ID, b.ID) })
	return out, rows.Err()
}

// Abandoned returns the deliveries that an earlier run of the same job left in
// flight when its node died: whether the provider took them is not known.
func (s *Store) Abandoned(tx *db.Tx, b Batch, job int64) ([]Try, error) {
	var out []Try
	err := tx.Raw(`SELECT d.id AS delivery, d.attempt AS n, d.lane, COALESCE(t.id, r.id) AS token_id, d.sent_at AS started
		FROM (SELECT * FROM deliveries WHERE `+inBatch+` AND lane = ? AND state = 'sending' AND job_id = ?) AS d
		LEFT JOIN tokens t ON t.delivery_id = d.id AND t.status = 'reserved' LEFT JOIN recurring_tokens r ON r.held_by = d.id`,
		b.FirstID, b.LastID, b.CampaignID.String(), b.Lane, job).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("look for abandoned deliveries: %w", err)
	}
	return out, nil
}

// Move is a claimed delivery that is not sent after all: its best lane is
// another one now, or there is none, or it is not the time.
type Move struct {
	Delivery  int64
	Lane      channel.Lane // "" is unreachable
	Reason    string
	NotBefore time.Time // held until then; zero is at once
	Attempts  int       // tries that really were made
}

func (m Move) state() State {
	switch {
	case m.Lane != "" && m.NotBefore.IsZero():
		return Pending
	case m.Lane != "":
		return Held
	case m.Attempts == 0:
		return Unreachable
	}
	return Failed
}

// MoveTo puts claimed deliveries back, on the lanes given. The claim does not
// count as an attempt. Without a lane a delivery ends: unreachable when nothing
// was ever tried, else failed on the lane it stands on. It returns those that moved:
// not what was given up since, or is on its way by another try.
func (s *Store) MoveTo(tx *db.Tx, moves []Move) (map[int64]bool, error) {
	if len(moves) == 0 {
		return map[int64]bool{}, nil
	}
	n := len(moves)
	ids, tries, lanes, states, reasons, notBefore := make([]int64, n), make([]int64, n), make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, m := range moves {
		tries[i] = int64(m.Attempts + 1)
		ids[i], lanes[i], states[i], reasons[i], notBefore[i] = m.Delivery, string(m.Lane), string(m.state()), m.Reason, m.NotBefore
	}
	var moved []int64
	err := tx.Raw(`UPDATE deliveries SET state = v.state, reason = v.reason, not_before = v.not_before, attempt = attempt - 1,
			lane = CASE WHEN v.state = 'failed' THEN deliveries.lane ELSE v.lane END
		FROM ? WHERE deliveries.id = v.id AND deliveries.id BETWEEN ? AND ? AND deliveries.attempt = v.n AND CASE deliveries.state WHEN 'sending' THEN TRUE ELSE FALSE END
		RETURNING deliveries.id`,
		tx.Values("v", db.Int64s("id", ids), db.Int64s("n", tries), db.Texts("lane", lanes), db.Texts("state", states), db.Texts("reason", reasons), db.Times("not_before", notBefore)),
		slices.Min(ids), slices.Max(ids)).Scan(&moved).Error
	if err != nil {
		return nil, fmt.Errorf("move deliveries: %w", err)
	}
	out := make(map[int64]bool, len(moved))
	for _, id := range moved {
		out[id] = true
	}
	return out, nil
}

// Try names one try of a delivery.
type Try struct {
	Delivery int64
	N        int
	Lane     channel.Lane
	TokenID  *uuid.UUID // that it holds
	Started  time.Time
}

// Settlement is what a try comes to in the ledger.
type Settlement struct {
	Try
	Outcome   channel.Outcome
	To        State        // Accepted, Unknown, Failed; Pending or Held to wait; Expired when it is too late to
	NextLane  channel.Lane // to wait: the lane it waits on
	RouteFrom int          // to wait: the first lane of the route that is left
	NotBefore time.Time    // to wait
	Result    channel.Result
	Reason    string // with Failed
	// Made says that the message had been taken and did not arrive: even when it
	// waits on the same lane again, that was a try.
	Made bool
}

// Settle writes outcomes: each delivery that is still where the try left it
// moves on, and the try enters the history. A receipt that came before the
// answer counts: what is known to have been taken is not unknown, and what is
// known to have arrived is delivered. It returns the deliveries that moved.
func (s *Store) Settle(tx *db.Tx, settlements []Settlement) (moved map[int64]bool, err error) {
	if len(settlements) == 0 {
		return map[int64]bool{}, nil
	}
	if err := standBy(tx, settlements); err != nil {
		return nil, fmt.Errorf("stand by a first try: %w", err)
	}
	now := s.now()
	if moved, err = s.settleRows(tx, settlements, now); err != nil {
		return nil, fmt.Errorf("settle deliveries: %w", err)
	}
	if err := writeAttempts(tx, settlements, moved, now); err != nil {
		return nil, fmt.Errorf("write attempts: %w", err)
	}
	return moved, nil
}

// writeAttempts enters tries that did not end well into the history; one that
// was unknown is corrected. A try that was taken needs no row of its own: the
// delivery is its record. One that was not taken is no try.
func writeAttempts(tx *db.Tx, settlements []Settlement, moved map[int64]bool, now time.Time) error {
	var ids, ns []int64
	var lanes, outcomes, providers, codes, details []string
	var started []time.Time
	for _, t := range settlements {
		switch {
		case !moved[t.Delivery], t.Outcome == channel.Accepted:
			continue
		case !t.Made && (t.Outcome == channel.TryLater || t.Outcome == channel.StopTheLine):
			continue
		}
		ids, ns, lanes, outcomes = append(ids, t.Delivery), append(ns, int64(t.N)), append(lanes, string(t.Lane)), append(outcomes, string(t.Outcome))
		providers, codes, details = append(providers, t.Result.ProviderID), append(codes, t.Result.Code), append(details, t.Result.Detail)
		started = append(started, t.Started)
	}
	if len(ids) == 0 {
		return nil
	}
	return tx.Exec(`INSERT INTO attempts (delivery_id, n, lane, outcome, provider_id, code, detail, started_at, finished_at)
		SELECT v.id, v.n, v.lane, v.outcome, v.provider_id, v.code, v.detail, v.started_at, CAST(? AS `+tx.TimeType()+`) FROM ? WHERE TRUE
		ON CONFLICT (delivery_id, n) DO UPDATE SET outcome = EXCLUDED.outcome, code = EXCLUDED.code, detail = EXCLUDED.detail,
			provider_id = CASE WHEN EXCLUDED.provider_id = '' THEN attempts.provider_id ELSE EXCLUDED.provider_id END`,
		now, tx.Values("v", db.Int64s("id", ids), db.Int64s("n", ns), db.Texts("lane", lanes), db.Texts("outcome", outcomes),
			db.Texts("provider_id", providers), db.Texts("code", codes), db.Texts("detail", details), db.Times("started_at", started))).Error
}

func (s *Store) settleRows(tx *db.Tx, settlements []Settlement, now time.Time) (map[int64]bool, error) {
	settlements = inOrder(settlements, func(t Settlement) int64 { return t.Delivery })
	n := len(settlements)
	ids, tries, from, made := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	states, lanes, provider, code, reason := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	notBefore, accepted := make([]time.Time, n), make([]time.Time, n)
	for i, t := range settlements {
		ids[i], tries[i], from[i] = t.Delivery, int64(t.N), int64(t.RouteFrom)
		states[i], lanes[i], notBefore[i] = string(t.To), string(t.NextLane), t.NotBefore
		provider[i], code[i], reason[i] = t.Result.ProviderID, t.Result.Code, t.Reason
		if t.To == Accepted {
			accepted[i] = now
		}
		if t.Made {
			made[i] = 1
		}
	}
	rows, err := tx.Raw(settleSQL, tx.Values("v", db.Int64s("id", ids), db.Int64s("n", tries), db.Int64s("route_from", from), db.Int64s("made", made),
		db.Texts("state", states), db.Texts("lane", lanes), db.Texts("provider_id", provider), db.Texts("code", code), db.Texts("reason", reason),
		db.Times("not_before", notBefore), db.Times("accepted_at", accepted)), slices.Min(ids), slices.Max(ids)).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	moved := make(map[int64]bool, n)
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		moved[id] = true
	}
	return moved, rows.Err()
}

// The state is tested in a CASE because a planner that expects to find next to
// nothing in state sending would compare everything with everything.
//
// A try that was not taken does not count: attempt goes back by one when the
// delivery waits on the same lane again. Not even that is done to one that was
// given up as unknown meanwhile: its token is spent and its batch may be closed.
// One that is known to have been taken, and to have failed, was made.
const settleSQL = `UPDATE deliveries SET
	state = CASE WHEN v.state = 'unknown' AND deliveries.accepted_at IS NULL THEN 'unknown'
		WHEN v.state IN ('accepted', 'unknown') AND deliveries.delivered_at IS NOT NULL THEN 'delivered'
		WHEN v.state = 'unknown' THEN 'accepted' ELSE v.state END,
	attempt = CASE WHEN v.state IN ('pending', 'held') AND v.lane = deliveries.lane AND v.made = 0 THEN deliveries.attempt - 1 ELSE deliveries.attempt END,
	lane = CASE WHEN v.state IN ('pending', 'held') THEN v.lane ELSE deliveries.lane END,
	route_from = CASE WHEN v.state IN ('pending', 'held') THEN v.route_from ELSE deliveries.route_from END,
	provider_id = CASE WHEN v.state IN ('pending', 'held') THEN '' WHEN v.provider_id <> '' THEN v.provider_id ELSE deliveries.provider_id END,
	code = v.code, reason = v.reason, not_before = v.not_before,
	accepted_at = CASE WHEN v.state IN ('pending', 'held') THEN NULL ELSE COALESCE(deliveries.accepted_at, v.accepted_at) END,
	delivered_at = CASE WHEN v.state IN ('pending', 'held') THEN NULL ELSE deliveries.delivered_at END,
	read_at = CASE WHEN v.state IN ('pending', 'held') THEN NULL ELSE deliveries.read_at END
	FROM ? WHERE deliveries.id = v.id AND deliveries.id BETWEEN ? AND ? AND deliveries.attempt = v.n
		AND CASE deliveries.state WHEN 'sending' THEN TRUE WHEN 'unknown' THEN v.state <> 'unknown' AND NOT (v.state IN ('pending', 'held') AND v.lane = deliveries.lane AND v.made = 0)
			WHEN 'accepted' THEN v.state IN ('pending', 'held', 'expired', 'failed') ELSE FALSE END
	RETURNING deliveries.id`

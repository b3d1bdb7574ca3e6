package delivery

import (
	"fmt"
	"strings"
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Lookups is how often the provider is asked for an unknown try. The index
// attempts_sought says the same number.
const Lookups = 3

// lookAfter is how long after a try the provider is asked for it: a message
// shows soon, unless it had to wait there.
func lookAfter() [Lookups]time.Duration {
	return [Lookups]time.Duration{2 * time.Minute, 15 * time.Minute, 2 * time.Hour}
}

const (
	// lookAgain is how long a look-up may go on before somebody else makes it,
	// and how long one that brought no answer is not made again.
	lookAgain = 5 * time.Minute
	// lookWithin is how old a try is after which a look-up without an answer
	// counts as one.
	lookWithin = 24 * time.Hour
)

// Hunt is an unknown try that the provider is to be asked for.
type Hunt struct {
	Try
	To    string // where the contact is reached now; "" when there is nobody and nothing to ask for
	Looks int
}

// Hunts takes the tries on a channel's lane whose look-up is due, the oldest
// first and at most so many. They are this caller's for some minutes.
func (s *Store) Hunts(tx *db.Tx, lane channel.Lane, most int) ([]Hunt, error) {
	now := s.now()
	var due []string
	args := []any{now, lane, now.Add(-lookAgain)}
	for n, after := range lookAfter() {
		due = append(due, "looks = ? AND started_at <= ?")
		args = append(args, n, now.Add(-after))
	}
	var rows []hunted
	err := tx.Raw(`UPDATE attempts SET looked_at = ? FROM (SELECT delivery_id, n FROM attempts
			WHERE outcome = 'unknown' AND looks < 3 AND lane = ? AND (looked_at IS NULL OR looked_at <= ?) AND (`+strings.Join(due, " OR ")+`)
			ORDER BY started_at LIMIT ?`+tx.SkipLocked()+`) AS w
		WHERE attempts.delivery_id = w.delivery_id AND attempts.n = w.n
		RETURNING attempts.delivery_id AS delivery, attempts.n, attempts.lane, attempts.started_at, attempts.looks`, append(args, most)...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find tries to look up: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return s.hunts(tx, rows)
}

// hunted is a try as the history has it.
type hunted struct {
	Delivery  int64
	N         int
	Lane      channel.Lane
	StartedAt time.Time
	Looks     int
}

// hunts finds out where those went that are still unknown.
func (s *Store) hunts(tx *db.Tx, rows []hunted) ([]Hunt, error) {
	ids, ns := make([]int64, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		ids[i], ns[i] = r.Delivery, int64(r.N)
	}
	var reached []struct {
		ID int64
		To string
	}
	err := tx.Raw(`SELECT d.id, CASE WHEN d.lane = 'email' THEN c.email ELSE c.phone END AS "to" FROM ?
		JOIN deliveries d ON d.id = v.id AND d.attempt = v.n AND d.state = 'unknown' JOIN contacts c ON c.id = d.contact_id
		WHERE CASE WHEN d.lane = 'email' THEN c.email ELSE c.phone END IS NOT NULL`,
		tx.Values("v", db.Int64s("id", ids), db.Int64s("n", ns))).Scan(&reached).Error
	if err != nil {
		return nil, fmt.Errorf("find where tries went: %w", err)
	}
	to := make(map[int64]string, len(reached))
	for _, r := range reached {
		to[r.ID] = r.To
	}
	out := make([]Hunt, len(rows))
	for i, r := range rows {
		out[i] = Hunt{Try: Try{Delivery: r.Delivery, N: r.N, Lane: r.Lane, Started: r.StartedAt}, To: to[r.Delivery], Looks: r.Looks}
	}
	return out, nil
}

// Looked writes down look-ups that were made. One without an answer is made
// again, unless the try is old; where there was nothing to ask for there are
// no more.
func (s *Store) Looked(tx *db.Tx, hunts []Hunt, answered func(Hunt) bool) error {
	var ids, ns, looks []int64
	for _, h := range hunts {
		n := int64(h.Looks)
		switch {
		case h.To == "":
			n = Lookups
		case answered(h) || s.now().Sub(h.Started) > lookWithin:
			n++
		}
		ids, ns, looks = append(ids, h.Delivery), append(ns, int64(h.N)), append(looks, n)
	}
	if len(ids) == 0 {
		return nil
	}
	// One that was answered waits for its next moment, not for a lease.
	err := tx.Exec(`UPDATE attempts SET looks = v.looks, looked_at = CASE WHEN v.looks > attempts.looks THEN NULL ELSE attempts.looked_at END
		FROM ? WHERE attempts.delivery_id = v.id AND attempts.n = v.n AND attempts.outcome = 'unknown'`,
		tx.Values("v", db.Int64s("id", ids), db.Int64s("n", ns), db.Int64s("looks", looks))).Error
	if err != nil {
		return fmt.Errorf("note look-ups: %w", err)
	}
	return nil
}

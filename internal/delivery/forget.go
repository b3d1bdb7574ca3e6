package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/queue"
)

// tendJob makes room in the ledger and gives up the deliveries of old campaigns.
type tendJob struct{}

// Kind names the job.
func (tendJob) Kind() string { return "delivery.tend" }

// tendFor is how long one run works; the next one goes on.
const tendFor = 20 * time.Second

// Register lets the ledger look after itself on a queue: it makes room ahead,
// forgets what nothing can be a reply to, and gives up the deliveries of campaigns that ended longer than keep ago. 0
// keeps them for ever.
func (s *Store) Register(q *queue.Queue, keep time.Duration) {
	queue.Keep(q, time.Hour, tendJob{}, func(ctx context.Context) error {
		now := s.now()
		if err := s.ForgetReplies(ctx, now.Add(-ReplyWithin)); err != nil {
			return err
		}
		if err := s.Grow(ctx); err != nil || keep <= 0 {
			return err
		}
		done, err := s.Forget(ctx, now.Add(-keep), now.Add(tendFor))
		if err == nil && !done {
			return queue.Later(time.Second)
		}
		return err
	})
}

// Grow makes room in the ledger ahead of time, where it is kept in leaves. Write
// makes what is missing; here nobody waits for it.
func (s *Store) Grow(ctx context.Context) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		var next int64
		if err := tx.Raw("SELECT next FROM counters WHERE name = 'delivery'").Row().Scan(&next); err != nil {
			return fmt.Errorf("read the next number: %w", err)
		}
		return tx.GrowLedger(next, next+s.leaf/2, s.leaf)
	})
}

// over are campaigns that nothing can come of any more. One and its escalation
// are over together: the report of the one counts the deliveries of both.
const over = `(c.state IN ('finished', 'cancelled') AND c.finished_at < ? AND NOT EXISTS (SELECT 1 FROM campaigns o
	WHERE (o.id = c.escalation_of OR o.escalation_of = c.id) AND NOT (o.state IN ('finished', 'cancelled') AND o.finished_at < ?)))`

// Forget gives up the deliveries and attempts of campaigns that ended before
// the given moment, and keeps the last report of each with the campaign. Where
// the ledger is kept in leaves it drops those in which nobody else stands; rows
// go one by one, in bounded steps, only from the leaf that is still filling. It
// stops at until; false says that there is more to do.
func (s *Store) Forget(ctx context.Context, before, until time.Time) (done bool, err error) {
	filling, err := s.dropLeaves(ctx, before)
	if err != nil {
		return false, err
	}
	var old []uuid.UUID
	err = s.db.Read(ctx).Raw(`SELECT c.id FROM campaigns c WHERE `+over+` AND EXISTS
		(SELECT 1 FROM deliveries d WHERE d.campaign_id = c.id AND d.id >= ?) ORDER BY c.id`, before, before, filling).Scan(&old).Error
	if err != nil {
		return false, fmt.Errorf("look for old campaigns: %w", err)
	}
	for _, id := range old {
		if err := s.keepReports(ctx, id); err != nil {
			return false, err
		}
		for more := true; more; {
			if s.now().After(until) {
				return false, nil
			}
			if more, err = s.deleteSome(ctx, id, filling); err != nil {
				return false, err
			}
		}
	}
	return true, s.deleteBatches(ctx, old)
}

// dropLeaves drops what can be dropped and returns the first number of the leaf
// that is still filling; 0 where the ledger is one piece.
func (s *Store) dropLeaves(ctx context.Context, before time.Time) (filling int64, err error) {
	leaves, err := s.db.Leaves(ctx, "deliveries", "attempts")
	if err != nil {
		return 0, err
	}
	byLow := map[int64][]db.Leaf{}
	for _, l := range leaves {
		low, err := strconv.ParseInt(l.Low, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the bounds of %s: %w", l.Leaf, err)
		}
		byLow[low] = append(byLow[low], l)
	}
	if filling, err = s.filling(ctx, byLow); err != nil {
		return 0, err
	}
	for low, pair := range byLow {
		if low >= filling {
			continue
		}
		if err := s.dropLeaf(ctx, pair, before); err != nil {
			return 0, err
		}
	}
	return filling, nil
}

// filling is the first number of the leaf from which the last number was taken.
func (s *Store) filling(ctx context.Context, byLow map[int64][]db.Leaf) (filling int64, err error) {
	if len(byLow) == 0 {
		return 0, nil
	}
	var next int64
	if err := s.db.Read(ctx).Raw("SELECT next FROM counters WHERE name = 'delivery'").Row().Scan(&next); err != nil {
		return 0, fmt.Errorf("read the next number: %w", err)
	}
	for low := range byLow {
		if low < next {
			filling = max(filling, low)
		}
	}
	return filling, nil
}

// dropLeaf drops a leaf and its attempts if all campaigns in it ended before
// the given moment. Nothing can be written to it meanwhile: a plan holds the
// counter until it commits, so whoever sees a number beyond the leaf sees all
// that was written to the leaf.
func (s *Store) dropLeaf(ctx context.Context, pair []db.Leaf, before time.Time) error {
	// Deliveries first, as in every settlement, or each would wait for the other.
	slices.SortFunc(pair, func(a, b db.Leaf) int { return strings.Compare(b.Parent, a.Parent) })
	campaigns, past, err := s.inLeaf(ctx, pair[0].Leaf, before)
	if err != nil || !past {
		return err
	}
	for _, id := range campaigns {
		if err := s.keepReports(ctx, id); err != nil {
			return err
		}
	}
	dropped, err := s.db.DropLeaves(ctx, pair...)
	if err != nil || !dropped {
		return err
	}
	return s.deleteBatches(ctx, campaigns)
}

// inLeaf lists the campaigns that have deliveries in a leaf, and says whether
// all of them ended before the given moment. It goes from one campaign to the
// next by index, whatever number of deliveries lies between.
func (s *Store) inLeaf(ctx context.Context, leaf string, before time.Time) (campaigns []uuid.UUID, past bool, err error) {
	var rows []struct {
		ID   uuid.UUID
		Past bool
	}
	err = s.db.Read(ctx).Raw(`WITH RECURSIVE hop (id) AS (
			(SELECT campaign_id FROM `+leaf+` ORDER BY campaign_id LIMIT 1)
			UNION ALL SELECT (SELECT d.campaign_id FROM `+leaf+` d WHERE d.campaign_id > hop.id ORDER BY d.campaign_id LIMIT 1) FROM hop WHERE hop.id IS NOT NULL)
		SELECT hop.id, `+over+` AS past FROM hop JOIN campaigns c ON c.id = hop.id`, before, before).Scan(&rows).Error
	if err != nil {
		return nil, false, fmt.Errorf("list the campaigns of %s: %w", leaf, err)
	}
	past = true
	for _, r := range rows {
		campaigns, past = append(campaigns, r.ID), past && r.Past
	}
	return campaigns, past, nil
}

// keepReports writes the last reports of a campaign and of those that are over
// together with it.
func (s *Store) keepReports(ctx context.Context, id uuid.UUID) error {
	var together []uuid.UUID
	err := s.db.Read(ctx).Raw("SELECT id FROM campaigns WHERE id = ? OR escalation_of = ? OR id = (SELECT escalation_of FROM campaigns WHERE id = ?)", id, id, id).
		Scan(&together).Error
	if err != nil {
		return fmt.Errorf("look for an escalation: %w", err)
	}
	for _, one := range together {
		if err := s.keepReport(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// keepReport writes a campaign's last report into its row, once.
func (s *Store) keepReport(ctx context.Context, id uuid.UUID) error {
	_, kept, err := s.keptReport(ctx, id)
	if err != nil || kept {
		return err
	}
	r, err := s.count(ctx, id)
	if err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE campaigns SET report = ? WHERE id = ? AND report IS NULL", string(text), id).Error
	})
	if err != nil {
		return fmt.Errorf("keep a report: %w", err)
	}
	return nil
}

// keptReport is the last report of a campaign whose deliveries are given up.
func (s *Store) keptReport(ctx context.Context, id uuid.UUID) (r Report, kept bool, err error) {
	var texts []string
	err = s.db.Read(ctx).Raw("SELECT report FROM campaigns WHERE id = ? AND report IS NOT NULL", id).Scan(&texts).Error
	if err == nil && len(texts) == 1 {
		kept, err = true, json.Unmarshal([]byte(texts[0]), &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read a kept report: %w", err)
	}
	return r, kept, nil
}

// deleteAtOnce is how many deliveries one step deletes.
const deleteAtOnce = 1000

// deleteSome deletes some of a campaign's deliveries from a number on, with
// their attempts, and says whether there may be more.
func (s *Store) deleteSome(ctx context.Context, campaign uuid.UUID, from int64) (more bool, err error) {
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		var ids []int64
		err := tx.Raw("SELECT id FROM deliveries WHERE campaign_id = ? AND id >= ? LIMIT ?", campaign, from, deleteAtOnce).Scan(&ids).Error
		if err != nil || len(ids) == 0 {
			more = false
			return err
		}
		more = len(ids) == deleteAtOnce
		first, last, these := slices.Min(ids), slices.Max(ids), tx.Values("v", db.Int64s("id", ids))
		err = tx.Exec("DELETE FROM attempts WHERE delivery_id BETWEEN ? AND ? AND delivery_id IN (SELECT v.id FROM ?)", first, last, these).Error
		if err != nil {
			return err
		}
		return tx.Exec("DELETE FROM deliveries WHERE id BETWEEN ? AND ? AND id IN (SELECT v.id FROM ?)", first, last, these).Error
	})
	if err != nil {
		return false, fmt.Errorf("delete old deliveries: %w", err)
	}
	return more, nil
}

func (s *Store) deleteBatches(ctx context.Context, campaigns []uuid.UUID) error {
	if len(campaigns) == 0 {
		return nil
	}
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("DELETE FROM batches WHERE campaign_id IN (SELECT v.id FROM ?)", tx.Values("v", db.UUIDs("id", campaigns))).Error
	})
	if err != nil {
		return fmt.Errorf("delete old batches: %w", err)
	}
	return nil
}

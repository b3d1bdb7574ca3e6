package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Place is a new delivery: what planning decided for one contact.
type Place struct {
	Contact   uuid.UUID
	Lane      channel.Lane // "" is unreachable
	RouteFrom int          // lanes of the route before this one are used up
	Reason    string       // why unreachable
	NotBefore time.Time    // held until then; zero is at once
	Expired   bool         // the deadline has passed
}

func (p *Place) state() State {
	switch {
	case p.Lane == "":
		return Unreachable
	case p.Expired:
		return Expired
	case !p.NotBefore.IsZero():
		return Held
	}
	return Pending
}

// Write enters places into the ledger under consecutive numbers, in the order
// given, and returns the first.
func (s *Store) Write(tx *db.Tx, campaign uuid.UUID, places []Place) (first int64, err error) {
	if first, err = s.number(tx, campaign, len(places)); err != nil {
		return 0, fmt.Errorf("number deliveries: %w", err)
	}
	columns := []string{"id", "campaign_id", "contact_id", "lane", "route_from", "state", "reason", "not_before", "created_at"}
	now, rows, width := s.now(), make([][]any, len(places)), len(columns)
	cells := make([]any, width*len(places))
	for i := range places {
		p, row := &places[i], cells[width*i:width*(i+1)]
		row[0], row[1], row[2], row[3] = first+int64(i), campaign.String(), p.Contact.String(), string(p.Lane)
		row[4], row[5], row[6], row[8] = p.RouteFrom, string(p.state()), p.Reason, now
		if !p.NotBefore.IsZero() {
			row[7] = p.NotBefore
		}
		rows[i] = row
	}
	if err := tx.Copy("deliveries", columns, rows); err != nil {
		return 0, fmt.Errorf("write deliveries: %w", err)
	}
	return first, nil
}

// Placed returns those of the contacts that have a place in a campaign.
func (s *Store) Placed(q *gorm.DB, campaign uuid.UUID, contacts []uuid.UUID) (map[uuid.UUID]bool, error) {
	var found []uuid.UUID
	err := q.Raw("SELECT contact_id FROM deliveries WHERE campaign_id = ? AND contact_id IN (SELECT v.id FROM ?)",
		campaign, s.db.Values("v", db.UUIDs("id", contacts))).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("find places of contacts: %w", err)
	}
	out := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		out[id] = true
	}
	return out, nil
}

// number hands a campaign its next n numbers, with room for their deliveries,
// and returns the first. The counter stays this transaction's until it ends.
func (s *Store) number(tx *db.Tx, campaign uuid.UUID, n int) (first int64, err error) {
	var past int64
	if err := tx.Raw("UPDATE counters SET next = next + ? WHERE name = 'delivery' RETURNING next", n).Row().Scan(&past); err != nil {
		return 0, err
	}
	first = past - int64(n)
	if err := tx.GrowLedger(first, past, s.leaf); err != nil {
		return 0, err
	}
	return first, tx.Exec("INSERT INTO delivery_blocks (first_id, past_id, campaign_id) VALUES (?, ?, ?)", first, past, campaign).Error
}

// Batch is the work of one job: the deliveries of one lane in a range of
// numbers, or, without a lane, the silence of all of them.
type Batch struct {
	ID         uuid.UUID
	CampaignID uuid.UUID
	Lane       channel.Lane
	FirstID    int64
	LastID     int64
	FinishedAt *time.Time
	CreatedAt  time.Time
}

// Size is how many numbers the batch's range holds, of any lane.
func (b Batch) Size() int { return int(b.LastID-b.FirstID) + 1 }

// AddBatches stores batches, which get their ids here.
func (s *Store) AddBatches(tx *db.Tx, batches []Batch) error {
	now, rows := s.now(), make([][]any, len(batches))
	for i := range batches {
		b := &batches[i]
		b.ID, b.CreatedAt = uuid.Must(uuid.NewV7()), now
		rows[i] = []any{b.ID.String(), b.CampaignID.String(), string(b.Lane), b.FirstID, b.LastID, now}
	}
	if err := tx.Copy("batches", []string{"id", "campaign_id", "lane", "first_id", "last_id", "created_at"}, rows); err != nil {
		return fmt.Errorf("write batches: %w", err)
	}
	return nil
}

// Left says what of a batch still waits, or is still on its way by the job: how
// many deliveries, how many of them are on their way, and when the first may be
// tried.
func (s *Store) Left(tx *db.Tx, b Batch, job int64) (n, sending int, at time.Time, err error) {
	var first *time.Time
	err = tx.Raw(`SELECT COUNT(*), COUNT(CASE WHEN state = 'sending' THEN 1 END), MIN(COALESCE(not_before, created_at)) FROM deliveries
		WHERE `+inBatch+` AND lane = ? AND (state IN ('pending', 'held') OR state = 'sending' AND job_id = ?)`,
		b.FirstID, b.LastID, b.CampaignID.String(), b.Lane, job).Row().Scan(&n, &sending, &first)
	if err != nil {
		return 0, 0, at, fmt.Errorf("count what is left of a batch: %w", err)
	}
	if first != nil {
		at = *first
	}
	return n, sending, at, nil
}

// EndBatch ends what of a batch still waits, as Cancelled or Expired.
func (s *Store) EndBatch(tx *db.Tx, b Batch, as State) error {
	err := tx.Exec(`UPDATE deliveries SET state = ? WHERE `+inBatch+` AND lane = ? AND state IN ('pending', 'held')`,
		as, b.FirstID, b.LastID, b.CampaignID.String(), b.Lane).Error
	if err != nil {
		return fmt.Errorf("end a batch: %w", err)
	}
	return nil
}

// HoldBatch holds what of a batch waits, for a reason that ends some time.
func (s *Store) HoldBatch(tx *db.Tx, b Batch, reason string) error {
	err := tx.Exec(`UPDATE deliveries SET state = 'held', reason = ? WHERE `+inBatch+` AND `+due+` AND NOT (state = 'held' AND reason = ?)`,
		reason, b.FirstID, b.LastID, b.CampaignID.String(), b.Lane, s.now(), reason).Error
	if err != nil {
		return fmt.Errorf("hold a batch: %w", err)
	}
	return nil
}

// FinishBatch marks a batch as worked off.
func (s *Store) FinishBatch(tx *db.Tx, id uuid.UUID) error {
	if err := tx.Exec("UPDATE batches SET finished_at = ? WHERE id = ?", s.now(), id).Error; err != nil {
		return fmt.Errorf("finish a batch: %w", err)
	}
	return nil
}

// Batch returns a batch; its FinishedAt tells whether it is worked off.
func (s *Store) Batch(ctx context.Context, id uuid.UUID) (Batch, error) {
	var b Batch
	if err := s.db.Read(ctx).Where("id = ?", id).Take(&b).Error; err != nil {
		return b, fmt.Errorf("read a batch: %w", err)
	}
	return b, nil
}

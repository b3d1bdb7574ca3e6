package delivery

import (
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// endAtOnce is how many batches End works on in one transaction.
const endAtOnce = 100

// ofBatch joins deliveries to the batch they are in. The campaign is compared
// as text for the same reason as in inBatch.
const ofBatch = `deliveries.id BETWEEN b.first_id AND b.last_id AND deliveries.lane = b.lane AND CAST(deliveries.campaign_id AS text) = CAST(b.campaign_id AS text)`

// End gives up what still waits in the next open batches of a campaign, those
// after the given id, as Expired or Cancelled, and finishes the batches of which
// nothing is in flight. It returns the last batch looked at, or uuid.Nil when
// there was none.
func (s *Store) End(tx *db.Tx, campaign, after uuid.UUID, as State) (last uuid.UUID, err error) {
	var ids []uuid.UUID
	err = tx.Raw("SELECT id FROM batches WHERE campaign_id = ? AND finished_at IS NULL AND id > ? ORDER BY id LIMIT ?", campaign, after, endAtOnce).Scan(&ids).Error
	if err != nil {
		return last, fmt.Errorf("find open batches: %w", err)
	}
	if len(ids) == 0 {
		return last, nil
	}
	err = tx.Exec(`UPDATE deliveries SET state = ?, not_before = NULL FROM batches b
		WHERE b.id IN ? AND `+ofBatch+` AND deliveries.state IN ('pending', 'held')`, as, ids).Error
	if err != nil {
		return last, fmt.Errorf("end deliveries: %w", err)
	}
	err = tx.Exec(`UPDATE batches AS b SET finished_at = ? WHERE b.id IN ? AND b.finished_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM deliveries WHERE `+ofBatch+` AND deliveries.state IN ('pending', 'held', 'sending'))`, s.now(), ids).Error
	if err != nil {
		return last, fmt.Errorf("finish ended batches: %w", err)
	}
	return ids[len(ids)-1], nil
}

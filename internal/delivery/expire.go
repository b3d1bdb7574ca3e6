package delivery

import (
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// expireAtOnce is how many batches Expire works on in one transaction.
const expireAtOnce = 100

// ofBatch joins deliveries to the batch they are in. The campaign is compared
// as text for the same reason as in inBatch.
const ofBatch = `deliveries.id BETWEEN b.first_id AND b.last_id AND deliveries.lane = b.lane AND CAST(deliveries.campaign_id AS text) = CAST(b.campaign_id AS text)`

// Expire gives up what still waits in the next open batches of a campaign, those
// after the given id, and finishes the batches of which nothing is in flight. It
// returns the last batch looked at, or uuid.Nil when there was none.
func (s *Store) Expire(tx *db.Tx, campaign, after uuid.UUID) (last uuid.UUID, err error) {
	var ids []uuid.UUID
	err = tx.Raw("SELECT id FROM batches WHERE campaign_id = ? AND finished_at IS NULL AND id > ? ORDER BY id LIMIT ?", campaign, after, expireAtOnce).Scan(&ids).Error
	if err != nil {
		return last, fmt.Errorf("find open batches: %w", err)
	}
	if len(ids) == 0 {
		return last, nil
	}
	err = tx.Exec(`UPDATE deliveries SET state = 'expired', not_before = NULL FROM batches b
		WHERE b.id IN ? AND `+ofBatch+` AND deliveries.state IN ('pending', 'held')`, ids).Error
	if err != nil {
		return last, fmt.Errorf("expire deliveries: %w", err)
	}
	err = tx.Exec(`UPDATE batches AS b SET finished_at = ? WHERE b.id IN ? AND b.finished_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM deliveries WHERE `+ofBatch+` AND deliveries.state IN ('pending', 'held', 'sending'))`, s.now(), ids).Error
	if err != nil {
		return last, fmt.Errorf("finish expired batches: %w", err)
	}
	return ids[len(ids)-1], nil
}

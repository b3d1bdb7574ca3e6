package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Silent is a Messenger delivery whose person neither came back nor replied.
type Silent struct {
	ID        int64
	ContactID uuid.UUID
	Lane      channel.Lane
}

// taken is when a delivery was taken by its provider, as far as is known.
const taken = "COALESCE(accepted_at, sent_at)"

const silent = "lane IN " + messengerLanes + ` AND state IN ('accepted', 'delivered')
	AND returned_at IS NULL AND replied_at IS NULL AND escalated_at IS NULL`

// SilentSince locks and returns the deliveries in the batch's range, of any
// lane, that Messenger had taken by then and that nothing came of since. Those
// that were escalated are not among them.
func (s *Store) SilentSince(tx *db.Tx, b Batch, then time.Time) ([]Silent, error) {
	var out []Silent
	err := tx.Raw("SELECT id, contact_id, lane FROM deliveries WHERE "+inBatch+" AND "+silent+" AND "+taken+" <= ? ORDER BY id"+tx.ForUpdate(),
		b.FirstID, b.LastID, b.CampaignID.String(), then).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("find silent deliveries: %w", err)
	}
	return out, nil
}

// Escalated marks deliveries whose people get one more message.
func (s *Store) Escalated(tx *db.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	err := tx.Exec("UPDATE deliveries SET escalated_at = ? FROM ? WHERE deliveries.id = v.id", s.now(), tx.Values("v", db.Int64s("id", ids))).Error
	if err != nil {
		return fmt.Errorf("mark escalated deliveries: %w", err)
	}
	return nil
}

// Silences says what of a batch's range may yet be silent.
type Silences struct {
	Waiting int        // not sent yet
	Doubts  int        // unknown, and may yet turn out to be taken
	First   *time.Time // when the first of those was taken that are silent, but not for long enough
}

// Silences counts what of a batch's range Messenger had not taken by then.
func (s *Store) Silences(tx *db.Tx, b Batch, then time.Time) (out Silences, err error) {
	err = tx.Raw(`SELECT COUNT(CASE WHEN state IN ('pending', 'held', 'sending') THEN 1 END),
			COUNT(CASE WHEN state = 'unknown' AND lane IN `+messengerLanes+` AND sent_at > ? THEN 1 END),
			MIN(CASE WHEN `+silent+` AND `+taken+` > ? THEN `+taken+` END)
		FROM deliveries WHERE `+inBatch,
		s.now().Add(-s.grace), then, b.FirstID, b.LastID, b.CampaignID.String()).Row().Scan(&out.Waiting, &out.Doubts, &out.First)
	if err != nil {
		return out, fmt.Errorf("count silences: %w", err)
	}
	return out, nil
}

// Open reports whether a campaign has batches that are not worked off.
func (s *Store) Open(tx *db.Tx, campaign uuid.UUID) (open bool, err error) {
	err = tx.Raw("SELECT EXISTS (SELECT 1 FROM batches WHERE campaign_id = ? AND finished_at IS NULL)", campaign).Row().Scan(&open)
	if err != nil {
		return false, fmt.Errorf("look for open batches: %w", err)
	}
	return open, nil
}

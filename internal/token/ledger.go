package token

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
)

// Claim is a delivery that wants a token.
type Claim struct {
	Delivery int64
	TokenID  uuid.UUID
}

// Reserve takes tokens for deliveries and returns the values of those that it
// got, by delivery. A delivery that is missing from the answer lost the race,
// or holds a token already: it gets one at most, also when it claims several.
// Once the transaction commits the value may go out, once, and Settle must
// follow.
func (s *Store) Reserve(ctx context.Context, tx *db.Tx, claims []Claim) (map[int64]string, error) {
	deliveries, tokens := firstClaims(claims)
	if len(deliveries) == 0 {
		return map[int64]string{}, nil
	}
	now := s.moment()
	var rows []struct {
		DeliveryID int64
		Value      []byte
	}
	// Rows are locked in one order, so that two campaigns that want the same
	// tokens wait for each other instead of standing in each other's way.
	err := tx.WithContext(ctx).Raw(`UPDATE tokens SET status = 'reserved', delivery_id = w.delivery, updated_at = ?
		FROM (SELECT t.id, v.delivery FROM ? JOIN tokens t ON t.id = v.token_id
			WHERE t.status = 'available' AND t.expires_at > ? ORDER BY t.id`+tx.ForUpdate()+`) AS w
		WHERE tokens.id = w.id AND tokens.status = 'available'
			AND NOT EXISTS (SELECT 1 FROM tokens held WHERE held.delivery_id = w.delivery AND held.status = 'reserved')
		RETURNING delivery_id, value`,
		now, tx.Values("v", db.Int64s("delivery", deliveries), db.UUIDs("token_id", tokens)), now).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reserve tokens: %w", err)
	}
	values := make(map[int64]string, len(rows))
	for _, r := range rows {
		value, err := s.box.Open(r.Value, sealedAs)
		if err != nil {
			return nil, fmt.Errorf("reserve tokens: %w", err)
		}
		values[r.DeliveryID] = value
	}
	return values, nil
}

// firstClaims drops all but the first claim of each delivery and on each
// token: one statement cannot tell them apart.
func firstClaims(claims []Claim) (deliveries []int64, tokens []uuid.UUID) {
	mine, taken := make(map[int64]bool, len(claims)), make(map[uuid.UUID]bool, len(claims))
	for _, c := range claims {
		if mine[c.Delivery] || taken[c.TokenID] {
			continue
		}
		mine[c.Delivery], taken[c.TokenID] = true, true
		deliveries, tokens = append(deliveries, c.Delivery), append(tokens, c.TokenID)
	}
	return deliveries, tokens
}

// Fate is what becomes of a token: Spent on acceptance and on an unknown
// outcome, Available when it was definitely not used, Void when it is refused.
type Fate struct {
	TokenID  uuid.UUID
	Delivery int64 // that reserved it; 0 only to void a token that nobody holds
	To       Status
}

// Settle applies fates and returns how many took effect. A fate counts only
// while its delivery still holds the token, so repeated and late ones change
// nothing; void also counts for a token that nobody holds. A token must not
// have two fates in one call.
func (s *Store) Settle(ctx context.Context, tx *db.Tx, fates []Fate) (int, error) {
	if len(fates) == 0 {
		return 0, nil
	}
	ids, deliveries, to := make([]uuid.UUID, len(fates)), make([]int64, len(fates)), make([]string, len(fates))
	for i, f := range fates {
		if !f.possible() {
			return 0, fmt.Errorf("settle token %s of delivery %d: it cannot become %q", f.TokenID, f.Delivery, f.To)
		}
		ids[i], deliveries[i], to[i] = f.TokenID, f.Delivery, string(f.To)
	}
	res := tx.WithContext(ctx).Exec(`UPDATE tokens SET status = v.fate, updated_at = ?,
			delivery_id = CASE WHEN v.fate = 'available' THEN NULL ELSE tokens.delivery_id END
		FROM ? WHERE tokens.id = v.id AND (tokens.status = 'reserved' AND tokens.delivery_id = v.delivery
			OR tokens.status = 'available' AND v.fate = 'void')`,
		s.moment(), tx.Values("v", db.UUIDs("id", ids), db.Int64s("delivery", deliveries), db.Texts("fate", to)))
	if res.Error != nil {
		return 0, fmt.Errorf("settle tokens: %w", res.Error)
	}
	return int(res.RowsAffected), nil
}

func (f Fate) possible() bool {
	switch f.To {
	case Spent, Available:
		return f.Delivery != 0
	case Void:
		return true
	}
	return false
}

// expireBite is how many tokens one Expire writes at most.
const expireBite = 1000

// Expire writes down and tells that available tokens whose year is over have
// expired, a bounded number at a time, and returns how many there were.
func (s *Store) Expire(ctx context.Context, tx *db.Tx, now time.Time) (int, error) {
	var over []told
	err := tx.WithContext(ctx).Raw(`UPDATE tokens SET status = 'expired', updated_at = ? WHERE id IN (
		SELECT id FROM tokens WHERE status = 'available' AND expires_at <= ? ORDER BY expires_at LIMIT ?`+tx.SkipLocked()+`)
		RETURNING `+toldColumns, s.moment(), now, expireBite).Scan(&over).Error
	if err != nil {
		return 0, fmt.Errorf("expire tokens: %w", err)
	}
	return len(over), tell(tx, event.TokenExpired, s.moment(), over)
}

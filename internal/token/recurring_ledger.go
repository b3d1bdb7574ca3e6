package token

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// ReserveRecurring takes recurring tokens for deliveries and returns the values
// of those that it got, by delivery. From here on the token rests for 48 hours,
// whatever becomes of the call; only a definite refusal gives that back, see
// SettleRecurring. A delivery that is missing from the answer lost the race, or
// the token is not to be used now. A delivery holds one token at most.
func (s *Store) ReserveRecurring(ctx context.Context, tx *db.Tx, claims []Claim) (map[int64]string, error) {
	deliveries, tokens := firstClaims(claims)
	if len(deliveries) == 0 {
		return map[int64]string{}, nil
	}
	now := s.moment()
	var rows []struct {
		HeldBy int64
		Value  []byte
	}
	err := tx.WithContext(ctx).Raw(`UPDATE recurring_tokens SET held_by = w.delivery, eligible_before = eligible_at, eligible_at = ?, updated_at = ?
		FROM (SELECT r.id, v.delivery FROM ? JOIN recurring_tokens r ON r.id = v.token_id
			WHERE r.status = 'live' AND r.eligible_at <= ? AND r.held_by IS NULL AND (r.expires_at IS NULL OR r.expires_at > ?) ORDER BY r.id`+tx.ForUpdate()+`) AS w
		WHERE recurring_tokens.id = w.id AND recurring_tokens.status = 'live' AND recurring_tokens.eligible_at <= ? AND recurring_tokens.held_by IS NULL
			AND NOT EXISTS (SELECT 1 FROM recurring_tokens held WHERE held.held_by = w.delivery)
		RETURNING held_by, value`,
		now.Add(Rest), now, tx.Values("v", db.Int64s("delivery", deliveries), db.UUIDs("token_id", tokens)), now, now, now).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reserve recurring tokens: %w", err)
	}
	values := make(map[int64]string, len(rows))
	for _, r := range rows {
		if values[r.HeldBy], err = s.box.Open(r.Value, sealedRecurring); err != nil {
			return nil, fmt.Errorf("reserve recurring tokens: %w", err)
		}
	}
	return values, nil
}

// Use is what came of a call with a recurring token.
type Use struct {
	TokenID  uuid.UUID
	Delivery int64 // that reserved it
	Outcome  channel.Outcome
	Code     string // the provider's code
}

// The codes by which Meta says more of a recurring token than its outcome does
// (Common Error Codes).
const (
	codeStopped = "10/1893015" // the person stopped these messages
	codeTooSoon = "4/2018354"  // it was used by somebody not long ago
)

// What becomes of a recurring token after a call.
const (
	fateBack    = "back"    // definitely not used: as it was before
	fateUsed    = "used"    // it rests from now on
	fateResting = "resting" // it rests as it does already
	fateVoid    = "void"
	fateStopped = "stopped"
)

func (u Use) fate() string {
	switch u.Outcome {
	case channel.TryLater:
		if u.Code == codeTooSoon {
			return fateResting
		}
		return fateBack
	case channel.StopTheLine, channel.Refused, channel.Gone, channel.OptedOut:
		return fateBack
	case channel.TokenDead:
		if u.Code == codeStopped {
			return fateStopped
		}
		return fateVoid
	}
	return fateUsed // accepted, or nobody knows
}

// SettleRecurring writes down what came of calls, and returns how many tokens
// were held for them still. A use counts only while its delivery holds the
// token, so repeated and late ones change nothing. A token must not have two
// uses in one call.
func (s *Store) SettleRecurring(ctx context.Context, tx *db.Tx, uses []Use) (int, error) {
	if len(uses) == 0 {
		return 0, nil
	}
	ids, deliveries, fates := make([]uuid.UUID, len(uses)), make([]int64, len(uses)), make([]string, len(uses))
	for i, u := range uses {
		ids[i], deliveries[i], fates[i] = u.TokenID, u.Delivery, u.fate()
	}
	now, moment := s.moment(), tx.TimeType()
	res := tx.WithContext(ctx).Exec(`UPDATE recurring_tokens SET held_by = NULL, eligible_before = NULL, updated_at = ?,
			eligible_at = CASE v.fate WHEN 'back' THEN eligible_before WHEN 'used' THEN CAST(? AS `+moment+`) ELSE eligible_at END,
			status = CASE WHEN status = 'live' AND v.fate IN ('void', 'stopped') THEN v.fate ELSE status END,
			status_at = CASE WHEN status = 'live' AND v.fate IN ('void', 'stopped') THEN CAST(? AS `+moment+`) ELSE status_at END
		FROM ? WHERE recurring_tokens.id = v.id AND recurring_tokens.held_by = v.delivery`,
		now, now.Add(Rest), now, tx.Values("v", db.UUIDs("id", ids), db.Int64s("delivery", deliveries), db.Texts("fate", fates)))
	if res.Error != nil {
		return 0, fmt.Errorf("settle recurring tokens: %w", res.Error)
	}
	return int(res.RowsAffected), nil
}

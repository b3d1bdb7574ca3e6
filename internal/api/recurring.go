package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/fault"
	"beckon/internal/token"
)

// GetRecurringTokens serves GET /v1/pages/{id}/recurring-tokens.
func (s *Server) GetRecurringTokens(ctx context.Context, r gen.GetRecurringTokensRequestObject) (gen.GetRecurringTokensResponseObject, error) {
	if _, err := s.Pages.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	last, err := s.Tokens.LastSync(ctx, r.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	a, err := s.syncAnswer(ctx, r.ID, last)
	return gen.GetRecurringTokens200JSONResponse(a), err
}

// SyncRecurringTokens serves POST /v1/pages/{id}/recurring-tokens/sync.
func (s *Server) SyncRecurringTokens(ctx context.Context, r gen.SyncRecurringTokensRequestObject) (gen.SyncRecurringTokensResponseObject, error) {
	now, err := s.Recurring.StartSync(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.syncAnswer(ctx, r.ID, now)
	return gen.SyncRecurringTokens202JSONResponse(a), err
}

// syncAnswer shows a sync; one that never was has no page.
func (s *Server) syncAnswer(ctx context.Context, page uuid.UUID, last token.Sync) (gen.RecurringSync, error) {
	count, err := s.Tokens.CountRecurring(ctx, page)
	if err != nil {
		return gen.RecurringSync{}, err
	}
	out := gen.RecurringSync{PageID: page, Counts: map[string]int64{"expired": int64(count.Expired)}}
	for status, n := range count.ByStatus {
		out.Counts[string(status)] = int64(n)
	}
	if last.PageID != uuid.Nil {
		state := gen.RecurringSyncState(last.State)
		out.State, out.Listed, out.Code = &state, int64(last.Listed), orNull(last.Code)
		out.StartedAt, out.FinishedAt = &last.StartedAt, last.FinishedAt
	}
	return out, nil
}

func (s *Server) recurringAnswer(t token.RecurringToken) gen.RecurringToken {
	out := gen.RecurringToken{PageID: t.PageID, Topic: t.Topic, Title: orNull(t.Title), Status: gen.RecurringTokenStatus(t.Status),
		GrantedAt: t.GrantedAt, ExpiresAt: t.ExpiresAt, EligibleAt: t.EligibleAt}
	if t.Status == token.Live && t.Expired(s.now()) {
		out.Status = gen.RecurringTokenStatusExpired
	}
	return out
}

// now is the clock; tests of parts that have none go by the real one.
func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/thread"
)

// GetThread serves GET /v1/contacts/{id}/thread.
func (s *Server) GetThread(ctx context.Context, r gen.GetThreadRequestObject) (gen.GetThreadResponseObject, error) {
	t, err := s.Threads.Owner(ctx, r.ID, r.Params.PageID)
	return gen.GetThread200JSONResponse(threadAnswer(t)), err
}

// MoveThread serves POST /v1/contacts/{id}/thread.
func (s *Server) MoveThread(ctx context.Context, r gen.MoveThreadRequestObject) (gen.MoveThreadResponseObject, error) {
	t, err := s.Threads.Move(ctx, thread.Move{ContactID: r.ID, PageID: r.Body.PageID, Action: string(r.Body.Action),
		Target: orZero(r.Body.TargetAppID), Metadata: orZero(r.Body.Metadata)})
	return gen.MoveThread200JSONResponse(threadAnswer(t)), err
}

func threadAnswer(t thread.Thread) gen.Thread {
	out := gen.Thread{PageID: t.PageID, OwnerAppID: orNull(t.Owner), Held: t.Held, HeldBy: orNull(t.By)}
	if t.Held {
		out.HeldUntil = t.HeldUntil
	}
	return out
}

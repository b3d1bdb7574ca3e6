package api

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/selftest"
	"beckon/internal/token"
)

var errTester = fault.New(fault.Invalid, "invalid_fields", "Some fields are not valid.").
	With(fault.Field{Pointer: "/psid", Code: codeRequired, Detail: "Say who taps: either psid or contact_id."})

// StartSelfTest serves POST /v1/pages/{id}/self-test.
func (s *Server) StartSelfTest(ctx context.Context, r gen.StartSelfTestRequestObject) (gen.StartSelfTestResponseObject, error) {
	if _, err := s.Pages.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	who := selftest.Tester{PSID: orZero(r.Body.PSID), ContactID: orZero(r.Body.ContactID), Capability: page.Capability(orZero(r.Body.Capability))}
	if (who.PSID == "") == (who.ContactID == uuid.Nil) {
		return nil, errTester
	}
	t, err := s.SelfTests.Start(ctx, r.ID, who)
	return gen.StartSelfTest201JSONResponse(selfTestAnswer(t)), err
}

// GetSelfTest serves GET /v1/pages/{id}/self-test.
func (s *Server) GetSelfTest(ctx context.Context, r gen.GetSelfTestRequestObject) (gen.GetSelfTestResponseObject, error) {
	t, err := s.SelfTests.Last(ctx, r.ID)
	return gen.GetSelfTest200JSONResponse(selfTestAnswer(t)), err
}

func selfTestAnswer(t selftest.Test) gen.SelfTest {
	return gen.SelfTest{ID: t.ID, PageID: t.PageID, ContactID: t.ContactID, Capability: gen.SelfTestCapability(t.Capability), State: gen.SelfTestState(t.State),
		Code: orNull(t.Code), Detail: orNull(t.Detail), CreatedAt: t.AskedAt, UpdatedAt: t.UpdatedAt}
}

// GetAsking serves GET /v1/pages/{id}/asking.
func (s *Server) GetAsking(ctx context.Context, r gen.GetAskingRequestObject) (gen.GetAskingResponseObject, error) {
	a, err := s.asking(ctx, r.ID)
	return gen.GetAsking200JSONResponse(a), err
}

// ResumeAsking serves POST /v1/pages/{id}/asking/resume.
func (s *Server) ResumeAsking(ctx context.Context, r gen.ResumeAskingRequestObject) (gen.ResumeAskingResponseObject, error) {
	if _, err := s.Pages.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	if err := s.Tokens.ResumeAsking(ctx, r.ID); err != nil {
		return nil, err
	}
	a, err := s.asking(ctx, r.ID)
	return gen.ResumeAsking200JSONResponse(a), err
}

func (s *Server) asking(ctx context.Context, id uuid.UUID) (gen.Asking, error) {
	if _, err := s.Pages.Get(ctx, id); err != nil {
		return gen.Asking{}, err
	}
	of, err := s.Tokens.AskingOf(ctx, id)
	return askingAnswer(of[id]), err
}

func askingAnswer(a token.Asking) gen.Asking {
	out := gen.Asking{State: gen.AskingStateOpen, Code: orNull(a.Code), Since: a.StoppedAt, Until: a.SlowUntil}
	switch {
	case a.StoppedAt != nil:
		out.State, out.Until = gen.AskingStateStopped, nil
	case a.SlowUntil != nil:
		out.State = gen.AskingStateSlowed
	}
	return out
}

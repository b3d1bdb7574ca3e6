package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/page"
)

// CreatePage serves POST /v1/pages.
func (s *Server) CreatePage(ctx context.Context, r gen.CreatePageRequestObject) (gen.CreatePageResponseObject, error) {
	p, err := s.Health.Add(ctx, page.Draft{FacebookPageID: r.Body.FacebookPageID, Name: r.Body.Name,
		Username: orZero(r.Body.Username), TimeZone: orZero(r.Body.TimeZone), Country: orZero(r.Body.Country), QuietHours: r.Body.QuietHours, AccessToken: orZero(r.Body.AccessToken)})
	return gen.CreatePage201JSONResponse(s.pageAnswer(p)), err
}

// ListPages serves GET /v1/pages.
func (s *Server) ListPages(ctx context.Context, r gen.ListPagesRequestObject) (gen.ListPagesResponseObject, error) {
	data, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after uuid.UUID, n int) ([]page.Page, error) { return s.Pages.List(ctx, after, n) },
		func(p page.Page) uuid.UUID { return p.ID }, s.pageAnswer)
	return gen.ListPages200JSONResponse{Data: data, NextCursor: next}, err
}

// GetPage serves GET /v1/pages/{id}.
func (s *Server) GetPage(ctx context.Context, r gen.GetPageRequestObject) (gen.GetPageResponseObject, error) {
	p, err := s.Pages.Get(ctx, r.ID)
	return gen.GetPage200JSONResponse(s.pageAnswer(p)), err
}

// UpdatePage serves PATCH /v1/pages/{id}.
func (s *Server) UpdatePage(ctx context.Context, r gen.UpdatePageRequestObject) (gen.UpdatePageResponseObject, error) {
	change := page.Patch{Name: r.Body.Name, Username: r.Body.Username.Pointer(), TimeZone: r.Body.TimeZone.Pointer(),
		Country: r.Body.Country.Pointer(), HoldHours: r.Body.HoldHours, QuietHours: r.Body.QuietHours, AccessToken: r.Body.AccessToken}
	if c := r.Body.Capabilities; c != nil {
		change.Capabilities = capabilitiesSaid(map[page.Capability]*gen.CapabilityState{
			page.OneTime: c.OneTime, page.Recurring: c.Recurring, page.Utility: c.Utility, page.Profile: c.Profile})
	}
	p, err := s.Pages.Patch(ctx, r.ID, change)
	if err == nil && change.AccessToken != nil {
		err = s.Health.Soon(ctx, r.ID)
	}
	return gen.UpdatePage200JSONResponse(s.pageAnswer(p)), err
}

// DeletePage serves DELETE /v1/pages/{id}.
func (s *Server) DeletePage(ctx context.Context, r gen.DeletePageRequestObject) (gen.DeletePageResponseObject, error) {
	return gen.DeletePage204Response{}, s.Health.Remove(ctx, r.ID)
}

// CheckPage serves POST /v1/pages/{id}/check.
func (s *Server) CheckPage(ctx context.Context, r gen.CheckPageRequestObject) (gen.CheckPageResponseObject, error) {
	p, err := s.Health.Check(ctx, r.ID)
	return gen.CheckPage200JSONResponse(s.pageAnswer(p)), err
}

func (s *Server) pageAnswer(p page.Page) gen.Page {
	return gen.Page{ID: p.ID, FacebookPageID: p.FacebookPageID, Name: p.Name, Username: orNull(p.Username), TimeZone: orNull(p.TimeZone),
		Country: orNull(p.Country), HoldHours: p.HoldHours, QuietHours: p.QuietHours, Capabilities: capabilitiesAnswer(p.Capabilities),
		Health:    healthAnswer(p, s.Now()),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

func capabilitiesSaid(said map[page.Capability]*gen.CapabilityState) map[page.Capability]page.State {
	out := map[page.Capability]page.State{}
	for name, state := range said {
		if state != nil {
			out[name] = page.State(*state)
		}
	}
	return out
}

func capabilitiesAnswer(known map[page.Capability]page.Known) gen.PageCapabilities {
	answer := func(name page.Capability) gen.Capability {
		k := known[name]
		out := gen.Capability{State: gen.CapabilityState(k.State)}
		if k.How != "" {
			how := gen.CapabilityHow(k.How)
			out.How, out.KnownAt = &how, &k.At
		}
		return out
	}
	return gen.PageCapabilities{OneTime: answer(page.OneTime), Recurring: answer(page.Recurring), Utility: answer(page.Utility), Profile: answer(page.Profile)}
}

func healthAnswer(p page.Page, now time.Time) gen.PageHealth {
	h := p.Health
	out := gen.PageHealth{Token: gen.PageHealthToken(p.TokenHealth), TokenExpiresAt: h.TokenExpiresAt, DataAccessEndsAt: h.DataAccessEndsAt,
		ScopesMissing: h.ScopesMissing.List(), FieldsMissing: h.FieldsMissing.List(), CheckedAt: h.CheckedAt, RepairedAt: h.RepairedAt,
		LastEventAt: h.LastEventAt, QuietSince: h.QuietSince, Usage: h.Load, Problems: each(p.Problems(now), problemAnswer)}
	if h.GetStarted != "" {
		out.GetStarted = new(gen.PageHealthGetStarted)
		*out.GetStarted = gen.PageHealthGetStarted(h.GetStarted)
	}
	if h.PolicyAt != nil {
		out.Policy = &gen.PagePolicy{Action: gen.PagePolicyAction(h.Policy), Reason: h.PolicyReason, At: *h.PolicyAt}
	}
	return out
}

func problemAnswer(p page.Problem) gen.PageProblem {
	return gen.PageProblem{Code: gen.PageProblemCode(p.Code), Detail: p.Detail, Must: p.Must}
}

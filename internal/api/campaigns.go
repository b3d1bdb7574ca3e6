package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
)

// CreateCampaign serves POST /v1/campaigns.
func (s *Server) CreateCampaign(ctx context.Context, r gen.CreateCampaignRequestObject) (gen.CreateCampaignResponseObject, error) {
	src, err := sourceOf(r.Body.Content)
	if err != nil {
		return nil, err
	}
	draft := campaign.Patch{Name: &r.Body.Name, PageID: &r.Body.PageID, Topic: &r.Body.Topic, Audience: r.Body.Audience,
		Content: &src, FallThrough: r.Body.FallThrough, Transactional: r.Body.Transactional, StartsAt: r.Body.StartsAt, StartsLocal: r.Body.StartsLocal, EndsAt: r.Body.EndsAt,
		AllowedHours: r.Body.AllowedHours, EscalateAfterHours: r.Body.EscalateAfterHours, FollowUp: r.Body.FollowUp, Budget: r.Body.Budget}
	if r.Body.Route != nil {
		draft.Route = routeOf(r.Body.Route)
	}
	c, _, err := s.Campaigns.Create(ctx, draft)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.CreateCampaign201JSONResponse(a), err
}

// ListCampaigns serves GET /v1/campaigns.
func (s *Server) ListCampaigns(ctx context.Context, r gen.ListCampaignsRequestObject) (gen.ListCampaignsResponseObject, error) {
	rows, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after uuid.UUID, n int) ([]campaign.Campaign, error) { return s.Campaigns.List(ctx, after, n) },
		func(c campaign.Campaign) uuid.UUID { return c.ID },
		func(c campaign.Campaign) campaign.Campaign { return c })
	if err != nil {
		return nil, err
	}
	out := gen.ListCampaigns200JSONResponse{Data: make([]gen.Campaign, len(rows)), NextCursor: next}
	for i, c := range rows {
		if out.Data[i], err = s.campaignAnswer(ctx, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// GetCampaign serves GET /v1/campaigns/{id}.
func (s *Server) GetCampaign(ctx context.Context, r gen.GetCampaignRequestObject) (gen.GetCampaignResponseObject, error) {
	c, err := s.Campaigns.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.GetCampaign200JSONResponse(a), err
}

// UpdateCampaign serves PATCH /v1/campaigns/{id}.
func (s *Server) UpdateCampaign(ctx context.Context, r gen.UpdateCampaignRequestObject) (gen.UpdateCampaignResponseObject, error) {
	b := r.Body
	change := campaign.Patch{Name: b.Name, PageID: b.PageID, Topic: b.Topic, Audience: b.Audience.Value, FallThrough: b.FallThrough, Transactional: b.Transactional,
		StartsAt: b.StartsAt.Pointer(), StartsLocal: b.StartsLocal, EndsAt: b.EndsAt.Pointer(),
		AllowedHours: b.AllowedHours.Value, EscalateAfterHours: b.EscalateAfterHours.Pointer(), FollowUp: b.FollowUp.Value, Budget: b.Budget.Value}
	if b.Audience.Null {
		change.Audience = json.RawMessage("{}")
	}
	if b.AllowedHours.Null {
		change.AllowedHours = json.RawMessage("null")
	}
	if b.FollowUp.Null {
		change.FollowUp = json.RawMessage("null")
	}
	if b.Budget.Null {
		change.Budget = json.RawMessage("null")
	}
	if b.Route.Set {
		change.Route = routeOf(b.Route.Value)
	}
	if b.Content != nil {
		now, err := s.Campaigns.Get(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		src, err := patchedSource(now, *b.Content)
		if err != nil {
			return nil, err
		}
		change.Content, change.AsOf = &src, now.UpdatedAt
	}
	c, _, err := s.Campaigns.Update(ctx, r.ID, change)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.UpdateCampaign200JSONResponse(a), err
}

// DeleteCampaign serves DELETE /v1/campaigns/{id}.
func (s *Server) DeleteCampaign(ctx context.Context, r gen.DeleteCampaignRequestObject) (gen.DeleteCampaignResponseObject, error) {
	return gen.DeleteCampaign204Response{}, s.Campaigns.Delete(ctx, r.ID)
}

// StartCampaign serves POST /v1/campaigns/{id}/start.
func (s *Server) StartCampaign(ctx context.Context, r gen.StartCampaignRequestObject) (gen.StartCampaignResponseObject, error) {
	c, err := s.Campaigns.Start(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.StartCampaign202JSONResponse(a), err
}

// TestCampaign serves POST /v1/campaigns/{id}/test.
func (s *Server) TestCampaign(ctx context.Context, r gen.TestCampaignRequestObject) (gen.TestCampaignResponseObject, error) {
	c, err := s.Campaigns.Test(ctx, r.ID, campaign.Trial{Contact: r.Body.ContactID, Lane: channel.Lane(orZero(r.Body.Lane))})
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.TestCampaign202JSONResponse(a), err
}

// PauseCampaign serves POST /v1/campaigns/{id}/pause.
func (s *Server) PauseCampaign(ctx context.Context, r gen.PauseCampaignRequestObject) (gen.PauseCampaignResponseObject, error) {
	c, err := s.Campaigns.Pause(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.PauseCampaign202JSONResponse(a), err
}

// ResumeCampaign serves POST /v1/campaigns/{id}/resume.
func (s *Server) ResumeCampaign(ctx context.Context, r gen.ResumeCampaignRequestObject) (gen.ResumeCampaignResponseObject, error) {
	c, err := s.Campaigns.Resume(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.ResumeCampaign202JSONResponse(a), err
}

// CancelCampaign serves POST /v1/campaigns/{id}/cancel.
func (s *Server) CancelCampaign(ctx context.Context, r gen.CancelCampaignRequestObject) (gen.CancelCampaignResponseObject, error) {
	c, err := s.Campaigns.Cancel(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.campaignAnswer(ctx, c)
	return gen.CancelCampaign202JSONResponse(a), err
}

// sourceOf reads content: it has the same shape here and where it is stored.
func sourceOf(v any) (src content.Source, err error) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &src)
	}
	if err != nil {
		return src, fmt.Errorf("read the content: %w", err)
	}
	return src, nil
}

// patchedSource replaces the parts of a campaign's content that are named.
func patchedSource(c campaign.Campaign, p gen.ContentPatch) (content.Source, error) {
	var now gen.Content
	if err := json.Unmarshal([]byte(c.Content), &now); err != nil {
		return content.Source{}, fmt.Errorf("read the content of campaign %s: %w", c.ID, err)
	}
	now.Messenger = p.Messenger.Over(now.Messenger)
	now.SMS = p.SMS.Over(now.SMS)
	now.Email = p.Email.Over(now.Email)
	now.Utility = p.Utility.Over(now.Utility)
	return sourceOf(now)
}

func routeOf(r gen.Route) *[]channel.Lane {
	lanes := each(r, func(l gen.Lane) channel.Lane { return channel.Lane(l) })
	return &lanes
}

func (s *Server) campaignAnswer(ctx context.Context, c campaign.Campaign) (gen.Campaign, error) {
	lanes, err := c.Lanes()
	if err != nil {
		return gen.Campaign{}, err
	}
	warnings, err := s.warnings(ctx, c)
	if err != nil {
		return gen.Campaign{}, err
	}
	out := gen.Campaign{ID: c.ID, State: gen.CampaignState(c.State), Name: c.Name, PageID: c.PageID, Topic: c.Topic, Audience: audienceAnswer(c.Audience),
		Route: each(lanes, func(l channel.Lane) gen.Lane { return gen.Lane(l) }), FallThrough: c.FallThrough, Transactional: c.Transactional, Warnings: warnings,
		StartsAt: c.StartsAt, StartsLocal: c.StartsLocal, EndsAt: c.EndsAt, EscalationOf: c.EscalationOf, TestOf: c.TestOf,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, StartedAt: c.StartedAt, FinishedAt: c.FinishedAt}
	if c.AllowedHours != nil {
		out.AllowedHours = gen.AllowedHours(*c.AllowedHours)
	}
	if c.FollowUp != nil {
		out.FollowUp = gen.FollowUp(*c.FollowUp)
	}
	if c.Budget != nil {
		out.Budget = gen.Budget(*c.Budget)
	}
	if c.EscalateAfterHours > 0 {
		out.EscalateAfterHours = &c.EscalateAfterHours
	}
	if err := json.Unmarshal([]byte(c.Content), &out.Content); err != nil {
		return gen.Campaign{}, fmt.Errorf("read the content of campaign %s: %w", c.ID, err)
	}
	return out, nil
}

// audienceAnswer shows everyone as null.
func audienceAnswer(rules string) gen.Audience {
	if rules == "" || rules == "{}" {
		return nil
	}
	return gen.Audience(rules)
}

func (s *Server) warnings(ctx context.Context, c campaign.Campaign) ([]gen.Warning, error) {
	list, err := s.Campaigns.Warnings(ctx, c)
	return each(list, func(w content.Warning) gen.Warning { return warning(w.Pointer, w.Code, w.Detail) }), err
}

func warning(pointer, code, detail string) gen.Warning {
	return gen.Warning{Code: code, Detail: detail, Pointer: orNull(pointer)}
}

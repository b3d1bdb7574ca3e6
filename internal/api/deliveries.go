package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
)

// GetDelivery serves GET /v1/deliveries/{id}.
func (s *Server) GetDelivery(ctx context.Context, r gen.GetDeliveryRequestObject) (gen.GetDeliveryResponseObject, error) {
	d, err := s.delivery(ctx, r.ID)
	return gen.GetDelivery200JSONResponse(d), err
}

// ResolveDelivery serves POST /v1/deliveries/{id}/resolve.
func (s *Server) ResolveDelivery(ctx context.Context, r gen.ResolveDeliveryRequestObject) (gen.ResolveDeliveryResponseObject, error) {
	if err := s.Engine.Resolve(ctx, r.ID, dispatch.Action(r.Body.Action), orZero(r.Body.Force)); err != nil {
		return nil, err
	}
	d, err := s.delivery(ctx, r.ID)
	return gen.ResolveDelivery200JSONResponse(d), err
}

// ResolveCampaign serves POST /v1/campaigns/{id}/resolve.
func (s *Server) ResolveCampaign(ctx context.Context, r gen.ResolveCampaignRequestObject) (gen.ResolveCampaignResponseObject, error) {
	resolved, left, err := s.Engine.ResolveAll(ctx, r.ID, dispatch.Action(r.Body.Action), orZero(r.Body.Force))
	return gen.ResolveCampaign200JSONResponse{Resolved: int64(resolved), Left: int64(left)}, err
}

// delivery answers a delivery with its attempts.
func (s *Server) delivery(ctx context.Context, id int64) (gen.DeliveryDetail, error) {
	d, attempts, err := s.Ledger.Get(ctx, id)
	if err != nil {
		return gen.DeliveryDetail{}, err
	}
	a := deliveryAnswer(d)
	return gen.DeliveryDetail{ID: a.ID, CampaignID: a.CampaignID, ContactID: a.ContactID, Lane: a.Lane, State: a.State, Reason: a.Reason, Code: a.Code,
		CreatedAt: a.CreatedAt, SentAt: a.SentAt, AcceptedAt: a.AcceptedAt, DeliveredAt: a.DeliveredAt, ReadAt: a.ReadAt,
		ClickedAt: a.ClickedAt, ReturnedAt: a.ReturnedAt, RepliedAt: a.RepliedAt, EscalatedAt: a.EscalatedAt, Attempts: each(attempts, attemptAnswer)}, nil
}

// listDeliveries serves GET /v1/campaigns/{id}/deliveries: a page, or an
// export of all.
func (s *Server) listDeliveries(c echo.Context) error {
	ctx := c.Request().Context()
	if _, err := s.Campaigns.Get(ctx, idOf(c)); err != nil {
		return err
	}
	f := delivery.Filter{Campaign: idOf(c), State: delivery.State(c.QueryParam("state")), Lane: channel.Lane(c.QueryParam("lane"))}
	if form := exportForm(c.Request().Header.Get(echo.HeaderAccept)); form != "" {
		return s.exportDeliveries(c, f, form)
	}
	from := pageOf(c)
	data, next, err := listed(from.cursor, from.limit, func(after int64, n int) ([]delivery.Delivery, error) {
		f.After, f.Limit = after, n
		return s.Ledger.List(ctx, f)
	}, func(d delivery.Delivery) int64 { return d.ID }, deliveryAnswer)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, gen.DeliveryList{Data: data, NextCursor: next})
}

func deliveryAnswer(d delivery.Delivery) gen.Delivery {
	return gen.Delivery{ID: d.ID, CampaignID: d.CampaignID, ContactID: d.ContactID, Lane: orNull(string(d.Lane)),
		State: gen.DeliveryState(d.State), Reason: orNull(d.Reason), Code: orNull(d.Code), CreatedAt: d.CreatedAt, SentAt: d.SentAt, AcceptedAt: d.AcceptedAt,
		DeliveredAt: d.DeliveredAt, ReadAt: d.ReadAt, ClickedAt: d.ClickedAt, ReturnedAt: d.ReturnedAt, RepliedAt: d.RepliedAt, EscalatedAt: d.EscalatedAt}
}

func attemptAnswer(a delivery.Attempt) gen.Attempt {
	return gen.Attempt{Number: a.N, Lane: gen.Lane(a.Lane), StartedAt: a.StartedAt, FinishedAt: a.FinishedAt,
		Outcome: gen.AttemptOutcome(a.Outcome), ProviderID: orNull(a.ProviderID), Code: orNull(a.Code), Detail: orNull(a.Detail)}
}

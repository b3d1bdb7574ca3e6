package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/token"
)

// CreateOptInRequest serves POST /v1/opt-in-requests.
func (s *Server) CreateOptInRequest(ctx context.Context, r gen.CreateOptInRequestRequestObject) (gen.CreateOptInRequestResponseObject, error) {
	o, err := s.OptIns.Ask(ctx, token.Request{ContactID: r.Body.ContactID, PageID: r.Body.PageID, Topic: r.Body.Topic, Kind: token.Kind(orZero(r.Body.Kind))})
	return gen.CreateOptInRequest201JSONResponse(optInAnswer(o)), err
}

// GetOptInRequest serves GET /v1/opt-in-requests/{id}.
func (s *Server) GetOptInRequest(ctx context.Context, r gen.GetOptInRequestRequestObject) (gen.GetOptInRequestResponseObject, error) {
	o, err := s.Tokens.Request(ctx, r.ID)
	return gen.GetOptInRequest200JSONResponse(optInAnswer(o)), err
}

func optInAnswer(o token.OptInRequest) gen.OptInRequest {
	return gen.OptInRequest{ID: o.ID, ContactID: o.ContactID, PageID: o.PageID, Topic: o.Topic, Kind: gen.OptInKind(o.Kind), State: gen.OptInRequestState(o.State), CreatedAt: o.AskedAt}
}

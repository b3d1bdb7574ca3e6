package api

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/token"
)

// ListTokens serves GET /v1/contacts/{id}/tokens.
func (s *Server) ListTokens(ctx context.Context, r gen.ListTokensRequestObject) (gen.ListTokensResponseObject, error) {
	if _, err := s.Contacts.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	data, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after uuid.UUID, n int) ([]token.Token, error) { return s.Tokens.List(ctx, r.ID, after, n) },
		func(t token.Token) uuid.UUID { return t.ID }, tokenAnswer)
	return gen.ListTokens200JSONResponse{Data: data, NextCursor: next}, err
}

var errTokenTaken = fault.New(fault.Conflict, "token_taken", "The token belongs to another contact.").
	With(fault.Field{Pointer: "/token", Code: "token_taken", Detail: "The token belongs to another contact."})

// AddToken serves POST /v1/contacts/{id}/tokens.
func (s *Server) AddToken(ctx context.Context, r gen.AddTokenRequestObject) (gen.AddTokenResponseObject, error) {
	if _, err := s.Contacts.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	var t token.Token
	var granted int
	err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		granted, err = s.Tokens.Grant(ctx, tx, []token.Grant{{ContactID: r.ID, PageID: r.Body.PageID, Topic: r.Body.Topic,
			Value: orZero(r.Body.Token), Source: token.FromAPI, GrantedAt: r.Body.GrantedAt}})
		if err != nil {
			return err
		}
		t, err = s.Tokens.ByValue(ctx, tx, r.Body.PageID, orZero(r.Body.Token))
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case t.ContactID != r.ID:
		return nil, errTokenTaken
	case granted == 0:
		return gen.AddToken200JSONResponse(tokenAnswer(t)), nil
	}
	return gen.AddToken201JSONResponse(tokenAnswer(t)), nil
}

// UpdateToken serves PATCH /v1/contacts/{id}/tokens/{token_id}.
func (s *Server) UpdateToken(ctx context.Context, r gen.UpdateTokenRequestObject) (gen.UpdateTokenResponseObject, error) {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Tokens.Move(ctx, tx, r.ID, r.TokenID, r.Body.Topic) })
	if err != nil {
		return nil, err
	}
	t, err := s.Tokens.Get(ctx, r.ID, r.TokenID)
	return gen.UpdateToken200JSONResponse(tokenAnswer(t)), err
}

// RevokeToken serves DELETE /v1/contacts/{id}/tokens/{token_id}.
func (s *Server) RevokeToken(ctx context.Context, r gen.RevokeTokenRequestObject) (gen.RevokeTokenResponseObject, error) {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Tokens.Revoke(ctx, tx, r.ID, r.TokenID) })
	return gen.RevokeToken204Response{}, err
}

func tokenAnswer(t token.Token) gen.Token {
	return gen.Token{ID: t.ID, PageID: t.PageID, Topic: t.Topic, Status: gen.TokenStatus(t.Status), GrantedAt: t.GrantedAt, ExpiresAt: t.ExpiresAt}
}

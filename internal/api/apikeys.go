package api

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
)

// CreateAPIKey serves POST /v1/api-keys.
func (s *Server) CreateAPIKey(ctx context.Context, r gen.CreateAPIKeyRequestObject) (gen.CreateAPIKeyResponseObject, error) {
	scopes := make([]Scope, len(r.Body.Scopes))
	for i, scope := range r.Body.Scopes {
		scopes[i] = Scope(scope)
	}
	key, secret, err := s.Keys.Create(ctx, r.Body.Name, scopes)
	if err != nil {
		return nil, err
	}
	k := keyAnswer(key)
	return gen.CreateAPIKey201JSONResponse{
		ID: k.ID, Name: k.Name, Scopes: k.Scopes, Key: secret, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt,
	}, nil
}

// ListAPIKeys serves GET /v1/api-keys.
func (s *Server) ListAPIKeys(ctx context.Context, r gen.ListAPIKeysRequestObject) (gen.ListAPIKeysResponseObject, error) {
	data, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after uuid.UUID, n int) ([]Key, error) { return s.Keys.List(ctx, after, n) },
		func(k Key) uuid.UUID { return k.ID }, keyAnswer)
	return gen.ListAPIKeys200JSONResponse{Data: data, NextCursor: next}, err
}

// RevokeAPIKey serves DELETE /v1/api-keys/{id}.
func (s *Server) RevokeAPIKey(ctx context.Context, r gen.RevokeAPIKeyRequestObject) (gen.RevokeAPIKeyResponseObject, error) {
	if err := s.Keys.Revoke(ctx, r.ID); err != nil {
		return nil, err
	}
	return gen.RevokeAPIKey204Response{}, nil
}

func keyAnswer(k Key) gen.APIKey {
	scopes := make([]gen.Scope, len(k.Scopes))
	for i, s := range k.Scopes {
		scopes[i] = gen.Scope(s)
	}
	return gen.APIKey{ID: k.ID, Name: k.Name, Scopes: scopes, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt}
}

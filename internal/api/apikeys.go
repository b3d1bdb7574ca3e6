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
	key, secret, err := s.keys.Create(ctx, r.Body.Name, scopes)
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
	var after uuid.UUID
	if err := readCursor(r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	limit := limitOf(r.Params.Limit)
	keys, err := s.keys.List(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	keys, next, err := page(keys, limit, func(k Key) any { return k.ID })
	if err != nil {
		return nil, err
	}
	out := gen.ListAPIKeys200JSONResponse{Data: make([]gen.APIKey, len(keys)), NextCursor: next}
	for i, k := range keys {
		out.Data[i] = keyAnswer(k)
	}
	return out, nil
}

// RevokeAPIKey serves DELETE /v1/api-keys/{id}.
func (s *Server) RevokeAPIKey(ctx context.Context, r gen.RevokeAPIKeyRequestObject) (gen.RevokeAPIKeyResponseObject, error) {
	if err := s.keys.Revoke(ctx, r.ID); err != nil {
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

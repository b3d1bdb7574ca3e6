package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/token"
)

// CreateTopic serves POST /v1/topics.
func (s *Server) CreateTopic(ctx context.Context, r gen.CreateTopicRequestObject) (gen.CreateTopicResponseObject, error) {
	t, err := s.Tokens.CreateTopic(ctx, token.TopicDraft{Slug: r.Body.Slug, Title: r.Body.Title, Payloads: r.Body.Payloads})
	return gen.CreateTopic201JSONResponse(topicAnswer(t)), err
}

// ListTopics serves GET /v1/topics.
func (s *Server) ListTopics(ctx context.Context, r gen.ListTopicsRequestObject) (gen.ListTopicsResponseObject, error) {
	data, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after string, n int) ([]token.Topic, error) { return s.Tokens.Topics(ctx, after, n) },
		func(t token.Topic) string { return t.Slug }, topicAnswer)
	return gen.ListTopics200JSONResponse{Data: data, NextCursor: next}, err
}

// GetTopic serves GET /v1/topics/{slug}.
func (s *Server) GetTopic(ctx context.Context, r gen.GetTopicRequestObject) (gen.GetTopicResponseObject, error) {
	t, err := s.Tokens.Topic(ctx, r.Slug)
	return gen.GetTopic200JSONResponse(topicAnswer(t)), err
}

// UpdateTopic serves PATCH /v1/topics/{slug}.
func (s *Server) UpdateTopic(ctx context.Context, r gen.UpdateTopicRequestObject) (gen.UpdateTopicResponseObject, error) {
	change := token.TopicPatch{Title: r.Body.Title}
	if r.Body.Payloads != nil {
		change.Payloads = &r.Body.Payloads
	}
	t, err := s.Tokens.PatchTopic(ctx, r.Slug, change)
	return gen.UpdateTopic200JSONResponse(topicAnswer(t)), err
}

func topicAnswer(t token.Topic) gen.Topic {
	return gen.Topic{Slug: t.Slug, Title: t.Title, Payloads: append([]string{}, t.Payloads...), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}

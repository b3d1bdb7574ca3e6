package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/utility"
)

// CreateMessageTemplate serves POST /v1/pages/{id}/message-templates.
func (s *Server) CreateMessageTemplate(ctx context.Context, r gen.CreateMessageTemplateRequestObject) (gen.CreateMessageTemplateResponseObject, error) {
	b := r.Body
	draft := utility.Draft{Name: b.Name, Language: b.Language, Body: b.Body, Examples: b.Examples,
		Buttons: each(b.Buttons, func(t gen.TemplateButton) utility.Button {
			return utility.Button{Type: string(t.Type), Title: t.Title, URL: orZero(t.URL), Phone: orZero(t.PhoneNumber)}
		})}
	t, err := s.Templates.Create(ctx, r.ID, draft)
	if err != nil {
		return nil, err
	}
	a, err := templateAnswer(t)
	return gen.CreateMessageTemplate201JSONResponse(a), err
}

// ListMessageTemplates serves GET /v1/pages/{id}/message-templates.
func (s *Server) ListMessageTemplates(ctx context.Context, r gen.ListMessageTemplatesRequestObject) (gen.ListMessageTemplatesResponseObject, error) {
	list, err := s.templates(ctx, r.ID, r.Params.Cursor, r.Params.Limit)
	return gen.ListMessageTemplates200JSONResponse(list), err
}

// SyncMessageTemplates serves POST /v1/pages/{id}/message-templates/sync.
func (s *Server) SyncMessageTemplates(ctx context.Context, r gen.SyncMessageTemplatesRequestObject) (gen.SyncMessageTemplatesResponseObject, error) {
	if err := s.Templates.Sync(ctx, r.ID); err != nil {
		return nil, err
	}
	list, err := s.templates(ctx, r.ID, nil, nil)
	return gen.SyncMessageTemplates200JSONResponse(list), err
}

func (s *Server) templates(ctx context.Context, page uuid.UUID, cursor *gen.Cursor, limit *gen.Limit) (out gen.MessageTemplateList, err error) {
	if _, err := s.Pages.Get(ctx, page); err != nil {
		return out, err
	}
	rows, next, err := listed(cursor, limit,
		func(after uuid.UUID, n int) ([]utility.Template, error) { return s.Templates.List(ctx, page, after, n) },
		func(t utility.Template) uuid.UUID { return t.ID },
		func(t utility.Template) utility.Template { return t })
	if err != nil {
		return out, err
	}
	out = gen.MessageTemplateList{Data: make([]gen.MessageTemplate, len(rows)), NextCursor: next}
	for i, t := range rows {
		if out.Data[i], err = templateAnswer(t); err != nil {
			return out, err
		}
	}
	return out, nil
}

func templateAnswer(t utility.Template) (gen.MessageTemplate, error) {
	form, err := t.Form()
	if err != nil {
		return gen.MessageTemplate{}, fmt.Errorf("read message template %s: %w", t.ID, err)
	}
	return gen.MessageTemplate{ID: t.ID, PageID: t.PageID, Name: t.Name, Language: t.Language, Category: t.Category, Status: t.Status, Reason: orNull(t.Reason),
		Holes: append([]string{}, form.Holes...), Postbacks: form.Postbacks, Components: json.RawMessage(t.Components), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}, nil
}

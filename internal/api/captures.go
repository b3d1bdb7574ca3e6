package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/content"
)

// CreateCapture serves POST /v1/captures.
func (s *Server) CreateCapture(ctx context.Context, r gen.CreateCaptureRequestObject) (gen.CreateCaptureResponseObject, error) {
	b := r.Body
	c, err := s.Captures.Ask(ctx, capture.Request{ContactID: b.ContactID, PageID: b.PageID, Question: content.Question{
		Channel: channel.Kind(b.Channel), Text: b.Text, Consent: b.ConsentText,
		Decline: orZero(b.DeclineText), Again: orZero(b.AgainText), Thanks: orZero(b.ThanksText)}})
	return gen.CreateCapture201JSONResponse(captureAnswer(c)), err
}

// GetCapture serves GET /v1/captures/{id}.
func (s *Server) GetCapture(ctx context.Context, r gen.GetCaptureRequestObject) (gen.GetCaptureResponseObject, error) {
	c, err := s.Captures.Get(ctx, r.ID)
	return gen.GetCapture200JSONResponse(captureAnswer(c)), err
}

func captureAnswer(c capture.Capture) gen.Capture {
	return gen.Capture{ID: c.ID, ContactID: c.ContactID, PageID: c.PageID, Channel: gen.CaptureChannel(c.Channel), State: gen.CaptureState(c.State),
		CreatedAt: c.AskedAt, ExpiresAt: c.ExpiresAt}
}

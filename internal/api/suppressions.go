package api

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/fault"
)

// CreateSuppression serves POST /v1/suppressions.
func (s *Server) CreateSuppression(ctx context.Context, r gen.CreateSuppressionRequestObject) (gen.CreateSuppressionResponseObject, error) {
	row, created, err := s.Contacts.SuppressOne(ctx, contact.Silence{Channel: channel.Kind(r.Body.Channel), Address: r.Body.Address,
		Reason: cmp.Or(string(orZero(r.Body.Reason)), contact.ReasonManual), Source: "api"})
	switch {
	case err != nil:
		return nil, err
	case created:
		return gen.CreateSuppression201JSONResponse(suppressionAnswer(row)), nil
	}
	return gen.CreateSuppression200JSONResponse(suppressionAnswer(row)), nil
}

// ListSuppressions serves GET /v1/suppressions.
func (s *Server) ListSuppressions(ctx context.Context, r gen.ListSuppressionsRequestObject) (gen.ListSuppressionsResponseObject, error) {
	q := r.Params
	if q.Address != nil && q.Channel == nil {
		return nil, fault.InvalidFields(fault.Field{Pointer: "/query/channel", Code: codeRequired, Detail: "Must stand beside an address."})
	}
	var after uuid.UUID
	if err := readCursor(q.Cursor, &after); err != nil {
		return nil, err
	}
	rows, last, err := s.Contacts.Suppressions(ctx, contact.SuppressionFilter{Channel: channel.Kind(orZero(q.Channel)),
		Address: orZero(q.Address), Reason: string(orZero(q.Reason))}, after, limitOf(q.Limit))
	if err != nil {
		return nil, err
	}
	next, err := cursorAfter(last)
	return gen.ListSuppressions200JSONResponse{Data: each(rows, suppressionAnswer), NextCursor: next}, err
}

// DeleteSuppression serves DELETE /v1/suppressions/{id}.
func (s *Server) DeleteSuppression(ctx context.Context, r gen.DeleteSuppressionRequestObject) (gen.DeleteSuppressionResponseObject, error) {
	return gen.DeleteSuppression204Response{}, s.Contacts.Lift(ctx, r.ID)
}

// LiftSuppression serves POST /v1/suppressions/lift.
func (s *Server) LiftSuppression(ctx context.Context, r gen.LiftSuppressionRequestObject) (gen.LiftSuppressionResponseObject, error) {
	return gen.LiftSuppression204Response{}, s.Contacts.LiftOne(ctx, contact.Silence{Channel: channel.Kind(r.Body.Channel),
		Address: r.Body.Address, Reason: string(r.Body.Reason)})
}

func suppressionAnswer(x contact.Suppression) gen.Suppression {
	return gen.Suppression{ID: x.ID, Channel: gen.SuppressionChannel(x.Channel), Reason: gen.SuppressionReason(x.Reason),
		Source: orNull(x.Source), CreatedAt: x.CreatedAt, RefusedAt: x.RefusedAt}
}

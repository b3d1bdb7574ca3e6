package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/contact"
)

// ListConsents serves GET /v1/contacts/{id}/consents.
func (s *Server) ListConsents(ctx context.Context, r gen.ListConsentsRequestObject) (gen.ListConsentsResponseObject, error) {
	var after int64
	if err := readCursor(r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	rows, last, err := s.Contacts.Consents(ctx, r.ID, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	next, err := cursorAfter(last)
	return gen.ListConsents200JSONResponse{Data: each(rows, consentChangeAnswer), NextCursor: next}, err
}

func consentChangeAnswer(c contact.ConsentChange) gen.ConsentChange {
	return gen.ConsentChange{Channel: gen.SuppressionChannel(c.Channel), Status: orNull(c.Status), Source: orNull(c.Source), At: c.At,
		Evidence: orNull(c.Evidence), How: gen.ConsentChangeHow(c.How), NotedAt: c.NotedAt}
}

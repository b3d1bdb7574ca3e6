package api

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/event"
)

// ListEvents serves GET /v1/events. Whoever pulls keeps the cursor, so there is
// one even when there is nothing more yet.
func (s *Server) ListEvents(ctx context.Context, r gen.ListEventsRequestObject) (gen.ListEventsResponseObject, error) {
	var after uuid.UUID
	if err := readCursor(r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	list, err := s.Events.List(ctx, after, limitOf(r.Params.Limit), event.Filter{Type: event.Type(orZero(r.Params.Type))})
	if err != nil {
		return nil, err
	}
	if n := len(list); n > 0 {
		after = list[n-1].ID
	}
	next, err := cursorAfter(after)
	return gen.ListEvents200JSONResponse{Data: each(list, eventAnswer), NextCursor: next}, err
}

func eventAnswer(e event.Event) gen.Event {
	out := gen.Event{ID: e.ID, Type: gen.EventType(e.Type), At: e.At, Data: e.Data, PageID: idOrNull(e.Page),
		CampaignID: idOrNull(e.Campaign), ContactID: idOrNull(e.Contact)}
	if e.Delivery != 0 {
		out.DeliveryID = &e.Delivery
	}
	return out
}

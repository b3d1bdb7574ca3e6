package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/timeline"
)

// GetTimeline serves GET /v1/contacts/{id}/timeline.
func (s *Server) GetTimeline(ctx context.Context, r gen.GetTimelineRequestObject) (gen.GetTimelineResponseObject, error) {
	var after timeline.Position
	if err := readCursor(r.Params.Cursor, &after); err != nil {
		return nil, err
	}
	if r.Params.Cursor != nil && after == (timeline.Position{}) { // no page ends before the first item
		after.Rank = -1
	}
	items, last, err := s.Timelines.List(ctx, r.ID, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	next, err := cursorAfter(last)
	return gen.GetTimeline200JSONResponse{Data: each(items, timelineAnswer), NextCursor: next}, err
}

func timelineAnswer(it timeline.Item) gen.TimelineItem {
	out := gen.TimelineItem{ID: it.ID, At: it.At, Type: it.Type, PageID: idOrNull(it.Page), CampaignID: idOrNull(it.Campaign), Data: it.Data}
	if it.Channel != "" {
		kind := gen.TimelineItemChannel(it.Channel)
		out.Channel = &kind
	}
	if it.Delivery != 0 {
		out.DeliveryID = &it.Delivery
	}
	return out
}

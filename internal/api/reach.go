package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/fault"
	"beckon/internal/route"
)

// lanes are those that campaigns can take, in the default order of preference.
func lanes() []channel.Lane {
	return channel.Lanes()
}

// GetReach serves GET /v1/contacts/{id}/reach.
func (s *Server) GetReach(ctx context.Context, r gen.GetReachRequestObject) (gen.GetReachResponseObject, error) {
	if _, err := s.Contacts.Get(ctx, r.ID); err != nil {
		return nil, err
	}
	if _, err := s.Pages.Get(ctx, r.Params.PageID); fault.Is(err, fault.NotFound) {
		return nil, fault.InvalidFields(fault.Field{Pointer: "/query/page_id", Code: "page_not_found", Detail: "There is no such page."})
	} else if err != nil {
		return nil, err
	}
	if err := s.knowsTopic(ctx, r.Params.Topic); err != nil {
		return nil, err
	}
	decisions, err := s.Engine.Reach(ctx, r.ID, r.Params.PageID, orZero(r.Params.Topic))
	if err != nil {
		return nil, err
	}
	return gen.GetReach200JSONResponse(reachAnswer(decisions)), nil
}

// knowsTopic refuses a topic that is not there: it would be told as one that the
// person gave no permission for.
func (s *Server) knowsTopic(ctx context.Context, slug *string) error {
	if slug == nil {
		return nil
	}
	_, err := s.Tokens.Topic(ctx, *slug)
	if fault.Is(err, fault.NotFound) {
		return fault.InvalidFields(fault.Field{Pointer: "/query/topic", Code: "topic_not_found", Detail: "There is no such topic."})
	}
	return err
}

func reachAnswer(decisions map[channel.Lane]route.Decision) gen.Reach {
	var out gen.Reach
	for _, lane := range lanes() {
		d := decisions[lane]
		if d.Reachable() && out.Lane == nil {
			out.Lane = orNull(string(lane))
		}
		out.Lanes = append(out.Lanes, gen.LaneReach{Lane: gen.Lane(lane), Open: d.Reachable(), Reason: orNull(string(d.Why()))})
	}
	return out
}

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"beckon/internal/api/gen"
	"beckon/internal/campaign"
	"beckon/internal/content"
	"beckon/internal/dispatch"
	"beckon/internal/fault"
	"beckon/internal/route"
)

// PreviewCampaign serves POST /v1/campaigns/{id}/preview.
func (s *Server) PreviewCampaign(ctx context.Context, r gen.PreviewCampaignRequestObject) (gen.PreviewCampaignResponseObject, error) {
	c, err := s.Campaigns.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Engine.Preview(ctx, c)
	if err != nil {
		return nil, err
	}
	warnings, err := s.warnings(ctx, c)
	if err != nil {
		return nil, err
	}
	prices, err := s.Budgets.Prices(ctx)
	if err != nil {
		return nil, err
	}
	bill := estimate(p.SMS, prices)
	warnings = append(warnings, slices.Concat(rendering(p), tooLate(p.Held), costly(c, bill))...)
	samples, err := s.samples(p.Sample)
	if err != nil {
		return nil, err
	}
	worst, err := s.worst(p)
	if err != nil {
		return nil, err
	}
	return gen.PreviewCampaign200JSONResponse{Audience: int64(p.Audience), Messenger: int64(p.Messenger), LinkBack: int64(p.LinkBack),
		Unreachable: unreachable(p.Unreachable, p.Reasons), Lanes: counts(p.Lanes), Held: heldPeople(p.Held), SMSSegments: int64(p.SMS.Segments), SMS: bill,
		Warnings: warnings, Samples: samples, Worst: worst}, nil
}

func heldPeople(h dispatch.Held) gen.HeldPeople {
	out := gen.HeldPeople{Total: int64(h.Total)}
	if h.Total > 0 {
		out.First, out.Last = &h.First, &h.Last
	}
	return out
}

// tooLate warns of people who cannot be written to before the deadline.
func tooLate(h dispatch.Held) []gen.Warning {
	if h.Late == 0 {
		return nil
	}
	return []gen.Warning{warning("/ends_at", "deadline_before_release",
		fmt.Sprintf("For %d people the deadline comes before the time at which they may be written to: they are given up as expired.", h.Late))}
}

// rendering warns of people for whom the content cannot be rendered.
func rendering(p dispatch.Preview) []gen.Warning {
	out := problemsOf(p.Sample)
	for _, lane := range slices.Sorted(maps.Keys(p.Unsayable)) {
		out = append(out, warning("/content/"+campaign.Part(lane), "cannot_be_rendered",
			fmt.Sprintf("For %d people on the lane %s it cannot be rendered: they go on to their next lane.", p.Unsayable[lane], lane)))
	}
	return out
}

func (s *Server) samples(of campaign.Sample) (out gen.Samples, err error) {
	if len(of.Messenger) > 0 {
		if out.Messenger, err = messageAnswer(of.Messenger); err != nil {
			return out, fmt.Errorf("read the sample: %w", err)
		}
	}
	if len(of.Utility) > 0 {
		if err := json.Unmarshal(of.Utility, &out.Utility); err != nil {
			return out, fmt.Errorf("read the sample: %w", err)
		}
	}
	if of.SMS != "" {
		out.SMS = &gen.SMSSample{Text: of.SMS, Segments: s.Engine.Segments(of.SMS)}
	}
	if of.Email != nil && of.Email.Subject != "" {
		out.Email = &gen.EmailSample{Subject: of.Email.Subject, HTML: of.Email.HTML, Text: of.Email.Text}
	}
	if len(of.Problems) > 0 {
		out.Problems = problemsOf(of)
	}
	return out, nil
}

func (s *Server) worst(p dispatch.Preview) (out gen.WorstSamples, err error) {
	if out.LongestName, err = s.samples(p.LongestName); err != nil {
		return out, err
	}
	out.NothingKnown, err = s.samples(p.Nameless)
	return out, err
}

func problemsOf(of campaign.Sample) []gen.Warning {
	return each(of.Problems, func(f fault.Field) gen.Warning { return warning(f.Pointer, f.Code, f.Detail) })
}

// messageAnswer turns a message as it goes to Messenger back into content.
func messageAnswer(wire []byte) (*gen.MessengerContent, error) {
	content, err := json.Marshal(content.Rendered(wire))
	if err != nil {
		return nil, err
	}
	var out gen.MessengerContent
	return &out, json.Unmarshal(content, &out)
}

func unreachable(total int, reasons map[route.Reason]int) gen.Unreachable {
	return gen.Unreachable{Total: int64(total), Reasons: counts(reasons)}
}

// counts answers counts by name; it is never null.
func counts[K ~string](of map[K]int) map[string]int64 {
	out := make(map[string]int64, len(of))
	for k, n := range of {
		out[string(k)] = int64(n)
	}
	return out
}

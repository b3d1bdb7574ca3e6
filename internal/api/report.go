package api

import (
	"context"
	"slices"

	"beckon/internal/api/gen"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/delivery"
	"beckon/internal/line"
)

// GetReport serves GET /v1/campaigns/{id}/report.
func (s *Server) GetReport(ctx context.Context, r gen.GetReportRequestObject) (gen.GetReportResponseObject, error) {
	c, err := s.Campaigns.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	route, err := c.Lanes()
	if err != nil {
		return nil, err
	}
	counted, err := s.Ledger.Report(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	stopped, err := s.stopped(ctx, c, route)
	if err != nil {
		return nil, err
	}
	followed, err := s.Loop.Count(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	spent, err := s.Budgets.Spent(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	out := reportAnswer(c, route, counted, stopped)
	out.FollowUps = gen.FollowUpCount{Open: followed.Open, Done: followed.Done, Skipped: followed.Skipped, Thanked: followed.Thanked, Asked: followed.Asked}
	out.SMS = spentAnswer(spent)
	return gen.GetReport200JSONResponse(out), nil
}

func reportAnswer(c campaign.Campaign, route []channel.Lane, r delivery.Report, stopped []gen.StoppedSender) gen.Report {
	out := gen.Report{State: gen.CampaignState(c.State), Audience: int64(r.Audience),
		Messenger: tallyAnswer(r.Messenger), LinkBack: tallyAnswer(r.LinkBack), Unreachable: unreachable(r.Unreachable.Total, r.Reasons),
		Lanes: map[string]gen.Tally{}, Clicked: int64(r.Clicked), Returned: int64(r.Returned), Replied: int64(r.Replied), Complaints: int64(r.Complaints),
		Escalated:     gen.Escalated{CampaignID: r.Escalation, Total: int64(r.Escalated.Total), States: counts(r.Escalated.States)},
		TokensGranted: int64(r.TokensGranted), Stopped: stopped,
		Unknown: gen.UnknownCount{Settling: int64(r.Settling), ToResolve: int64(r.ToResolve)}}
	for _, lane := range route { // those that nobody took are shown as well
		out.Lanes[string(lane)] = tallyAnswer(r.Lanes[lane])
	}
	return out
}

func tallyAnswer(t delivery.Tally) gen.Tally {
	return gen.Tally{Total: int64(t.Total), States: counts(t.States)}
}

// stopped tells which senders of a campaign must not be used now.
func (s *Server) stopped(ctx context.Context, c campaign.Campaign, route []channel.Lane) ([]gen.StoppedSender, error) {
	var senders []string
	for _, lane := range route {
		if name := lane.Line(c.PageID.String()); !slices.Contains(senders, name) {
			senders = append(senders, name)
		}
	}
	slices.Sort(senders)
	lines, err := s.Lines.Stopped(ctx, senders...)
	return each(lines, stoppedAnswer), err
}

func stoppedAnswer(l line.Line) gen.StoppedSender {
	return gen.StoppedSender{Sender: l.Sender, Code: l.Code, Detail: l.Detail, Since: orZero(l.StoppedAt), RetryAt: l.RetryAt}
}

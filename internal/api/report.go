package api

import (
	"context"
	"fmt"
	"time"

	"beckon/internal/api/gen"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/delivery"
	"beckon/internal/page"
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
	return gen.GetReport200JSONResponse(reportAnswer(c, route, counted, stopped)), nil
}

func reportAnswer(c campaign.Campaign, route []channel.Lane, r delivery.Report, stopped []gen.StoppedSender) gen.Report {
	out := gen.Report{State: gen.CampaignState(c.State), Audience: int64(r.Audience),
		Messenger: tallyAnswer(r.Messenger), LinkBack: tallyAnswer(r.LinkBack), Unreachable: unreachable(r.Unreachable.Total, r.Reasons),
		Lanes: map[string]gen.Tally{}, Clicked: int64(r.Clicked), Returned: int64(r.Returned), Replied: int64(r.Replied),
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
		if kind := lane.Kind(); kind == channel.Messenger {
			senders = append(senders, page.Line(c.PageID))
		} else {
			senders = append(senders, string(kind))
		}
	}
	var rows []struct {
		Sender, Code string
		Since        time.Time
	}
	err := s.DB.Read(ctx).Raw("SELECT sender, code, since FROM line_stops WHERE sender IN ? AND retry_at > ? ORDER BY sender", senders, s.Now()).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read which senders are stopped: %w", err)
	}
	out := make([]gen.StoppedSender, len(rows))
	for i, r := range rows {
		out[i] = gen.StoppedSender{Sender: r.Sender, Code: r.Code, Since: r.Since}
	}
	return out, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// count gathers what there is to be known about a campaign.
func (s *stage) count(ctx context.Context, campaign string) (outcome, error) {
	o := outcome{people: s.contacts, sent: map[string]int{}, tokens: map[string]int{}}
	for _, step := range []func(context.Context, string, *outcome) error{s.countReport, s.countDeliveries, s.countStandIns, s.countTokens} {
		if err := step(ctx, campaign, &o); err != nil {
			return o, fmt.Errorf("count: %w", err)
		}
	}
	return o, nil
}

func (s *stage) countReport(ctx context.Context, campaign string, o *outcome) (err error) {
	if o.state, err = s.state(ctx, campaign); err != nil {
		return err
	}
	return s.api.Get(ctx, "/v1/campaigns/"+campaign+"/report", &o.report)
}

func (s *stage) countDeliveries(ctx context.Context, campaign string, o *outcome) error {
	lines, err := s.api.Do(ctx, rig.Request{Method: http.MethodGet, Path: "/v1/campaigns/" + campaign + "/deliveries",
		Header: http.Header{"Accept": {"application/x-ndjson"}}})
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(lines)); ; {
		var d delivery
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		o.deliveries = append(o.deliveries, d)
	}
}

func (s *stage) countStandIns(ctx context.Context, _ string, o *outcome) error {
	var by map[simulator.Provider]map[string]int
	var counts simulator.Counts
	if err := errors.Join(s.standIns.Get(ctx, "/recipients", &by), s.standIns.Get(ctx, "/counts", &counts)); err != nil {
		return err
	}
	for _, recipients := range by {
		for to, n := range recipients {
			o.sent[to] += n
		}
	}
	for _, c := range counts {
		if c.Callbacks.Lost > 0 {
			return fmt.Errorf("%d callbacks were given up: what is unknown proves nothing", c.Callbacks.Lost)
		}
		if c.Tokens != nil {
			o.shown, o.repeated = c.Tokens.Shown, c.Tokens.Repeated
		}
	}
	return nil
}

func (s *stage) countTokens(ctx context.Context, _ string, o *outcome) error {
	var rows []struct {
		Status string
		N      int
	}
	err := s.ledger.Read(ctx).Raw("SELECT status, COUNT(*) AS n FROM tokens GROUP BY status").Scan(&rows).Error
	for _, r := range rows {
		o.tokens[r.Status] = r.N
	}
	return err
}

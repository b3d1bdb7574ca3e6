package main

import (
	"context"
	"time"

	"beckon/internal/simulator"
)

// rolling asks each of three nodes to end and starts it again, one after the
// other, in the middle of a campaign.
func rolling(ctx context.Context, t *trial) error {
	p := plan{nodes: 3, people: t.contacts, settings: []string{"BECKON_PARALLEL=1"}}
	return t.open(ctx, p, func(s *stage) error {
		slow := simulator.Faults{Latency: 300 * time.Millisecond, LatencyJitter: 200 * time.Millisecond, DuplicateCallbacks: 0.1, LateCallbacks: 0.2, LateBy: 3 * time.Second}
		if err := s.standIns.SetFaults(ctx, slow); err != nil {
			return err
		}
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		if _, err := s.underWay(ctx, p.people/20); err != nil {
			return err
		}
		during, longest := 0, time.Duration(0)
		for _, n := range s.nodes {
			began := time.Now()
			if err := s.stop(n); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
			state, err := s.state(ctx, campaign)
			if err != nil {
				return err
			}
			if state == "running" {
				during++
			}
			if err := s.start(ctx, n); err != nil {
				return err
			}
		}
		t.must(during == len(s.nodes), "nodes restarted while the campaign ran", "%d", during)
		t.note("longest that a node took to end", "%s", seconds(longest))
		if err := s.finished(ctx, campaign, 2*time.Minute); err != nil {
			return err
		}
		o, err := s.count(ctx, campaign)
		if err != nil {
			return err
		}
		f := t.judge(o)
		t.must(f.unknown == 0, "unknown after a restart that nobody should notice", "%d", f.unknown)
		return nil
	})
}

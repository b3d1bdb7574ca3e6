package main

import (
	"context"
	"time"

	"beckon/internal/simulator"
)

// pauseWithin is how soon a pause must be heeded on every node.
const pauseWithin = 2 * time.Second

// pause presses pause on one of three nodes in the middle of a campaign, with
// providers that take their time, and looks how long calls still arrive.
func pause(ctx context.Context, t *trial) error {
	p := plan{nodes: 3, people: min(t.contacts, 6_000), settings: []string{"BECKON_PARALLEL=1"}}
	return t.open(ctx, p, func(s *stage) error {
		if err := s.standIns.SetFaults(ctx, simulator.Faults{Latency: 400 * time.Millisecond, LatencyJitter: 200 * time.Millisecond}); err != nil {
			return err
		}
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		calls, err := s.underWay(ctx, p.people/20)
		if err != nil {
			return err
		}
		pressed := time.Now()
		if err := s.nodes[0].run.Post(ctx, "/v1/campaigns/"+campaign+"/pause", nil, nil); err != nil {
			return err
		}
		last, after, err := s.lastCall(ctx, pressed)
		if err != nil {
			return err
		}
		t.note("calls before the pause, and when it had settled", "%d, %d", calls, after)
		t.must(last < pauseWithin, "last new call after the pause was pressed", "%s", seconds(last))
		o, err := s.count(ctx, campaign)
		if err != nil {
			return err
		}
		t.must(o.state == "paused" && o.find().unattended > 0, "people who wait for the campaign to go on", "%d", o.find().unattended)
		if err := s.nodes[1].run.Post(ctx, "/v1/campaigns/"+campaign+"/resume", nil, nil); err != nil {
			return err
		}
		if err := s.finished(ctx, campaign, 2*time.Minute); err != nil {
			return err
		}
		return s.settle(ctx, campaign)
	})
}

// calls is how many sends all stand-ins have seen, and how many messages they
// took.
func (s *stage) calls(ctx context.Context) (requests, accepted int64, err error) {
	var counts simulator.Counts
	err = s.standIns.Get(ctx, "/counts", &counts)
	for _, c := range counts {
		requests, accepted = requests+c.Requests, accepted+c.Accepted
	}
	return requests, accepted, err
}

// underWay waits until so many messages were taken.
func (s *stage) underWay(ctx context.Context, messages int) (calls int64, err error) {
	err = patiently(ctx, time.Minute, func() (bool, error) {
		var accepted int64
		var err error
		calls, accepted, err = s.calls(ctx)
		return accepted >= int64(messages), err
	})
	return calls, err
}

// lastCall watches until no new call has come for three seconds, and tells when
// the last one came.
func (s *stage) lastCall(ctx context.Context, since time.Time) (last time.Duration, calls int64, err error) {
	changed := since
	for time.Since(changed) < 3*time.Second {
		n, _, err := s.calls(ctx)
		if err != nil {
			return 0, 0, err
		}
		if n != calls {
			calls, changed = n, time.Now()
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return changed.Sub(since), calls, nil
}

package main

import (
	"context"
	"fmt"
	"time"

	"beckon/internal/simulator"
)

// line is a pace that is set, and how it is kept.
type line struct {
	name     string
	setting  string
	provider simulator.Provider
	pace     float64
}

func lines() []line {
	return []line{
		{"Messenger", "BECKON_MESSENGER_PER_SECOND", simulator.Graph, 100},
		{"SMS", "BECKON_SMS_SEGMENTS_PER_SECOND", simulator.Twilio, 40},
		{"e-mail", "BECKON_EMAILS_PER_SECOND", simulator.SendGrid, 40},
	}
}

// precision is how well a rate can be measured from readings 50 ms apart.
const precision = 0.005

// pace measures how fast three nodes send together when a pace is set.
func pace(ctx context.Context, t *trial) error {
	// A lane's people last for half a minute at its pace: 11, 4 and 4 in 20.
	p := plan{nodes: 3, people: 6_000}
	for _, l := range lines() {
		p.settings = append(p.settings, fmt.Sprintf("%s=%g", l.setting, l.pace))
	}
	return t.open(ctx, p, func(s *stage) error {
		if err := s.standIns.SetFaults(ctx, simulator.Faults{Latency: 20 * time.Millisecond}); err != nil {
			return err
		}
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		rates, err := s.rates(ctx, campaign)
		if err != nil {
			return err
		}
		for _, l := range lines() {
			r := rates[l.provider]
			t.must(r <= (1+precision)*l.pace && r >= 0.95*l.pace, l.name+": rate of three nodes, of the pace set", "%.1f/s of %.0f/s (%.1f%%)", r, l.pace, 100*r/l.pace)
		}
		if err := s.finished(ctx, campaign, time.Minute); err != nil {
			return err
		}
		return s.settle(ctx, campaign)
	})
}

// reading is what a stand-in had taken at a moment.
type reading struct {
	at       time.Time
	accepted int64
}

// rates watches a campaign until it is finished and returns the messages per
// second of each stand-in, from the tenth part of its messages to the last
// tenth: how it starts and ends is no pace.
func (s *stage) rates(ctx context.Context, campaign string) (map[simulator.Provider]float64, error) {
	seen := map[simulator.Provider][]reading{}
	for n := 0; ; n++ {
		var counts simulator.Counts
		if err := s.standIns.Get(ctx, "/counts", &counts); err != nil {
			return nil, err
		}
		now := time.Now()
		for p, c := range counts {
			seen[p] = append(seen[p], reading{now, c.Accepted})
		}
		if n%20 == 0 {
			if state, err := s.state(ctx, campaign); err != nil || state == "finished" {
				return ratesOf(seen), err
			}
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func ratesOf(seen map[simulator.Provider][]reading) map[simulator.Provider]float64 {
	out := map[simulator.Provider]float64{}
	for p, all := range seen {
		out[p] = steady(all)
	}
	return out
}

// steady is the rate between the moments at which a tenth and nine tenths of
// everything had just been taken. Both are ends of a chunk: from one to the
// other there are as many pauses as chunks.
func steady(all []reading) float64 {
	total := all[len(all)-1].accepted
	var from, to reading
	for _, x := range all {
		if from.at.IsZero() && x.accepted >= total/10 {
			from = x
		}
		if to.at.IsZero() && x.accepted >= total-total/10 {
			to = x
		}
	}
	took := to.at.Sub(from.at).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(to.accepted-from.accepted) / took
}

// closeToThree is what three nodes must send of what one does.
const closeToThree = 2.6

// scale measures how much faster three nodes are than one, where the provider's
// answers and not this machine are what they wait for: so no callbacks come.
func scale(ctx context.Context, t *trial) error {
	p := plan{nodes: 1, people: 6_000, only: "sms", silent: true, settings: []string{"BECKON_PARALLEL=1"}}
	return t.open(ctx, p, func(s *stage) error {
		if err := s.standIns.SetFaults(ctx, simulator.Faults{Latency: 100 * time.Millisecond}); err != nil {
			return err
		}
		one, err := s.perSecond(ctx)
		if err != nil {
			return err
		}
		for range 2 {
			if err := s.addNode(ctx); err != nil {
				return err
			}
		}
		three, err := s.perSecond(ctx)
		if err != nil {
			return err
		}
		t.note("one node, 100 ms for each answer", "%.0f messages/s", one)
		t.note("three nodes", "%.0f messages/s", three)
		t.must(three/one >= closeToThree, "three nodes send as much as one, times", "%.2f", three/one)
		return nil
	})
}

// perSecond runs a campaign over everybody and returns its rate, by the
// stand-ins' count.
func (s *stage) perSecond(ctx context.Context) (float64, error) {
	_, before, err := s.calls(ctx)
	if err != nil {
		return 0, err
	}
	campaign, err := s.campaign(ctx, "sms")
	if err != nil {
		return 0, err
	}
	var all []reading
	for n := int64(0); n < int64(len(s.people)); {
		_, now, err := s.calls(ctx)
		if err != nil {
			return 0, err
		}
		n = now - before
		all = append(all, reading{time.Now(), n})
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return steady(all), s.finished(ctx, campaign, time.Minute)
}

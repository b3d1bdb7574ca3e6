package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// kills ends nodes with kill -9 in the middle of a campaign, again and again,
// while the providers are at their worst.
func kills(ctx context.Context, t *trial) error {
	p := plan{nodes: 3, people: t.contacts}
	if t.engine == onSQLite {
		p.nodes, p.settings = 1, []string{"BECKON_PARALLEL=12"}
	}
	if t.short {
		p.settings = append(p.settings, "BECKON_JOB_TIMEOUT=15s")
	}
	return t.open(ctx, p, func(s *stage) error {
		if err := s.storm(ctx); err != nil {
			return err
		}
		began := time.Now()
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		over := watch(s.ledger)
		stop := over.watching(ctx)
		n, err := s.killMany(ctx, campaign, over)
		if err == nil {
			err = s.finished(ctx, campaign, 4*time.Minute)
		}
		took := time.Since(began)
		if err == nil { // a periodic job may still wait for its node's time to be over
			err = patiently(ctx, time.Minute, func() (bool, error) { return over.left() == 0, nil })
		}
		stop()
		if err != nil {
			return err
		}
		t.must(n >= t.kills, "kill -9 of a node while the campaign ran", "%d", n)
		t.note("the campaign took", "%s", seconds(took))
		t.must(over.longest < time.Minute, "longest until a dead node's work was taken up", "%s, of %d jobs", seconds(over.longest), over.jobs)
		return s.settle(ctx, campaign)
	})
}

// killMany kills and restarts random nodes until there were enough, or the
// campaign is over. It returns how many died while it ran.
func (s *stage) killMany(ctx context.Context, campaign string, over *takeovers) (n int, err error) {
	least, most := 500*time.Millisecond, 3500*time.Millisecond
	if s.short {
		least, most = 300*time.Millisecond, 1200*time.Millisecond
	}
	g, starting := errgroup.WithContext(ctx)
	var ended atomic.Bool
	for n < s.kills && !ended.Load() && starting.Err() == nil {
		if err := sleep(ctx, s.between(least, most)); err != nil {
			return n, errors.Join(err, g.Wait())
		}
		victim, pause := s.nodes[s.dice.IntN(len(s.nodes))], s.between(0, 500*time.Millisecond)
		pid, at := victim.kill(), time.Now()
		s.gate.Shut(victim.addr)
		if pid == 0 {
			continue // it was on its way up and did not get there
		}
		if err := over.died(ctx, pid, at); err != nil {
			return n, errors.Join(err, g.Wait())
		}
		n++
		again := func() error {
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			if err := s.start(ctx, victim); err != nil {
				return err
			}
			state, err := s.state(ctx, campaign)
			if err == nil && state == "finished" {
				ended.Store(true)
			}
			return nil // the node that was asked may just have died
		}
		g.Go(again)
	}
	return n, g.Wait()
}

// settle judges what came of the campaign; what is unknown then is sent again,
// as a person would decide, and everybody was attempted.
func (s *stage) settle(ctx context.Context, campaign string) error {
	o, err := s.count(ctx, campaign)
	if err != nil {
		return err
	}
	f := s.judge(o)
	if f.unknown == 0 {
		return nil
	}
	if err := s.calm(ctx); err != nil {
		return err
	}
	var resolved struct{ Resolved, Left int }
	if err := s.api.Post(ctx, "/v1/campaigns/"+campaign+"/resolve", map[string]any{"action": "resend", "force": true}, &resolved); err != nil {
		return err
	}
	s.note("unknown that a person lets send again, and cannot", "%d, %d", resolved.Resolved, resolved.Left)
	if err := s.finished(ctx, campaign, 2*time.Minute); err != nil {
		return err
	}
	if o, err = s.count(ctx, campaign); err != nil {
		return err
	}
	o.resolved = true
	s.must(resolved.Resolved+resolved.Left == f.unknown, "  of", "%d", f.unknown)
	s.note("and after those were sent again:", "")
	s.judge(o)
	return nil
}

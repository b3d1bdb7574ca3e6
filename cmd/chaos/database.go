package main

import (
	"context"
	"errors"
	"time"

	"beckon/internal/db/dbtest"
	"beckon/internal/rig"
)

// outages is how often the database is stopped, and away how long it then is.
const (
	outages = 2
	away    = 5 * time.Second
)

// database stops PostgreSQL in immediate mode, which is what a power cut does to
// it, and starts it again, in the middle of a campaign.
func database(ctx context.Context, t *trial) (err error) {
	cluster, err := dbtest.StartCluster(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	d, err := rig.Postgres(ctx, cluster.URL)
	if err != nil {
		return err
	}
	return t.open(ctx, plan{nodes: 3, people: min(t.contacts, 10_000), database: d, settings: []string{"BECKON_PARALLEL=2"}}, func(s *stage) error {
		if err := s.storm(ctx); err != nil {
			return err
		}
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		for i := range outages {
			if _, err := s.underWay(ctx, len(s.people)*(2*i+1)/10); err != nil {
				return err
			}
			if err := s.outage(ctx, cluster); err != nil {
				return err
			}
		}
		t.must(s.up() == len(s.nodes), "nodes that are up after PostgreSQL was away, all along", "%d of %d", s.up(), len(s.nodes))
		if err := s.finished(ctx, campaign, 3*time.Minute); err != nil {
			return err
		}
		return s.settle(ctx, campaign)
	})
}

// outage stops the database for a while and looks what callers are told.
func (s *stage) outage(ctx context.Context, cluster *dbtest.Cluster) error {
	if err := cluster.Crash(); err != nil {
		return err
	}
	if err := sleep(ctx, away); err != nil {
		return err
	}
	s.mustSay(ctx, "database_away", "while PostgreSQL is away")
	if err := cluster.Start(); err != nil {
		return err
	}
	began := time.Now()
	err := patiently(ctx, time.Minute, func() (bool, error) { return s.api.Ready(ctx), nil })
	s.note("ready again after PostgreSQL was started", "%s", seconds(time.Since(began)))
	return err
}

// up is how many nodes have not ended.
func (s *stage) up() (n int) {
	for _, x := range s.nodes {
		select {
		case <-x.run.Ended():
		default:
			n++
		}
	}
	return n
}

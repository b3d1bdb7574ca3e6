package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"beckon/internal/rig"
)

// inbox ends nodes with kill -9 while webhooks pour in at a fixed rate. Whatever was
// acknowledged must be applied, however its node ended.
func inbox(ctx context.Context, t *trial) error {
	p := plan{nodes: 2, people: 100, silent: true, settings: []string{"BECKON_JOB_TIMEOUT=15s"}}
	posts := rig.Posts{Rate: 1000, For: 30 * time.Second, Once: true}
	if t.engine == onSQLite {
		p.nodes, posts.Rate = 1, 200
	}
	if t.short {
		posts.Rate, posts.For = posts.Rate/4, 6*time.Second
	}
	return t.open(ctx, p, func(s *stage) error {
		over := make(chan rig.Posted, 1)
		go func() { over <- posts.Run(ctx, s.api) }()
		kills, posted, err := s.killUntil(ctx, over)
		if err != nil {
			return err
		}
		ended := time.Now()
		if err := s.quiet(ctx); err != nil {
			return err
		}
		t.must(kills > 0, "kill -9 of a node while webhooks came in", "%d", kills)
		t.note("webhooks posted, and acknowledged", "%d, %d", posted.Posts, len(posted.Answers))
		t.note("the last was applied after", "%s", seconds(time.Since(ended)))
		return s.judgeInbox(ctx, posted)
	})
}

// killUntil kills and restarts nodes, one after the other, until all is posted.
func (s *stage) killUntil(ctx context.Context, over <-chan rig.Posted) (kills int, posted rig.Posted, err error) {
	for {
		select {
		case posted = <-over:
			return kills, posted, context.Cause(ctx)
		case <-time.After(s.between(700*time.Millisecond, 2500*time.Millisecond)):
		}
		victim := s.nodes[s.dice.IntN(len(s.nodes))]
		if victim.kill() == 0 {
			continue
		}
		kills++
		s.gate.Shut(victim.addr)
		if err := s.start(ctx, victim); err != nil {
			return kills, posted, errors.Join(err, context.Cause(ctx))
		}
	}
}

// judgeInbox looks for what each acknowledged event must have done: nobody acted in
// two of them, and each who acted has a window from then.
func (s *stage) judgeInbox(ctx context.Context, posted rig.Posted) error {
	windows, err := rig.Windows(ctx, s.ledger, s.page)
	if err != nil {
		return fmt.Errorf("read the windows: %w", err)
	}
	lost := 0
	for psid, at := range posted.Acted {
		if windows[psid].Before(at) {
			lost++
		}
	}
	var events int
	err = s.ledger.Read(ctx).Raw("SELECT COALESCE(SUM(events), 0) FROM callbacks WHERE applied_at IS NOT NULL").Row().Scan(&events)
	if err != nil {
		return fmt.Errorf("count the events: %w", err)
	}
	s.must(len(posted.Acted) > 0 && lost == 0, "acknowledged acts of people that did nothing", "%d of %d", lost, len(posted.Acted))
	s.must(events >= posted.Events, "events acknowledged, and applied", "%d, %d", posted.Events, events)
	return nil
}

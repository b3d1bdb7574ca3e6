package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"beckon/internal/db"
	"beckon/internal/rig"
)

// writers is how many people write in the posts that are measured.
const writers = 3000

// posts lets webhooks come at a fixed rate, and measures how long their answers
// take and when the last is applied. Every event that was acknowledged must be.
func (r *runOn) posts(ctx context.Context) (err error) {
	look, err := db.Open(ctx, db.Options{URL: r.database.URL, Dir: r.database.Dir, MaxConns: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, look.Close()) }()
	before, err := applied(ctx, look)
	if err != nil {
		return err
	}
	rate, busy := r.postRate, r.server.Busy()
	if !r.judged {
		rate = max(1, rate/embeddedShare)
	}
	p := rig.Posts{Rate: rate, For: r.postFor, People: writers}.Run(ctx, r.server.Client)
	ended := time.Now()
	if err := rig.Until(ctx, time.Minute, allApplied(ctx, look)); err != nil {
		return fmt.Errorf("wait for the last webhook to be applied: %w", err)
	}
	backlog := time.Since(ended)
	perPost := (r.server.Busy() - busy) / time.Duration(p.Posts)
	after, err := applied(ctx, look)
	if err == nil {
		err = errors.Join(counted(p, after-before), r.windows(ctx, look, p))
	}
	if err != nil {
		return err
	}
	r.notePosts(p, rate, backlog, perPost)
	return nil
}

// embeddedShare is which part of the rate the embedded database is put to: it
// commits on one connection.
const embeddedShare = 4

func (r *runOn) notePosts(p rig.Posted, rate int, backlog, perPost time.Duration) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.note(figure{name: fmt.Sprintf("webhooks posted for %s", r.postFor), value: float64(len(p.Answers)) / max(p.Took, r.postFor).Seconds(), unit: "posts/s", target: 0.99 * float64(rate)})
	r.note(figure{name: "  answered within, half of them", value: ms(p.Answer(0.5)), unit: "ms"})
	r.note(figure{name: "  answered within, 99 of 100", value: ms(p.Answer(0.99)), unit: "ms", target: 100, most: true})
	r.note(figure{name: "  answered within, all", value: ms(p.Answer(1)), unit: "ms"})
	r.note(figure{name: "  all applied after the last answer", value: ms(backlog), unit: "ms", target: 5000, most: true})
	r.note(figure{name: "  processor time of beckon per post", value: float64(perPost) / float64(time.Microsecond), unit: "µs"})
	r.note(figure{name: "  acknowledged events, all applied", value: float64(p.Events), unit: "events"})
}

func applied(ctx context.Context, d *db.DB) (events int, err error) {
	err = d.Read(ctx).Raw("SELECT COALESCE(SUM(events), 0) FROM callbacks WHERE applied_at IS NOT NULL").Row().Scan(&events)
	return events, err
}

// allApplied looks at the newest callbacks first: to look at all of them again and
// again would hold up what is waited for.
func allApplied(ctx context.Context, d *db.DB) func() (bool, error) {
	return func() (bool, error) {
		for _, from := range []string{"(SELECT applied_at FROM callbacks ORDER BY id DESC LIMIT 1000) AS newest", "callbacks"} {
			var waiting bool
			if err := d.Read(ctx).Raw("SELECT EXISTS (SELECT 1 FROM " + from + " WHERE applied_at IS NULL)").Row().Scan(&waiting); err != nil || waiting {
				return false, err
			}
		}
		return true, nil
	}
}

// counted compares what was acknowledged with what was applied: the same, or more
// where an answer was lost.
func counted(p rig.Posted, events int) error {
	if events < p.Events || p.Failed == 0 && events != p.Events {
		return fmt.Errorf("%d events were acknowledged, and %d applied (%d posts failed)", p.Events, events, p.Failed)
	}
	return nil
}

// windows compares, for each person, what they last did and what is known of it.
func (r *runOn) windows(ctx context.Context, d *db.DB, p rig.Posted) error {
	known, err := rig.Windows(ctx, d, r.page)
	if err != nil {
		return err
	}
	for psid, at := range p.Acted {
		if got := known[psid]; got.Before(at) || p.Failed == 0 && r.only != "" && !got.Equal(at) {
			return fmt.Errorf("somebody acted at %s, and the window is from %s", at, got)
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"beckon/internal/db"
)

// takeovers watches how long the jobs of killed nodes wait until another node
// works them.
type takeovers struct {
	ledger  *db.DB
	mu      sync.Mutex
	waiting map[int64]orphan
	jobs    int
	longest time.Duration
}

// orphan is a job whose node is dead.
type orphan struct {
	pid  int
	died time.Time
}

func watch(d *db.DB) *takeovers { return &takeovers{ledger: d, waiting: map[int64]orphan{}} }

// died notes the jobs that a killed process leaves behind.
func (t *takeovers) died(ctx context.Context, pid int, at time.Time) error {
	rows, err := t.rows(ctx, "state = 'running'")
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rows {
		if r.last(pid) {
			t.waiting[r.ID] = orphan{pid, at}
			t.jobs++
		}
	}
	return nil
}

type jobRow struct {
	ID   int64
	By   string
	Done bool
}

// last reports whether the process was the last to work the job. Nodes call
// themselves <host>-<process id>-<random>.
func (r jobRow) last(pid int) bool {
	by := strings.TrimRight(r.By, `"]}`)
	by = by[strings.LastIndexAny(by, `,["{`)+1:]
	parts := strings.Split(by, "-")
	return len(parts) >= 3 && parts[len(parts)-2] == fmt.Sprint(pid)
}

func (t *takeovers) rows(ctx context.Context, where string, args ...any) ([]jobRow, error) {
	var rows []jobRow
	err := t.ledger.Read(ctx).Raw("SELECT id, COALESCE(CAST(attempted_by AS text), '') AS by, finalized_at IS NOT NULL AS done FROM river_job WHERE "+where, args...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look at the jobs: %w", err)
	}
	return rows, nil
}

// look sees which of them another node has taken up.
func (t *takeovers) look(ctx context.Context) error {
	t.mu.Lock()
	ids := make([]int64, 0, len(t.waiting))
	for id := range t.waiting {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	rows, err := t.rows(ctx, "id IN ?", ids)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rows {
		switch o := t.waiting[r.ID]; {
		case !r.last(o.pid):
			t.longest = max(t.longest, time.Since(o.died))
			delete(t.waiting, r.ID)
		case r.Done: // its node's last words reached the database after all
			t.jobs--
			delete(t.waiting, r.ID)
		}
	}
	return nil
}

// watching looks several times a second until stop is called, which looks once
// more and tells what was seen.
func (t *takeovers) watching(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, 250*time.Millisecond) == nil {
			_ = t.look(ctx) // the database may be away: it is looked again
		}
	}()
	return func() { cancel(); <-done }
}

// left is how many jobs nobody has taken up.
func (t *takeovers) left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

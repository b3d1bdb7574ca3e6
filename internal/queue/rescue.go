package queue

import (
	"context"
	"fmt"
	"time"

	"beckon/internal/db"
)

// RescueEvery is how often each node looks for the jobs of dead ones. River
// leaves that to a leader, twice a minute, and after a crash there is none until
// the old one's lease ends: too late to be back at work within a minute. And a
// leader that does not know a kind of job, because it only imports or is of an
// older version, would throw the job away.
const RescueEvery = 5 * time.Second

// leftToRiver is when River gives up jobs that died on their last try.
const leftToRiver = 24 * time.Hour

func (q *Queue) rescueUntil(ctx context.Context) {
	tick := time.NewTicker(RescueEvery)
	defer tick.Stop()
	for away := false; ; {
		now, err := q.clock(ctx)
		switch {
		case err != nil:
			away = true
		case away: // those who waited for the database have a moment to write down what they know
			away = false
		default:
			var n int64
			if n, err = q.rescue(ctx, now); n > 0 {
				q.log.WarnContext(ctx, "jobs of a dead node are taken over", "jobs", n)
			}
		}
		if err != nil && ctx.Err() == nil {
			q.log.ErrorContext(ctx, "jobs of dead nodes could not be taken over yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// clock is the database's, where there may be several machines: jobs are begun
// by it.
func (q *Queue) clock(ctx context.Context) (now time.Time, err error) {
	pool := q.db.Postgres()
	if pool == nil {
		return time.Now(), nil
	}
	if err := pool.QueryRow(ctx, "SELECT now()").Scan(&now); err != nil {
		return now, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// stuck jobs have run for longer than any job may.
const stuck = "state = 'running' AND attempted_at < ? AND attempt < max_attempts"

// rescue makes the jobs of dead nodes available again. It writes only when
// there are any.
func (q *Queue) rescue(ctx context.Context, now time.Time) (rescued int64, err error) {
	before := now.UTC().Add(-q.timeout - WindDown - clocksDiffer)
	var some bool
	if err := q.db.Read(ctx).Raw("SELECT EXISTS (SELECT 1 FROM river_job WHERE "+stuck+")", before).Scan(&some).Error; err != nil || !some {
		return 0, err
	}
	err = q.db.Transact(ctx, func(tx *db.Tx) error {
		res := tx.Exec("UPDATE river_job SET state = 'available' WHERE "+stuck, before)
		rescued = res.RowsAffected
		return res.Error
	})
	if err != nil {
		return 0, fmt.Errorf("take over jobs: %w", err)
	}
	return rescued, nil
}

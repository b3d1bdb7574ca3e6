package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"beckon/internal/db"
)

// Drain works all jobs that are due at now, and those that they enqueue, one
// after the other, until none is left. It is for tests and one-shot commands,
// where no Run is going on. The first failing job ends it with its error.
func (q *Queue) Drain(ctx context.Context, now time.Time) error {
	for {
		row, err := q.next(ctx, now)
		if err != nil || row == nil {
			return err
		}
		work, ok := q.direct[row.Kind]
		if !ok {
			return fmt.Errorf("no worker for job kind %q", row.Kind)
		}
		if err := q.settle(ctx, row, now, work(ctx, row)); err != nil {
			return err
		}
	}
}

func (w *worker[T]) direct(ctx context.Context, row *rivertype.JobRow) error {
	j := &river.Job[T]{JobRow: row}
	if err := json.Unmarshal(row.EncodedArgs, &j.Args); err != nil {
		return fmt.Errorf("read arguments of job %d: %w", row.ID, err)
	}
	return w.Work(ctx, j)
}

func (q *Queue) next(ctx context.Context, now time.Time) (*rivertype.JobRow, error) {
	var got []struct {
		ID      int64
		Kind    string
		Args    []byte
		Attempt int
	}
	err := q.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Raw(`UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = ?
			WHERE id = (SELECT id FROM river_job WHERE state = 'available' OR (state IN ('scheduled', 'retryable') AND scheduled_at <= ?)
				ORDER BY scheduled_at, id LIMIT 1) RETURNING id, kind, args, attempt`, now.UTC(), now.UTC()).Scan(&got).Error
	})
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return &rivertype.JobRow{ID: got[0].ID, Kind: got[0].Kind, EncodedArgs: got[0].Args, Attempt: got[0].Attempt}, nil
}

func (q *Queue) settle(ctx context.Context, row *rivertype.JobRow, now time.Time, werr error) error {
	var snooze *rivertype.JobSnoozeError
	return errors.Join(q.db.Transact(ctx, func(tx *db.Tx) error {
		switch {
		case errors.As(werr, &snooze):
			werr = nil
			return tx.Exec("UPDATE river_job SET state = 'scheduled', attempt = attempt - 1, scheduled_at = ? WHERE id = ?", now.UTC().Add(snooze.Duration), row.ID).Error
		case werr != nil:
			return tx.Exec("UPDATE river_job SET state = 'retryable', scheduled_at = ? WHERE id = ?", now.UTC().Add(time.Second), row.ID).Error
		}
		return tx.Exec("UPDATE river_job SET state = 'completed', finalized_at = ? WHERE id = ?", now.UTC(), row.ID).Error
	}), werr)
}

package main

import (
	"context"
	"errors"
	"time"

	"beckon/internal/queue"
)

// tidyJob removes what is kept for a while only.
type tidyJob struct{}

// Kind names the job.
func (tidyJob) Kind() string { return "beckon.tidy" }

// keepCallbacks is how long providers' callbacks are kept after they were
// applied: as long as one may come again.
const keepCallbacks = 30 * 24 * time.Hour

// registerTidy lets one node an hour clear away old callbacks and kept answers.
func (a *app) registerTidy() {
	queue.Handle(a.queue, 1, func(ctx context.Context, _ queue.Job[tidyJob]) error {
		return errors.Join(a.answers.Purge(ctx), a.inbox.Purge(ctx, now().Add(-keepCallbacks)))
	})
	a.queue.Every(time.Hour, tidyJob{})
}

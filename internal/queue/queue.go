// Package queue runs durable jobs: a thin seam over River that enqueues in the
// caller's transaction on both engines.
package queue

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"beckon/internal/db"
	"beckon/internal/trail"
)

// A job's context ends after its timeout, and what it then still writes down
// must be written within WindDown: nobody may take over a job that is alive. So
// a dead node's jobs are given to another when they started RescueAfter ago, or
// with another timeout just as much sooner or later.
const (
	JobTimeout  = 30 * time.Second
	WindDown    = 10 * time.Second
	RescueAfter = JobTimeout + WindDown + clocksDiffer

	clocksDiffer = 5 * time.Second
)

// Args are a job's arguments: a JSON struct that names its kind.
type Args = river.JobArgs

// Job is one run of a job. The ID stays the same when it runs again; Again tells
// that an earlier run failed or was cut off.
type Job[T Args] struct {
	ID    int64
	Again bool
	Args  T
}

// Order is a job to enqueue.
type Order struct {
	Args  Args
	Queue string    // "" is the queue named like the kind
	At    time.Time // not before; zero is at once
}

// Queue enqueues and works jobs.
type Queue struct {
	db      *db.DB
	log     *slog.Logger
	timeout time.Duration
	workers *river.Workers
	queues  map[string]river.QueueConfig
	direct  map[string]func(context.Context, *rivertype.JobRow) error
	every   []*river.PeriodicJob
	client  client
	running atomic.Bool
	ending  atomic.Bool
}

// client is what both engines' River clients do.
type client interface {
	insert(ctx context.Context, tx *db.Tx, params []river.InsertManyParams) error
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// New returns a queue over an open, migrated database. Register the kinds of
// jobs with Handle before the first Insert or Run.
func New(d *db.DB, log *slog.Logger) *Queue {
	return &Queue{db: d, log: log, timeout: JobTimeout, workers: river.NewWorkers(), queues: map[string]river.QueueConfig{},
		direct: map[string]func(context.Context, *rivertype.JobRow) error{}}
}

// Within sets how long a run of a job may take, instead of JobTimeout. To be
// called before Open.
func (q *Queue) Within(timeout time.Duration) { q.timeout = timeout }

// Handle registers the worker of a kind of job. Its own queue works at most
// parallel jobs at once on each node; 0 makes none, for kinds that are always
// enqueued on a Lane. An error from work means: run it again later.
func Handle[T Args](q *Queue, parallel int, work func(context.Context, Job[T]) error) {
	var none T
	if parallel > 0 {
		q.Lane(queueOf(none), parallel)
	}
	register(q, work)
}

// Upkeep is the queue of housekeeping, for jobs that have none of their own: every
// queue costs each node a look at the database several times a second.
const (
	Upkeep         = "upkeep"
	upkeepParallel = 3
)

// Keep has work done at each interval, once for all nodes together, and first at
// start.
func Keep[T Args](q *Queue, interval time.Duration, args T, work func(context.Context) error) {
	q.Lane(Upkeep, upkeepParallel)
	register(q, func(ctx context.Context, _ Job[T]) error { return work(ctx) })
	q.every = append(q.every, river.NewPeriodicJob(river.PeriodicInterval(interval),
		func() (river.JobArgs, *river.InsertOpts) { return args, &river.InsertOpts{Queue: Upkeep} },
		&river.PeriodicJobOpts{RunOnStart: true}))
}

func register[T Args](q *Queue, work func(context.Context, Job[T]) error) {
	var none T
	w := &worker[T]{work: work}
	river.AddWorker(q.workers, w)
	q.direct[none.Kind()] = w.direct
}

// queueOf names the queue of a kind: River allows no dots in it.
func queueOf(a Args) string { return strings.ReplaceAll(a.Kind(), ".", "_") }

// Lane adds a queue that works at most parallel jobs at once on each node.
func (q *Queue) Lane(name string, parallel int) {
	q.queues[name] = river.QueueConfig{MaxWorkers: parallel}
}

// lastCall is how long before its end a job begins nothing new, so that a call
// may still be answered.
const lastCall = 10 * time.Second

// WorkUntil is when a job begins nothing new: when it has worked for the given
// time, and early enough before its context ends.
func WorkUntil(ctx context.Context, most time.Duration) time.Time {
	end := time.Now().Add(most)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-lastCall).Before(end) {
		return deadline.Add(-lastCall)
	}
	return end
}

// Later makes the job run again after d without counting as a failure.
func Later(d time.Duration) error { return river.JobSnooze(d) }

// IsLater reports whether err came from Later.
func IsLater(err error) bool {
	var snooze *rivertype.JobSnoozeError
	return errors.As(err, &snooze)
}

// Open makes the queue ready to insert. To be called once, after every Handle.
func (q *Queue) Open() error {
	cfg := &river.Config{
		ID:     nodeID(),
		Queues: q.queues, Workers: q.workers, PeriodicJobs: q.every,
		JobTimeout: q.timeout, RescueStuckJobsAfter: leftToRiver,
		FetchCooldown: 20 * time.Millisecond, FetchPollInterval: 500 * time.Millisecond,
		CompletedJobRetentionPeriod: time.Hour, PollOnly: !q.db.Tells(),
		Logger:       slog.New(quiet{q.log.Handler()}),
		ErrorHandler: reporter{q.log},
	}
	if cfg.PollOnly {
		cfg.FetchPollInterval = 200 * time.Millisecond
	}
	var err error
	if pool := q.db.Postgres(); pool != nil {
		var c *river.Client[pgx.Tx]
		c, err = river.NewClient(riverpgxv5.New(pool), cfg)
		q.client = onPostgres{c}
	} else {
		var c *river.Client[*sql.Tx]
		c, err = river.NewClient(riversqlite.New(q.db.SQL()), cfg)
		q.client = onSQLite{c}
	}
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	return nil
}

// nodeID names this node beside the jobs it works: <host>-<process id>-<random>,
// so that it can be told which process of which machine has a job.
func nodeID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.40s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:8]))
}

// Insert enqueues jobs in the caller's transaction: they exist if and only if
// it commits.
func (q *Queue) Insert(ctx context.Context, tx *db.Tx, orders ...Order) error {
	if len(orders) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(orders))
	for i, o := range orders {
		opts := &river.InsertOpts{Queue: o.Queue, ScheduledAt: o.At}
		if o.Queue == "" {
			opts.Queue = queueOf(o.Args)
		}
		params[i] = river.InsertManyParams{Args: o.Args, InsertOpts: opts}
	}
	if err := q.client.insert(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// Run works jobs until ctx ends; then it takes no more, waits for the running
// ones as long as grace, and cancels what is left.
func (q *Queue) Run(ctx context.Context, grace time.Duration) error {
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	q.running.Store(true)
	defer q.running.Store(false)
	q.ending.Store(false)
	q.rescueUntil(ctx)
	q.ending.Store(true)
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := q.client.Stop(soft); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return q.client.StopAndCancel(hard)
}

// Running reports whether jobs are being worked here.
func (q *Queue) Running() bool { return q.running.Load() }

// Ending reports whether Run waits for the last jobs: one that can save what it
// has done and go on later, on another node, should.
func (q *Queue) Ending() bool { return q.ending.Load() }

type worker[T Args] struct {
	river.WorkerDefaults[T]
	work func(context.Context, Job[T]) error
}

func (w *worker[T]) Work(ctx context.Context, j *river.Job[T]) error {
	ctx = trail.With(ctx, slog.Int64("job_id", j.ID), slog.String("job", j.Kind))
	return w.work(ctx, Job[T]{ID: j.ID, Again: j.Attempt > 1, Args: j.Args})
}

type onPostgres struct{ *river.Client[pgx.Tx] }

func (c onPostgres) insert(ctx context.Context, tx *db.Tx, params []river.InsertManyParams) error {
	_, err := c.InsertManyFastTx(ctx, tx.PGX(), params)
	return err
}

type onSQLite struct{ *river.Client[*sql.Tx] }

func (c onSQLite) insert(ctx context.Context, tx *db.Tx, params []river.InsertManyParams) error {
	_, err := c.InsertManyFastTx(ctx, tx.SQL(), params)
	return err
}

// reporter logs each failed run once; River keeps the error beside the job.
type reporter struct{ log *slog.Logger }

func (r reporter) HandleError(ctx context.Context, j *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	r.log.ErrorContext(ctx, "job failed, it will run again", "job_id", j.ID, "job", j.Kind, "attempt", j.Attempt, "error", err)
	return nil
}

func (r reporter) HandlePanic(ctx context.Context, j *rivertype.JobRow, panicVal any, trace string) *river.ErrorHandlerResult {
	r.log.ErrorContext(ctx, "job panicked, it will run again", "job_id", j.ID, "job", j.Kind, "panic", fmt.Sprint(panicVal), "trace", trace)
	return nil
}

// quiet passes River's warnings and errors on and drops its chatter, and what
// it says about being stopped.
type quiet struct{ slog.Handler }

func (h quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h quiet) Handle(ctx context.Context, r slog.Record) error {
	stopping := false
	r.Attrs(func(a slog.Attr) bool {
		stopping = stopping || strings.Contains(a.Value.String(), context.Canceled.Error())
		return !stopping
	})
	if stopping {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(attrs)} }
func (h quiet) WithGroup(name string) slog.Handler       { return quiet{h.Handler.WithGroup(name)} }

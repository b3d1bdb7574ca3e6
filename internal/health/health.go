// Package health looks after how each Page stands with Meta: that its access
// token is good, its webhook subscribed and its Get Started button there, that
// events come, and what Meta says of it.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/queue"
)

// Parts are what a Service needs.
type Parts struct {
	DB    *db.DB
	Queue *queue.Queue
	Pages *page.Store
	Graph *messenger.Client // nil when Messenger is not set up
	App   string            // our app's id; "" when it is not set
	Log   *slog.Logger
	Now   func() time.Time
}

// Service checks Pages: when they are added, every hour, and when asked. It
// implements webhook.Listener.
type Service struct {
	Parts
	mu    sync.Mutex
	heard map[uuid.UUID]time.Time // when it was last written down that a Page was heard of, by this node
}

// CheckAll is the hourly job that has every Page checked.
type CheckAll struct{}

// Kind names the job.
func (CheckAll) Kind() string { return "page.check_all" }

// CheckOne checks a Page.
type CheckOne struct {
	Page uuid.UUID `json:"page"`
}

// Kind names the job.
func (CheckOne) Kind() string { return "page.check" }

// Leave ends the webhook of a Page that is gone.
type Leave struct {
	Gone page.Gone `json:"gone"`
}

// Kind names the job.
func (Leave) Kind() string { return "page.leave" }

// New registers the service's jobs on the queue.
func New(p Parts) *Service {
	s := &Service{Parts: p, heard: map[uuid.UUID]time.Time{}}
	queue.Keep(p.Queue, checkEvery, CheckAll{}, s.checkAll)
	queue.Handle(p.Queue, 0, func(ctx context.Context, job queue.Job[CheckOne]) error {
		_, err := s.look(ctx, job.Args.Page)
		if fault.Is(err, fault.NotFound) { // gone since
			return nil
		}
		return err
	})
	queue.Handle(p.Queue, 0, func(ctx context.Context, job queue.Job[Leave]) error { return s.leave(ctx, job.Args.Gone) })
	return s
}

// Add adds a Page and has it checked at once: its webhook is subscribed then. For
// the errors see page.Store.Create.
func (s *Service) Add(ctx context.Context, d page.Draft) (p page.Page, err error) {
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if p, err = s.Pages.Add(tx, d); err != nil {
			return err
		}
		return s.enqueue(ctx, tx, p.ID)
	})
	return p, err
}

// Remove removes a Page and has its webhook end. For the errors see
// page.Store.Delete.
func (s *Service) Remove(ctx context.Context, id uuid.UUID) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		gone, err := s.Pages.Remove(tx, id)
		if err != nil {
			return err
		}
		return s.Queue.Insert(ctx, tx, queue.Order{Args: Leave{gone}, Queue: queue.Upkeep})
	})
}

// Soon has a Page checked in a moment.
func (s *Service) Soon(ctx context.Context, id uuid.UUID) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return s.enqueue(ctx, tx, id) })
}

func (s *Service) enqueue(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) error {
	orders := make([]queue.Order, len(ids))
	for i, id := range ids {
		orders[i] = queue.Order{Args: CheckOne{id}, Queue: queue.Upkeep}
	}
	return s.Queue.Insert(ctx, tx, orders...)
}

// Check looks at a Page's side of Meta now, repairs what can be repaired, writes
// down what it saw and returns the Page. What Graph says is no error. Without
// Messenger it is an Unavailable fault.
func (s *Service) Check(ctx context.Context, id uuid.UUID) (page.Page, error) {
	if _, err := s.Pages.Get(ctx, id); err != nil {
		return page.Page{}, err
	}
	if s.Graph == nil {
		return page.Page{}, fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
	}
	return s.look(ctx, id)
}

// pagesAtOnce is how many Pages one step of the hourly job has checked.
const pagesAtOnce = 500

func (s *Service) checkAll(ctx context.Context) error {
	if s.Graph == nil {
		return nil
	}
	for after := uuid.Nil; ; {
		list, err := s.Pages.List(ctx, after, pagesAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		ids := make([]uuid.UUID, len(list))
		for i, p := range list {
			ids[i] = p.ID
		}
		after = ids[len(ids)-1]
		if err := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.enqueue(ctx, tx, ids...) }); err != nil {
			return fmt.Errorf("have pages checked: %w", err)
		}
	}
}

// leave ends the webhook of a Page that is gone, unless it is there again.
func (s *Service) leave(ctx context.Context, gone page.Gone) error {
	if s.Graph == nil {
		return nil
	}
	back, err := s.Pages.ByGraphID(ctx, gone.FacebookPageID)
	if err != nil || len(back) > 0 {
		return err
	}
	of, err := s.Pages.Unseal(gone)
	if err != nil {
		s.Log.WarnContext(ctx, "the webhook of a page that is gone cannot be ended", "error", err)
		return nil
	}
	switch r := s.Graph.Unsubscribe(ctx, of); r.Outcome {
	case channel.TryLater, channel.Unknown: // to end it twice does no harm
		return queue.Later(max(r.RetryAfter, time.Minute))
	case channel.Accepted:
	default:
		s.Log.WarnContext(ctx, "the webhook of a page that is gone cannot be ended", "code", r.Code, "detail", r.Detail)
	}
	return nil
}

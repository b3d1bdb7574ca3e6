package simulator

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxQueued bounds an outbox, so that a dead receiver does not eat all memory.
const maxQueued = 4 << 20

// outbox queues what a stand-in has to post and posts it in batches.
type outbox[T any] struct {
	batch, workers int
	linger         time.Duration
	post           func(ctx context.Context, items []T) error

	mu      sync.Mutex
	items   []T
	head    int
	busy    int           // items being posted
	late    int           // items whose time has not come
	changed chan struct{} // closed when a post ends, or late items come, and somebody waits
	waiting bool
	posted  int64
	lost    int64

	wake chan struct{}
}

func newOutbox[T any](batch, workers int, linger time.Duration, post func(context.Context, []T) error) *outbox[T] {
	return &outbox[T]{
		batch: batch, workers: workers, linger: linger, post: post,
		changed: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// put queues items; past the bound they are lost, and counted.
func (o *outbox[T]) put(items ...T) {
	o.mu.Lock()
	if len(o.items)-o.head+len(items) > maxQueued {
		o.lost += int64(len(items))
	} else {
		o.items = append(o.items, items...)
	}
	o.mu.Unlock()
	o.nudge()
}

// putLate queues items when d has gone by.
func (o *outbox[T]) putLate(d time.Duration, items ...T) {
	o.mu.Lock()
	o.late += len(items)
	o.mu.Unlock()
	time.AfterFunc(d, func() {
		o.put(items...)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.late -= len(items)
		o.tellWaiting()
	})
}

// tellWaiting wakes who waits in idle. The lock is held.
func (o *outbox[T]) tellWaiting() {
	if o.waiting {
		close(o.changed)
		o.changed, o.waiting = make(chan struct{}), false
	}
}

func (o *outbox[T]) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take removes up to a batch of items and counts them as busy.
func (o *outbox[T]) take() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(o.batch, len(o.items)-o.head)
	if n == 0 {
		return nil
	}
	got := make([]T, n)
	copy(got, o.items[o.head:])
	clear(o.items[o.head : o.head+n])
	o.head += n
	o.busy += n
	o.compact()
	return got
}

// compact gives the taken part of the queue back once it is the larger one.
func (o *outbox[T]) compact() {
	if o.head*2 < len(o.items) {
		return
	}
	n := copy(o.items, o.items[o.head:])
	clear(o.items[n:])
	o.items, o.head = o.items[:n], 0
}

func (o *outbox[T]) work(ctx context.Context, items []T) error {
	err := o.post(ctx, items)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy -= len(items)
	if err == nil {
		o.posted += int64(len(items))
	} else {
		o.lost += int64(len(items))
	}
	o.tellWaiting()
	return err
}

// run starts the workers. A failed post is counted, and logged by post itself.
func (o *outbox[T]) run(ctx context.Context, g *errgroup.Group) {
	for range o.workers {
		g.Go(func() error {
			for o.await(ctx) {
				for items := o.take(); len(items) > 0 && ctx.Err() == nil; items = o.take() {
					o.nudge() // another worker may take the next batch
					_ = o.work(ctx, items)
				}
			}
			return nil
		})
	}
}

// await blocks until there is work, giving a batch a moment to fill; false when
// ctx ended.
func (o *outbox[T]) await(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-o.wake:
	}
	if o.batch == 1 || o.queued() >= o.batch {
		return true
	}
	t := time.NewTimer(o.linger)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (o *outbox[T]) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items) - o.head
}

// drain posts until nothing is queued or busy.
func (o *outbox[T]) drain(ctx context.Context) error {
	var errs []error
	for ctx.Err() == nil {
		if items := o.take(); len(items) > 0 {
			if err := o.work(ctx, items); err != nil {
				errs = append(errs, err)
			}
			continue
		}
		if o.idle(ctx) {
			return errors.Join(errs...)
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// idle reports that all is done, or waits until a busy post ends or late items
// come.
func (o *outbox[T]) idle(ctx context.Context) bool {
	o.mu.Lock()
	if waits := len(o.items) > o.head; waits || o.busy+o.late == 0 {
		o.mu.Unlock()
		return !waits
	}
	o.waiting = true
	changed := o.changed
	o.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	return false
}

func (o *outbox[T]) count() CallbackCount {
	o.mu.Lock()
	defer o.mu.Unlock()
	return CallbackCount{Queued: len(o.items) - o.head + o.busy + o.late, Posted: o.posted, Lost: o.lost}
}

package webhook

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// crew lets jobs that run at the same time apply their callbacks together: one of
// them does the work of those that wait for it. The more is to be done, the less
// each callback costs.
type crew struct {
	mu      sync.Mutex
	waiting []*task
	turn    chan struct{} // whoever has put something in works
}

// task is what one job is to apply.
type task struct {
	ids  []uuid.UUID
	done chan bool // told once, by another job that took the task: it is applied, or not
}

func newCrew() *crew { return &crew{turn: make(chan struct{}, 1)} }

func (c *crew) join(ids []uuid.UUID) *task {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &task{ids, make(chan bool, 1)}
	c.waiting = append(c.waiting, t)
	return t
}

// leave takes a task back that nobody has taken.
func (c *crew) leave(t *task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(w *task) bool { return w == t })
}

// appliedTogether bounds the callbacks that are applied in one transaction.
const appliedTogether = 2 * mostTogether

// take hands out a task and others that wait, or nothing when somebody else has
// taken it. Only for who has the turn.
func (c *crew) take(own *task) (others []*task, taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.waiting, own) {
		return nil, true
	}
	n := len(own.ids)
	var left []*task
	for _, t := range c.waiting {
		switch {
		case t == own:
		case n+len(t.ids) <= appliedTogether:
			n += len(t.ids)
			others = append(others, t)
		default:
			left = append(left, t)
		}
	}
	c.waiting = left
	return others, false
}

// share has a task applied, with those of jobs that wait, or by one of these. What
// it returns is left to the caller, because that failed.
func (i *Inbox) share(ctx context.Context, ids []uuid.UUID) (left []*call, err error) {
	t := i.crew.join(ids)
	select {
	case applied := <-t.done:
		return i.leftOf(ctx, ids, applied)
	case <-ctx.Done():
		i.crew.leave(t)
		return nil, ctx.Err()
	case i.crew.turn <- struct{}{}:
		defer func() { <-i.crew.turn }()
	}
	others, taken := i.crew.take(t)
	if taken { // and done with: the turn was given back
		return i.leftOf(ctx, ids, <-t.done)
	}
	applied := false
	defer func() { // also when this panics
		for _, o := range others {
			o.done <- applied
		}
	}()
	all := slices.Clone(ids)
	for _, o := range others {
		all = append(all, o.ids...)
	}
	calls, err := i.open(ctx, all)
	if err == nil {
		err = i.together(ctx, calls)
	}
	if err != nil && len(calls) == 1 && len(others) == 0 {
		calls[0].failed = err
		return calls, nil
	}
	applied = err == nil
	return i.leftOf(ctx, ids, applied)
}

func (i *Inbox) leftOf(ctx context.Context, ids []uuid.UUID, applied bool) ([]*call, error) {
	if applied {
		return nil, nil
	}
	return i.open(ctx, ids)
}

package smtp

import (
	"context"
	"errors"
	"sync"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
)

// sending is one Send under way.
type sending struct {
	client  *Client
	batch   *channel.Batch
	results []channel.Result

	mu  sync.Mutex
	end *channel.Result // what the rest comes back as, once nothing more is handed over
}

// run hands over what it may; the rest comes back.
func (s *sending) run(ctx context.Context) {
	n := wire.Each(s.client.connections, len(s.results),
		func(i int) bool { return s.await(ctx, i) },
		func(i int) { s.results[i] = s.one(ctx, i); s.client.pool.leave() })
	rest := s.rest(ctx)
	for i := n; i < len(s.results); i++ {
		s.results[i] = rest
	}
}

// await waits for a connection to be free, and then for the message's turn:
// nothing is between the turn and the call.
func (s *sending) await(ctx context.Context, i int) bool {
	if s.over() != nil || !s.client.pool.enter(ctx) {
		return false
	}
	if s.over() == nil && s.batch.Await(ctx, i) {
		return true
	}
	s.client.pool.leave()
	return false
}

func (s *sending) rest(ctx context.Context) channel.Result {
	switch end := s.over(); {
	case ctx.Err() != nil:
		return cancelled
	case end != nil:
		return *end
	}
	return held
}

func (s *sending) over() *channel.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// one hands one message over.
func (s *sending) one(ctx context.Context, i int) channel.Result {
	l, err := s.client.letter(s.batch, &s.batch.Messages[i])
	var wrong refusal
	if errors.As(err, &wrong) {
		return wrong.result
	}
	for {
		c, fresh, err := s.connection(ctx)
		if errors.As(err, &wrong) {
			s.note(wrong.result)
			return wrong.result
		}
		if res, stop := s.lastLook(i); stop {
			s.client.pool.keep(c)
			return res
		}
		res, left := c.hand(ctx, l, s.client.timeout)
		switch left {
		case alive:
			s.client.pool.keep(c)
		default:
			_ = c.raw.Close()
		}
		if left != stale || fresh {
			s.note(res)
			return res
		}
	}
}

// connection returns one that was kept, or a new one. A kept one may be dead.
func (s *sending) connection(ctx context.Context) (c *conn, fresh bool, err error) {
	if c := s.client.pool.take(); c != nil {
		return c, false, nil
	}
	c, err = s.client.connect(ctx)
	return c, true, err
}

// lastLook asks once more, right before a message goes.
func (s *sending) lastLook(i int) (channel.Result, bool) {
	switch {
	case !s.batch.MayGo():
		return held, true
	case s.batch.Silent(i):
		return channel.LeftOut(), true
	}
	return channel.Result{}, false
}

// note ends the batch where the message after it would fare no better.
func (s *sending) note(r channel.Result) {
	if r.Outcome != channel.StopTheLine && !r.Unreached && !r.Throttled {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	s.end = &channel.Result{Outcome: channel.TryLater, Detail: held.Detail, RetryAfter: r.RetryAfter, Unreached: r.Unreached}
}

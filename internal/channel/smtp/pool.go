package smtp

import (
	"context"
	"sync"
	"time"
)

// pool bounds the connections of a client, and keeps those that are not in use.
type pool struct {
	slots chan struct{} // one for each connection that may be in use
	mu    sync.Mutex
	idle  []*conn // the last used at the end
}

func newPool(size int) *pool { return &pool{slots: make(chan struct{}, size)} }

// enter waits until a connection may be used, and is false when ctx ends before.
func (p *pool) enter(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave gives up what enter got.
func (p *pool) leave() { <-p.slots }

// take returns a connection that was kept, nil when there is none.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	c.expiry.Stop() // one that fires all the same does not find it here
	return c
}

// keep holds a connection for the next message, for a while.
func (p *pool) keep(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.used = true
	p.idle = append(p.idle, c)
	c.expiry = time.AfterFunc(idleFor, func() { p.drop(c) })
}

// drop hangs up on a connection that nobody needed.
func (p *pool) drop(c *conn) {
	p.mu.Lock()
	at := -1
	for i, other := range p.idle {
		if other == c {
			at = i
		}
	}
	if at >= 0 {
		p.idle = append(p.idle[:at], p.idle[at+1:]...)
	}
	p.mu.Unlock()
	if at >= 0 {
		c.quit()
	}
}

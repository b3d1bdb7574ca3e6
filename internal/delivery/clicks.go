package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"beckon/internal/db"
)

// Clicks collects opened links and writes them down in bulk, so that a redirect
// waits for no database.
type Clicks struct {
	store *Store
	log   *slog.Logger
	every time.Duration
	wake  chan struct{}

	mu   sync.Mutex
	seen map[int64]time.Time
}

// maxClicks bounds what waits to be written.
const maxClicks = 10_000

// NewClicks returns a collector that writes at each interval while it runs.
func NewClicks(s *Store, log *slog.Logger, every time.Duration) *Clicks {
	return &Clicks{store: s, log: log, every: every, wake: make(chan struct{}, 1), seen: map[int64]time.Time{}}
}

// Note remembers that the link of a delivery was opened now.
func (c *Clicks) Note(delivery int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.seen[delivery]; !known {
		c.seen[delivery] = c.store.now()
	}
	if len(c.seen) >= maxClicks {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes clicks down until ctx ends, and then what is left.
func (c *Clicks) Run(ctx context.Context) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
		case <-c.wake:
		}
		if err := c.Flush(ctx); err != nil {
			c.log.ErrorContext(ctx, "clicks could not be written down yet", "error", err)
		}
	}
}

// Flush writes down what has been noted. What cannot be written is kept.
func (c *Clicks) Flush(ctx context.Context) error {
	seen := c.take()
	if len(seen) == 0 {
		return nil
	}
	err := c.store.db.Transact(ctx, func(tx *db.Tx) error { return c.store.Clicked(tx, seen) })
	if err != nil {
		c.giveBack(seen)
		return fmt.Errorf("write clicks: %w", err)
	}
	return nil
}

func (c *Clicks) take() []Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Seen, 0, len(c.seen))
	for id, at := range c.seen {
		out = append(out, Seen{Delivery: id, At: at})
	}
	clear(c.seen)
	return out
}

func (c *Clicks) giveBack(seen []Seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range seen {
		c.seen[s.Delivery] = s.At
	}
}

package dispatch

import (
	"sync"
	"time"

	"beckon/internal/channel"
)

// A chunk is what a batch claims at once: about half a second of sending. When
// a node dies, what it had claimed is unknown, so a chunk is no larger than the
// pace of the provider asks for.
const (
	chunkTime  = 500 * time.Millisecond
	firstChunk = 100
	leastChunk = 32 // as many calls as a sender makes at once
	// unprovenChunk is for a lane that may be off on the Page: a token that is
	// refused is lost.
	unprovenChunk = 8
)

// chunks learns how large the chunks of each lane should be.
type chunks struct {
	most int
	mu   sync.Mutex
	size map[channel.Lane]int
}

func newChunks(most int) *chunks { return &chunks{most: most, size: map[channel.Lane]int{}} }

func (c *chunks) of(lane channel.Lane) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.size[lane]; n > 0 {
		return n
	}
	return min(firstChunk, c.most)
}

// learn takes note of how long a chunk took. One with a call that hung says
// nothing about the pace, and neither does a part of a chunk that was quick.
func (c *chunks) learn(lane channel.Lane, results map[int64]channel.Result, took time.Duration) {
	for _, r := range results {
		if r.Outcome == channel.Unknown || r.Outcome == channel.TryLater {
			return
		}
	}
	n, now := len(results), c.of(lane)
	if n < now && took < chunkTime {
		return
	}
	fit := int(float64(n) * float64(chunkTime) / float64(max(took, time.Millisecond)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size[lane] = min(max(fit, leastChunk), 4*now, c.most)
}

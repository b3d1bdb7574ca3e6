package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"beckon/internal/db"
	"beckon/internal/sample"
	"beckon/internal/simulator"
)

// Posts are signed webhooks of Messenger, posted at a fixed rate whether or not
// those before were answered, as Meta posts them: an open loop. Each holds one to
// three events of people who write, tap, react and read.
type Posts struct {
	Rate   int // a second
	For    time.Duration
	People int  // who act, in any order: those with the numbers 1 to People
	Once   bool // each person acts in one event only: People is not heeded
}

// Posted is what came of Posts.
type Posted struct {
	Posts   int
	Failed  int             // that were not acknowledged
	Events  int             // in those that were
	Answers []time.Duration // how long those took, each from when it was due, the shortest first
	Took    time.Duration   // from when the first was due to the last answer
	// Acted says when each person last did something that opens a window, as far as
	// it was acknowledged.
	Acted map[string]time.Time
}

// Answer returns how long the given share of the answers took at most.
func (p Posted) Answer(share float64) time.Duration {
	if len(p.Answers) == 0 {
		return 0
	}
	return p.Answers[min(int(share*float64(len(p.Answers))), len(p.Answers)-1)]
}

// ready is a post that waits for its moment.
type ready struct {
	Request
	events []simulator.Event
}

// poster posts, and counts.
type poster struct {
	client *Client
	posts  []ready
	began  time.Time
	every  time.Duration
	mu     sync.Mutex
	out    Posted
}

// postsAtOnce bounds the connections. While all wait for an answer, the next posts
// are late, and their answers count as late as they then are.
const postsAtOnce = 256

// Run posts to the server behind c until all were answered or failed.
func (p Posts) Run(ctx context.Context, c *Client) Posted {
	n := int(float64(p.Rate) * p.For.Seconds())
	r := &poster{client: c, posts: p.make(n), every: time.Second / time.Duration(p.Rate), out: Posted{Posts: n, Acted: map[string]time.Time{}}}
	due := make(chan int, n)
	var wg sync.WaitGroup
	for range postsAtOnce {
		wg.Go(func() {
			for i := range due {
				r.post(ctx, i)
			}
		})
	}
	r.began = time.Now()
	for i := range n {
		if wait := time.Until(r.due(i)); wait > 0 {
			time.Sleep(wait)
		}
		due <- i
	}
	close(due)
	wg.Wait()
	r.out.Took = time.Since(r.began)
	slices.Sort(r.out.Answers)
	return r.out
}

func (r *poster) due(i int) time.Time { return r.began.Add(time.Duration(i) * r.every) }

func (r *poster) post(ctx context.Context, i int) {
	post := &r.posts[i]
	_, err := r.client.Do(ctx, post.Request)
	took := time.Since(r.due(i))
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.out.Failed++
		return
	}
	r.out.Answers = append(r.out.Answers, took)
	r.out.Events += len(post.events)
	for _, e := range post.events {
		if opens(e.Kind) && e.At.After(r.out.Acted[e.PSID]) {
			r.out.Acted[e.PSID] = e.At
		}
	}
	post.Request = Request{} // its memory
}

// make prepares n posts: to sign them meanwhile would take the processors from
// those who are measured.
func (p Posts) make(n int) []ready {
	signer := simulator.New(simulator.Config{AppSecret: AppSecret})
	dice := rand.New(rand.NewPCG(1, uint64(n)))
	at := time.Now().Add(-p.For - time.Minute).Truncate(time.Millisecond)
	out, person := make([]ready, n), 0
	for i := range out {
		events := make([]simulator.Event, 1+dice.IntN(3))
		for k := range events {
			if person++; !p.Once {
				person = 1 + dice.IntN(p.People)
			}
			events[k] = event(dice.IntN(10), person, fmt.Sprintf("m_%d_%d", i, k), at.Add(time.Duration(i)*time.Second/time.Duration(p.Rate)).Truncate(time.Millisecond))
		}
		body, header := signer.WebhookBody(events)
		out[i] = ready{Request{Method: http.MethodPost, Path: "/webhooks/messenger", Header: header, Body: body}, events}
	}
	return out
}

// event is one of ten that are about as likely as Meta's.
func event(kind, person int, mid string, at time.Time) simulator.Event {
	e := simulator.Event{Kind: simulator.Said, Page: GraphPage, PSID: sample.PSID(person), MID: mid, At: at, Text: "Hello, is there still room in the course on Tuesday?"}
	switch kind {
	case 6:
		e.Kind, e.Payload, e.Text = simulator.Pressed, "COURSES_YES", "Yes please"
	case 7:
		e.Kind, e.Text = simulator.Reacted, "\u2764"
	case 8:
		e.Kind = simulator.HasRead
	case 9:
		e.Kind = simulator.Delivered
	}
	return e
}

func opens(k simulator.EventKind) bool { return k != simulator.HasRead && k != simulator.Delivered }

// Windows reads when people last acted on a page, by PSID.
func Windows(ctx context.Context, d *db.DB, page string) (map[string]time.Time, error) {
	var rows []struct {
		PSID         string `gorm:"column:psid"`
		LastActionAt time.Time
	}
	err := d.Read(ctx).Raw("SELECT psid, last_action_at FROM messenger_addresses WHERE page_id = ? AND last_action_at IS NOT NULL", page).Scan(&rows).Error
	out := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		out[r.PSID] = r.LastActionAt
	}
	return out, err
}

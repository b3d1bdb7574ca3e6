package relay

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel/wire"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// Job relays webhooks that came together, or that are tried again together.
type Job struct {
	Posts []uuid.UUID `json:"posts"`
}

// Kind names the job.
func (Job) Kind() string { return "relay.post" }

const (
	workFor = 15 * time.Second
	// enough failures in a row, with nothing that went well between them, say that
	// the other program is down: what is left then is not tried.
	enough = 5
	rest   = 20 * time.Second
)

// work posts what a job names and what is still there, and lets go of what was
// taken. The rest is left to the sweeps: the job itself ends.
func (r *Relay) work(ctx context.Context, job queue.Job[Job]) error {
	posts, err := r.read(ctx, job.Args.Posts)
	if err != nil || len(posts) == 0 {
		return err
	}
	tried, down := r.postAll(ctx, posts)
	if down != "" {
		r.rests.Store(r.Now().Add(rest).UnixMicro())
		r.Log.WarnContext(ctx, "webhooks cannot be relayed, they are kept and tried again", "problem", down)
	}
	for i := tried; i < len(posts); i++ {
		posts[i].Problem = notTried
	}
	return r.settle(context.WithoutCancel(ctx), posts)
}

const notTried = "not tried"

// postAll posts in order, and writes beside each what was wrong. It returns how many
// had their turn and, when the other program seems to be down, how that shows.
func (r *Relay) postAll(ctx context.Context, posts []Post) (tried int, down string) {
	until, inARow := queue.WorkUntil(ctx, workFor), atomic.Int64{}
	tried = wire.Each(postsAtOnce, len(posts),
		func(int) bool { return inARow.Load() < enough && !r.resting() && time.Now().Before(until) },
		func(i int) {
			posts[i].Problem = r.post(ctx, posts[i])
			if posts[i].Problem == "" {
				inARow.Store(0)
				return
			}
			inARow.Add(1)
		})
	if inARow.Load() < enough {
		return tried, ""
	}
	for _, p := range posts[:tried] {
		down = cmp.Or(p.Problem, down)
	}
	return tried, down
}

// resting reports whether the other program was down a moment ago.
func (r *Relay) resting() bool { return r.Now().UnixMicro() < r.rests.Load() }

func (r *Relay) read(ctx context.Context, ids []uuid.UUID) (posts []Post, err error) {
	err = r.db.Read(ctx).Raw("SELECT relays.* FROM ? JOIN relays ON relays.id = v.id WHERE failed_at IS NULL ORDER BY relays.id",
		r.db.Values("v", db.UUIDs("id", ids))).Scan(&posts).Error
	if err != nil {
		return nil, fmt.Errorf("read what is to be relayed: %w", err)
	}
	return posts, nil
}

// post relays one webhook and returns what was wrong, in words that quote neither
// the address nor the answer.
func (r *Relay) post(ctx context.Context, p Post) string {
	if r.URL == "" {
		return ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(p.Body))
	if err != nil {
		return "no request"
	}
	for name, value := range map[string]string{"Content-Type": p.ContentType, signature: p.Signature} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := r.http.Do(req)
	if err != nil {
		return "no answer"
	}
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return "status " + strconv.Itoa(res.StatusCode)
	}
	return ""
}

// settle lets go of what was taken, and says when the others are due again.
func (r *Relay) settle(ctx context.Context, posts []Post) error {
	var gone []uuid.UUID
	var left []Post
	for _, p := range posts {
		if p.Problem == "" {
			gone = append(gone, p.ID)
		} else {
			left = append(left, p)
		}
	}
	err := r.db.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Exec("DELETE FROM relays WHERE id IN (SELECT v.id FROM ?)", tx.Values("v", db.UUIDs("id", gone))).Error; err != nil {
			return err
		}
		return r.postpone(tx, left)
	})
	if err != nil {
		return fmt.Errorf("note what was relayed: %w", err)
	}
	return nil
}

func (r *Relay) postpone(tx *db.Tx, posts []Post) error {
	if len(posts) == 0 {
		return nil
	}
	now, n := r.Now(), len(posts)
	ids, tries, due, problems := make([]uuid.UUID, n), make([]int64, n), make([]time.Time, n), make([]string, n)
	for i, p := range posts {
		ids[i], tries[i], due[i], problems[i] = p.ID, int64(p.Tries+1), now.Add(patience(p.Tries)), p.Problem
	}
	return tx.Exec("UPDATE relays SET tries = v.tries, due_at = v.due_at, problem = v.problem FROM ? WHERE relays.id = v.id AND relays.failed_at IS NULL",
		tx.Values("v", db.UUIDs("id", ids), db.Int64s("tries", tries), db.Times("due_at", due), db.Texts("problem", problems))).Error
}

const (
	firstPatience = 5 * time.Second
	mostPatience  = 15 * time.Minute
)

// patience is how long to wait after a try, when so many went before it.
func patience(tries int) time.Duration {
	if tries > 8 {
		return mostPatience
	}
	return min(firstPatience<<tries, mostPatience)
}

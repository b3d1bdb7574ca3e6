// Package reply writes to one person who is in conversation with a Page right
// now: thanks, a question, an answer to what they asked.
package reply

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Pages gives the credentials of a Page, and is told when they are refused.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
	TokenRefused(ctx context.Context, tx *db.Tx, id uuid.UUID) error
}

// Lines says how fast a Page may go, and whether it may go at all.
type Lines interface {
	Lease(tx *db.Tx, name string, want int) (channel.Grant, error)
	Note(tx *db.Tx, g channel.Grant, campaign uuid.UUID, t channel.Tally) error
}

// Parts are what a Speaker needs.
type Parts struct {
	DB     *db.DB
	Pages  Pages
	Lines  Lines
	Sender channel.Sender // Messenger
	// Held, when set, is told of people whose thread another app turned out to hold.
	Held func(ctx context.Context, tx *db.Tx, page uuid.UUID, psids ...string) error
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) // nil is by the real clock
}

// Speaker sends single Messenger messages at the pace of their Page. It is safe
// for use by many goroutines.
type Speaker struct{ Parts }

// New returns a speaker.
func New(p Parts) *Speaker {
	if p.Wait == nil {
		p.Wait = wait
	}
	return &Speaker{p}
}

// longest is how long a message waits for its turn before it is put off.
const longest = 5 * time.Second

// Say sends one message on a lane of Messenger and returns what came of it. It
// waits for the Page's turn; when the Page is stopped, or its turn is too far
// off, the outcome is TryLater and nothing was sent. The caller has written down
// before that it sends, and writes down what came of it. Not for use inside a
// transaction.
func (s *Speaker) Say(ctx context.Context, page uuid.UUID, lane channel.Lane, m channel.Message) (channel.Result, error) {
	sender, err := s.Pages.Sender(ctx, page)
	if err != nil {
		return channel.Result{}, err
	}
	grant, err := s.turn(ctx, lane.Line(page.String()))
	if err != nil {
		return channel.Result{}, err
	}
	if grant.Units == 0 {
		return channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending for this page is stopped or has no turn", RetryAfter: grant.Wait}, nil
	}
	if d := grant.Turn(0).Sub(s.Now()); d > 0 {
		s.Wait(ctx, d)
	}
	r := s.Sender.Send(ctx, channel.Batch{Lane: lane, Page: sender, Messages: []channel.Message{m}, Answer: lane == channel.Window})[0]
	return r, s.note(context.WithoutCancel(ctx), page, m.To, grant, r)
}

// turn takes one turn of the Page.
func (s *Speaker) turn(ctx context.Context, name string) (g channel.Grant, err error) {
	for waited := time.Duration(0); waited+g.Wait <= longest && ctx.Err() == nil; waited += g.Wait {
		if err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
			g, err = s.Lines.Lease(tx, name, 1)
			return err
		}); err != nil {
			return g, fmt.Errorf("take a turn: %w", err)
		}
		if g.Units > 0 || g.Stopped {
			break
		}
		s.Wait(ctx, g.Wait)
	}
	return g, nil
}

// note tells the line how it went, where that is worth a word.
func (s *Speaker) note(ctx context.Context, page uuid.UUID, psid string, g channel.Grant, r channel.Result) error {
	if r.Outcome == channel.Accepted && r.Load == 0 && !g.Watched && !g.Probe {
		return nil // good news of a line that nobody doubts
	}
	var t channel.Tally
	t.Add(r)
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.Lines.Note(tx, g, uuid.Nil, t); err != nil {
			return err
		}
		if r.Elsewhere && s.Held != nil && psid != "" {
			return s.Held(ctx, tx, page, psid)
		}
		if r.Outcome == channel.StopTheLine && strings.HasPrefix(r.Code, "190") {
			return s.Pages.TokenRefused(ctx, tx, page)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note how a line did: %w", err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

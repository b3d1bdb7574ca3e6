// Package thread shares people's threads with the other apps and the humans of
// a Page: it heeds who holds one, and hands threads over.
package thread

import (
	"context"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// PageInbox is the app behind the inbox of every Page, where humans write
// (Messenger Platform, hand-over protocol).
const PageInbox = "263902037430900"

// Graph hands threads over; messenger.Client does.
type Graph interface {
	MoveThread(ctx context.Context, page channel.Page, move channel.ThreadMove) channel.Result
	ThreadOwner(ctx context.Context, page channel.Page, psid string) (app string, r channel.Result)
}

// Pages gives the credentials of a Page.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
}

// Parts are what a Service works with.
type Parts struct {
	DB       *db.DB
	Contacts *contact.Store
	Pages    Pages
	Graph    Graph  // nil when Messenger is not set up
	AppID    string // ours, META_APP_ID; without it a hand-over is judged by whom Meta tells of it
	Now      func() time.Time
}

// Service heeds and moves threads. It is safe for use by many goroutines.
type Service struct{ Parts }

// New returns a service.
func New(p Parts) *Service { return &Service{p} }

// Expiry is the job that frees threads that have been left alone long enough.
type Expiry struct{}

// Kind names the job.
func (Expiry) Kind() string { return "thread.expire" }

// Register adds the job that frees threads in time.
func (s *Service) Register(q *queue.Queue) { queue.Keep(q, time.Minute, Expiry{}, s.tidy) }

// A job frees at most so many threads, so many in one transaction; the rest is
// for the next.
const (
	tidyRounds = 50
	tidyAtOnce = 500
)

func (s *Service) tidy(ctx context.Context) error {
	for range tidyRounds {
		var n int
		err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
			n, err = s.Contacts.LetThreadsGo(ctx, tx, tidyAtOnce)
			return err
		})
		if err != nil || n < tidyAtOnce {
			return err
		}
	}
	return queue.Later(time.Second)
}

// Hear keeps what the events tell of who holds people's threads. It implements
// webhook.Listener.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	var signs []contact.Sign
	for _, ev := range h.Events {
		if ev.PSID != "" {
			signs = append(signs, s.signs(ev)...)
		}
	}
	return s.Contacts.NoteThreads(ctx, tx, h.Page, signs)
}

func (s *Service) signs(ev channel.Event) []contact.Sign {
	sign := contact.Sign{PSID: ev.PSID, At: ev.At}
	switch {
	case ev.Kind == channel.EventThread && (ev.Status == channel.StatusPass || ev.Status == channel.StatusTake):
		sign.Kind, sign.App = contact.HandedOver, s.receiver(ev)
	case ev.Kind == channel.EventStandby && ev.App == PageInbox:
		sign.Kind = contact.HumanWrote
		return []contact.Sign{sign, {Kind: contact.SaidElsewhere, PSID: ev.PSID, At: ev.At}}
	case ev.Kind == channel.EventStandby:
		sign.Kind = contact.SaidElsewhere
	case ev.Kind == channel.EventEcho && ev.App == PageInbox:
		sign.Kind = contact.HumanWrote
	case ev.Kind.OpensWindow():
		sign.Kind = contact.Acted
	default:
		return nil
	}
	return []contact.Sign{sign}
}

// receiver is whom a hand-over gave the thread to. Where that cannot be told by
// ids, it follows from whom Meta tells of it: a pass is told to the app that gets
// the thread, a take to the one that loses it.
func (s *Service) receiver(ev channel.Event) string {
	switch {
	case ev.App != "" && ev.App == s.AppID:
		return contact.Us
	case ev.App != "" && (s.AppID != "" || ev.App == PageInbox || ev.Status == channel.StatusTake):
		return ev.App
	case ev.Status == channel.StatusPass:
		return contact.Us
	}
	return contact.Other
}

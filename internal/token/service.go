package token

import (
	"context"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// DefaultGuard is how long a person is not asked again for the same topic.
const DefaultGuard = 7 * 24 * time.Hour

// Asker sends the "Notify Me" message.
type Asker interface {
	AskOptIn(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result
}

// RecurringAsker sends the request for a recurring token.
type RecurringAsker interface {
	AskRecurring(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result
}

// Pages opens what is needed to send on behalf of a Page.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
}

// Options are the settings of a Service.
type Options struct {
	Pages Pages
	Asker Asker // nil when Messenger is not set up
	// Recurring sends the requests for recurring tokens; nil refuses them.
	Recurring RecurringAsker
	Guard     time.Duration // 0 means DefaultGuard
	Notice    time.Duration // how long before its end a token is told of; 0 is never
	// Held, when set, is told of people whose thread another app turned out to hold.
	Held func(ctx context.Context, tx *db.Tx, page uuid.UUID, psids ...string) error
}

// Service asks people for tokens and lets old ones expire.
type Service struct {
	*Store
	pages  Pages
	asker  Asker
	again  RecurringAsker
	guard  time.Duration
	notice time.Duration
	held   func(ctx context.Context, tx *db.Tx, page uuid.UUID, psids ...string) error
}

// NewService returns a service over a store.
func NewService(s *Store, o Options) *Service {
	if o.Guard == 0 {
		o.Guard = DefaultGuard
	}
	return &Service{Store: s, pages: o.Pages, asker: o.Asker, again: o.Recurring, guard: o.Guard, notice: o.Notice, held: o.Held}
}

// Guard is how long a person is not asked again for the same topic.
func (s *Service) Guard() time.Duration { return s.guard }

// Ask sends the "Notify Me" message and returns the request with what came of
// it: that the provider refused is a state, not an error. Invalid faults have
// the codes contact_not_found, no_address, window_closed, thread_held, asked_recently and
// capability_off; a Page that may not ask or send now is Unavailable
// (asking_stopped, asking_slowed, page_stopped). Of two calls at once only one
// asks.
func (s *Service) Ask(ctx context.Context, ask Request) (OptInRequest, error) {
	kind, send := s.way(ask.Kind)
	if send == nil {
		return OptInRequest{}, errAbsent
	}
	if ask.Topic == Unsorted {
		return OptInRequest{}, errUnsorted
	}
	page, err := s.pages.Sender(ctx, ask.PageID)
	if err != nil {
		return OptInRequest{}, asInvalid(err)
	}
	now := s.moment()
	r := OptInRequest{ID: uuid.Must(uuid.NewV7()), ContactID: ask.ContactID, PageID: ask.PageID, Topic: clean(ask.Topic), Kind: kind,
		State: Sending, AskedAt: now, UpdatedAt: now}
	var psid, title string
	if err := s.db.Transact(ctx, func(tx *db.Tx) (err error) {
		psid, title, err = s.open(tx, r, s.guard)
		return err
	}); err != nil {
		return OptInRequest{}, err
	}
	res := send(ctx, page, psid, title, ours+r.ID.String())
	ctx = context.WithoutCancel(ctx) // what came of it is written down in any case
	if err := s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := s.settle(tx, r.PageID, r.ID, res); err != nil || !res.Elsewhere || s.held == nil {
			return err
		}
		return s.held(ctx, tx, r.PageID, psid)
	}); err != nil {
		return OptInRequest{}, err
	}
	return s.Request(ctx, r.ID)
}

// way is how a kind is asked for; nil when it cannot be.
func (s *Service) way(kind Kind) (Kind, func(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result) {
	switch {
	case kind == AskRecurring && s.again != nil:
		return kind, s.again.AskRecurring
	case kind != AskRecurring && s.asker != nil:
		return AskOneTime, s.asker.AskOptIn
	}
	return kind, nil
}

// asInvalid turns "there is no such page" into what it is for a request that
// names the page: a wrong field.
func asInvalid(err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.New(fault.Invalid, "page_not_found", "There is no such page.").
		With(fault.Field{Pointer: "/page_id", Code: "page_not_found", Detail: "There is no such page."})
}

// abandonAfter is when a request still being sent has certainly been left:
// longer than any call takes.
const abandonAfter = 10 * time.Minute

// Expiry is the job that lets tokens expire, and tells of those that soon will.
type Expiry struct{}

// Kind names the job.
func (Expiry) Kind() string { return "token.expire" }

// Register adds the hourly job that lets tokens expire.
func (s *Service) Register(q *queue.Queue) {
	queue.Keep(q, time.Hour, Expiry{}, s.tidy)
}

// tidyRounds bounds the work of one job; the rest is for the next.
const tidyRounds = 50

func (s *Service) tidy(ctx context.Context) error {
	now := s.moment()
	err := s.rounds(ctx, func(tx *db.Tx) (int, error) { return s.Expire(ctx, tx, now) })
	if err == nil && s.notice > 0 {
		err = s.rounds(ctx, func(tx *db.Tx) (int, error) { return s.Notice(ctx, tx, now, s.notice) })
	}
	if err != nil {
		return err
	}
	return s.db.Transact(ctx, func(tx *db.Tx) error { return s.abandon(tx, now.Add(-abandonAfter)) })
}

// rounds repeats what does a bounded number of tokens at a time.
func (s *Service) rounds(ctx context.Context, bite func(*db.Tx) (int, error)) error {
	for range tidyRounds {
		var n int
		err := s.db.Transact(ctx, func(tx *db.Tx) (err error) {
			n, err = bite(tx)
			return err
		})
		if err != nil || n < expireBite {
			return err
		}
	}
	return queue.Later(time.Second)
}

// Package profile asks Messenger once for the names of people who wrote before
// anybody told us who they are. Nothing ever waits for it.
package profile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// Reader reads a person's profile.
type Reader interface {
	Profile(ctx context.Context, page channel.Page, psid string, namesOnly bool) (channel.Profile, channel.Result)
}

// Pages opens what is needed to call on behalf of a Page.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
}

// Parts are what a Service needs.
type Parts struct {
	DB       *db.DB
	Queue    *queue.Queue
	Pages    Pages
	Contacts *contact.Store
	Reader   Reader // nil when Messenger is not set up
	Now      func() time.Time
	// Wait returns after d, or when ctx ends; nil is by the real clock.
	Wait func(ctx context.Context, d time.Duration)
}

// Service reads profiles. It listens to the Page's events.
type Service struct{ Parts }

// New returns a service with its jobs on the queue.
func New(p Parts) *Service {
	if p.Wait == nil {
		p.Wait = wait
	}
	s := &Service{p}
	queue.Handle(p.Queue, 1, s.read)
	queue.Keep(p.Queue, 10*time.Minute, againJob{}, s.again)
	return s
}

func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Hear notes people without a name whose profile has not been read yet, with a
// job that does. It can be told twice and in any order.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	if len(h.People) == 0 || s.Reader == nil {
		return nil
	}
	psids := slices.Sorted(maps.Keys(h.People))
	page := slices.Repeat([]uuid.UUID{h.Page}, len(psids)) // in each row: with one value SQLite would walk all people of the page
	now := s.moment()
	res := tx.WithContext(ctx).Exec(`INSERT INTO profile_fetches (page_id, psid, state, due_at, updated_at)
		SELECT a.page_id, a.psid, 'due', CAST(? AS `+tx.TimeType()+`), CAST(? AS `+tx.TimeType()+`)
		FROM ? JOIN messenger_addresses a ON a.page_id = v.page AND a.psid = v.psid JOIN contacts c ON c.id = a.contact_id
		WHERE c.first_name = '' AND c.last_name = ''
			AND NOT EXISTS (SELECT 1 FROM profile_fetches f WHERE f.page_id = a.page_id AND f.psid = a.psid)
			AND NOT EXISTS (SELECT 1 FROM capabilities may WHERE may.page_id = a.page_id AND may.name = 'profile' AND may.state = 'off')
		ON CONFLICT (page_id, psid) DO NOTHING`, now, now, tx.Values("v", db.UUIDs("page", page), db.Texts("psid", psids)))
	if res.Error != nil {
		return fmt.Errorf("note people without a name: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return nil
	}
	return s.enqueue(ctx, tx, h.Page, int(res.RowsAffected))
}

// enqueue adds the job for people just noted, unless others were waiting: their
// job goes on to these, or the next round takes them up.
func (s *Service) enqueue(ctx context.Context, tx *db.Tx, page uuid.UUID, noted int) error {
	var waiting int
	err := tx.Raw("SELECT COUNT(*) FROM (SELECT 1 FROM profile_fetches WHERE page_id = ? AND state = 'due' LIMIT ?) AS first_ones", page, noted+1).Scan(&waiting).Error
	if err != nil {
		return fmt.Errorf("look who waits for their profile to be read: %w", err)
	}
	if waiting > noted {
		return nil
	}
	return s.Queue.Insert(ctx, tx, queue.Order{Args: ReadJob{page}})
}

// againJob takes up profiles that were put off, or left by a node that died.
type againJob struct{}

// Kind names the job.
func (againJob) Kind() string { return "profile.again" }

func (s *Service) again(ctx context.Context) error {
	var pages []uuid.UUID
	err := s.DB.Read(ctx).Raw("SELECT DISTINCT page_id FROM profile_fetches WHERE state = 'due' AND due_at <= ?", s.moment()).Scan(&pages).Error
	if err != nil {
		return fmt.Errorf("look for profiles to read: %w", err)
	}
	orders := make([]queue.Order, len(pages))
	for i, p := range pages {
		orders[i] = queue.Order{Args: ReadJob{p}}
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Queue.Insert(ctx, tx, orders...) })
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

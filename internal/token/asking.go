package token

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/line"
)

// Graph's codes about asking (Messenger Platform error codes).
const (
	mayNotAsk = "10/1404170"  // the Page may not ask any more; it may still send
	tooMany   = "9/2018352"   // too many requests: slow down
	asked     = "613/1893016" // this person was asked for this already
)

// How long a Page rests that asked too much: doubled each time, back to the
// start once a request is taken.
const (
	firstRest = time.Minute
	mostRest  = time.Hour
)

var (
	errAskingStopped = fault.New(fault.Unavailable, "asking_stopped", "Meta does not let this page ask for permissions.")
	errAskingSlowed  = fault.New(fault.Unavailable, "asking_slowed", "This page asked too much and rests for a while.")
	errAskingOff     = fault.New(fault.Invalid, "capability_off", "Meta does not let this page ask for such permissions.")
)

// Asking says how far Meta lets a Page ask for permissions. The zero value is a
// Page that may.
type Asking struct {
	PageID    uuid.UUID `gorm:"primaryKey"`
	Code      string    // Graph's, of the last refusal
	StoppedAt *time.Time
	SlowUntil *time.Time // it asked too much, and rests until then
}

// AskingOf returns how far Pages may ask, by Page. Those that Meta never
// refused are left out, as are those whose rest is over.
func (s *Store) AskingOf(ctx context.Context, pages ...uuid.UUID) (map[uuid.UUID]Asking, error) {
	var rows []Asking
	err := s.db.Read(ctx).Raw(`SELECT page_id, code, stopped_at, slow_until FROM page_asking
		WHERE page_id IN ? AND (stopped_at IS NOT NULL OR slow_until > ?)`, pages, s.moment()).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read how far pages may ask: %w", err)
	}
	of := make(map[uuid.UUID]Asking, len(rows))
	for _, r := range rows {
		of[r.PageID] = r
	}
	return of, nil
}

// ResumeAsking lets a Page ask again that Meta had stopped or slowed: a person
// says so, Meta does not.
func (s *Store) ResumeAsking(ctx context.Context, page uuid.UUID) error {
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("DELETE FROM page_asking WHERE page_id = ?", page).Error
	})
	if err != nil {
		return fmt.Errorf("resume asking: %w", err)
	}
	return nil
}

// NoteAsked writes down what the answer to a request means for the Page's next
// ones: requests may be refused while messages are not, and one that is taken
// shows that the Page may ask. A Page that cannot send at all is stopped.
func (s *Store) NoteAsked(tx *db.Tx, page uuid.UUID, res channel.Result) error {
	now := s.moment()
	var err error
	switch {
	case res.Outcome == channel.StopTheLine && res.Code != mayNotAsk:
		err = line.Stop(tx, channel.Window.Line(page.String()), res.Code, res.Detail, now)
	case res.Code == mayNotAsk:
		err = tx.Exec(`INSERT INTO page_asking (page_id, code, stopped_at, updated_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (page_id) DO UPDATE SET code = excluded.code, updated_at = excluded.updated_at,
				stopped_at = COALESCE(page_asking.stopped_at, excluded.stopped_at)`, page, res.Code, now, now).Error
	case res.Outcome == channel.TryLater && strings.HasPrefix(res.Code, tooMany):
		err = s.rest(tx, page, res, now)
	case res.Outcome == channel.Accepted:
		err = tx.Exec("DELETE FROM page_asking WHERE page_id = ?", page).Error
	}
	if err != nil {
		return fmt.Errorf("note how far a page may ask: %w", err)
	}
	return nil
}

// rest makes the Page wait twice as long as the last time, and at least as long
// as Graph says.
func (s *Store) rest(tx *db.Tx, page uuid.UUID, res channel.Result, now time.Time) error {
	var waited []int
	if err := tx.Raw("SELECT wait FROM page_asking WHERE page_id = ?"+tx.ForUpdate(), page).Scan(&waited).Error; err != nil {
		return err
	}
	wait := firstRest
	if len(waited) > 0 {
		wait = max(wait, min(2*time.Duration(waited[0])*time.Second, mostRest))
	}
	until := now.Add(max(wait, res.RetryAfter))
	return tx.Exec(`INSERT INTO page_asking (page_id, code, slow_until, wait, updated_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (page_id) DO UPDATE SET code = excluded.code, slow_until = excluded.slow_until, wait = excluded.wait, updated_at = excluded.updated_at`,
		page, res.Code, until, int(wait/time.Second), now).Error
}

// mayAsk returns the fault that says why a Page may not ask now, if it may not.
func mayAsk(tx *db.Tx, r OptInRequest) error {
	var found []struct{ Stopped, Slowed, Off bool }
	err := tx.Raw(`SELECT COALESCE(a.stopped_at IS NOT NULL, FALSE) AS stopped, COALESCE(a.slow_until > ?, FALSE) AS slowed, COALESCE(c.state = 'off', FALSE) AS off
		FROM pages p LEFT JOIN page_asking a ON a.page_id = p.id
			LEFT JOIN capabilities c ON c.page_id = p.id AND c.name = ? WHERE p.id = ?`, r.AskedAt, r.Kind, r.PageID).Scan(&found).Error
	switch {
	case err != nil:
		return fmt.Errorf("look how far a page may ask: %w", err)
	case len(found) == 0:
		return nil
	case found[0].Off:
		return errAskingOff
	case found[0].Stopped:
		return errAskingStopped
	case found[0].Slowed:
		return errAskingSlowed
	}
	return nil
}

// Package line keeps the senders: how fast each may go, on all nodes together,
// and whether it may go at all.
package line

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// Rates are the set paces, in units a second: messages, and segments of SMS. 0
// is no pace.
type Rates struct{ Messenger, SMS, Email float64 }

func (r Rates) of(name string) float64 {
	switch kindOf(name) {
	case channel.Messenger:
		return r.Messenger
	case channel.SMS:
		return r.SMS
	}
	return r.Email
}

func kindOf(name string) channel.Kind {
	kind, _, _ := strings.Cut(name, ":")
	return channel.Kind(kind)
}

// pageOf is the Page of a line, or uuid.Nil.
func pageOf(name string) uuid.UUID {
	_, id, _ := strings.Cut(name, ":")
	page, err := uuid.Parse(id)
	if err != nil {
		return uuid.Nil
	}
	return page
}

// Store keeps the lines. It is safe for use by many goroutines, and on many nodes
// over one database.
type Store struct {
	db    *db.DB
	rates Rates
	now   func() time.Time
}

// NewStore returns a store.
func NewStore(d *db.DB, rates Rates, now func() time.Time) *Store {
	return &Store{db: d, rates: rates, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
}

// Line is a sender as others see it.
type Line struct {
	Sender    string
	Pace      float64    // units a second that it may do now; 0 is as fast as it can
	Share     int        // percent of its own pace; 100 unless it is slowed
	SlowUntil *time.Time // while slowed: from then on it goes up in steps
	RestUntil *time.Time // nothing is sent before
	StoppedAt *time.Time // nothing is sent until it is resumed, or tried at RetryAt
	Code      string
	Detail    string
	RetryAt   *time.Time
}

var errNone = fault.New(fault.NotFound, "line_not_found", "There is no such sender.")

// Get returns a line, or a NotFound fault when there is no such Page or channel.
func (s *Store) Get(ctx context.Context, name string) (Line, error) {
	known := name == channel.LaneSMS.Line("") || name == channel.LaneEmail.Line("")
	if page := pageOf(name); page != uuid.Nil && name == channel.Window.Line(page.String()) {
		if err := s.db.Read(ctx).Raw("SELECT EXISTS (SELECT 1 FROM pages WHERE id = ?)", page).Scan(&known).Error; err != nil {
			return Line{}, fmt.Errorf("find a line: %w", err)
		}
	}
	if !known {
		return Line{}, errNone
	}
	lines, err := s.Look(ctx, name)
	if err != nil {
		return Line{}, err
	}
	return lines[0], nil
}

// List returns up to limit lines by name: those after the one named, or the
// first ones when it is "".
func (s *Store) List(ctx context.Context, after string, limit int) ([]Line, error) {
	var names []string
	err := s.db.Read(ctx).Raw(`SELECT sender FROM (SELECT 'email' AS sender UNION ALL SELECT 'sms' UNION ALL SELECT 'messenger:' || CAST(id AS text) FROM pages) AS l
		WHERE sender > ? ORDER BY sender LIMIT ?`, after, limit).Scan(&names).Error
	if err != nil {
		return nil, fmt.Errorf("list lines: %w", err)
	}
	return s.Look(ctx, names...)
}

// Look returns the lines with the names given, in their order. Whether there are
// such senders is not asked.
func (s *Store) Look(ctx context.Context, names ...string) ([]Line, error) {
	var rows []row
	if err := s.db.Read(ctx).Raw("SELECT * FROM lines WHERE sender IN ?", names).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("look at lines: %w", err)
	}
	found := make(map[string]row, len(rows))
	for _, r := range rows {
		found[r.Sender] = r
	}
	out := make([]Line, len(names))
	for i, name := range names {
		r, ok := found[name]
		if !ok {
			r = fresh(name, s.now())
		}
		out[i] = r.line(s.rates.of(name), s.now())
	}
	return out, nil
}

// Stopped returns those of the lines named that are stopped, in their order.
func (s *Store) Stopped(ctx context.Context, names ...string) ([]Line, error) {
	lines, err := s.Look(ctx, names...)
	var out []Line
	for _, l := range lines {
		if l.StoppedAt != nil {
			out = append(out, l)
		}
	}
	return out, err
}

// IsStopped reports in a transaction whether a line is stopped.
func IsStopped(tx *db.Tx, name string) (bool, error) {
	var stopped bool
	err := tx.Raw("SELECT EXISTS (SELECT 1 FROM lines WHERE sender = ? AND stopped_at IS NOT NULL)", name).Scan(&stopped).Error
	if err != nil {
		return false, fmt.Errorf("look at a line: %w", err)
	}
	return stopped, nil
}

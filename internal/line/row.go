package line

import (
	"fmt"
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// row is what stands in the table.
type row struct {
	Sender     string
	FreeAt     int64 // turns are given out up to here, in microseconds since 1970
	Share      int   // percent of the pace, while it is slowed; see shareAt
	SlowUntil  *time.Time
	Pace       float64 // while slowed, of a line that has no set pace
	StoppedAt  *time.Time
	StopCode   string
	StopDetail string
	RetryAt    *time.Time
	Rest       int // seconds
	Tried      int // of the chunks that are not judged yet, and what came of them
	Faults     int
	Refused    int
	Streak     int // bad chunks in a row
	UpdatedAt  time.Time
}

// fresh is a line of which nothing is known.
func fresh(name string, now time.Time) row {
	return row{Sender: name, FreeAt: now.Add(-credit).UnixMicro(), Share: full, UpdatedAt: now}
}

const (
	full   = 100         // percent
	stepUp = 25          // percent a minute, once a line has gone slowly for long enough
	step   = time.Minute //
)

// shareAt is what part of its pace the line may do, in percent.
func (r *row) shareAt(now time.Time) int {
	if r.Share >= full || r.SlowUntil == nil || now.Before(*r.SlowUntil) {
		return r.Share
	}
	return min(full, r.Share+stepUp*(1+int(now.Sub(*r.SlowUntil)/step)))
}

// paceAt is how many units a second the line may do; 0 is as fast as it can.
// Rate is its set pace.
func (r *row) paceAt(rate float64, now time.Time) float64 {
	share := r.shareAt(now)
	if rate == 0 && share < full {
		rate = r.Pace
	}
	return rate * float64(share) / full
}

// line is the row as others see it.
func (r *row) line(rate float64, now time.Time) Line {
	l := Line{Sender: r.Sender, Pace: r.paceAt(rate, now), Share: r.shareAt(now), StoppedAt: r.StoppedAt, Code: r.StopCode, Detail: r.StopDetail, RetryAt: r.RetryAt}
	if l.Share < full {
		l.SlowUntil = r.SlowUntil
	}
	if free := time.UnixMicro(r.FreeAt).UTC(); free.After(now.Add(2*ahead)) && l.Share < full {
		l.RestUntil = &free
	}
	return l
}

// locked reads a line's row to change it, and makes it when it is not there.
func locked(tx *db.Tx, name string, now time.Time) (row, error) {
	for range 2 {
		var rows []row
		if err := tx.Raw("SELECT * FROM lines WHERE sender = ?"+tx.ForUpdate(), name).Scan(&rows).Error; err != nil {
			return row{}, fmt.Errorf("read a line: %w", err)
		}
		if len(rows) > 0 {
			return rows[0], nil
		}
		if err := insert(tx, name, now); err != nil {
			return row{}, err
		}
	}
	return row{}, fmt.Errorf("the line %s cannot be made", name)
}

func insert(tx *db.Tx, name string, now time.Time) error {
	r := fresh(name, now)
	err := tx.Exec("INSERT INTO lines (sender, free_at, updated_at) VALUES (?, ?, ?) ON CONFLICT (sender) DO NOTHING", name, r.FreeAt, now).Error
	if err != nil {
		return fmt.Errorf("make a line: %w", err)
	}
	return nil
}

// save writes the row back.
func (r *row) save(tx *db.Tx, now time.Time) error {
	err := tx.Exec(`UPDATE lines SET free_at = ?, share = ?, slow_until = ?, pace = ?, stopped_at = ?, stop_code = ?, stop_detail = ?,
		retry_at = ?, rest = ?, tried = ?, faults = ?, refused = ?, streak = ?, updated_at = ? WHERE sender = ?`,
		r.FreeAt, r.Share, r.SlowUntil, r.Pace, r.StoppedAt, r.StopCode, r.StopDetail,
		r.RetryAt, r.Rest, r.Tried, r.Faults, r.Refused, r.Streak, now, r.Sender).Error
	if err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	return nil
}

// sane is a pace to begin with for a line that has none and has to slow down.
func sane(name string) float64 {
	switch kindOf(name) {
	case channel.Messenger:
		return 15
	case channel.SMS:
		return 1
	}
	return 100
}

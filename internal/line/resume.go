package line

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Who resumes a line.
const (
	ByPerson = "person" // by a call
	ByToken  = "token"  // its Page has a new access token
	ByPolicy = "policy" // Meta blocks its Page no more
)

// Resume lets a line go on that is stopped or rests; a line that does neither
// stays as it is. How fast it goes does not change. The answer is the line, or a
// NotFound fault.
func (s *Store) Resume(ctx context.Context, name string) (Line, error) {
	if _, err := s.Get(ctx, name); err != nil {
		return Line{}, err
	}
	now := s.now()
	err := s.db.Transact(ctx, func(tx *db.Tx) error { return Lift(tx, name, ByPerson, now) })
	if err != nil {
		return Line{}, err
	}
	return s.Get(ctx, name)
}

// Lift is Resume in a transaction, for a line that is known to be one.
func Lift(tx *db.Tx, name, by string, now time.Time) error {
	return lift(tx, name, by, now, func(row) bool { return true })
}

// LiftCause is Lift for a line that is stopped with that code; any other one
// stays as it is.
func LiftCause(tx *db.Tx, name, code, by string, now time.Time) error {
	return lift(tx, name, by, now, func(r row) bool { return r.StoppedAt != nil && r.StopCode == code })
}

func lift(tx *db.Tx, name, by string, now time.Time, may func(row) bool) error {
	var rows []row
	if err := tx.Raw("SELECT * FROM lines WHERE sender = ?"+tx.ForUpdate(), name).Scan(&rows).Error; err != nil {
		return fmt.Errorf("resume a line: %w", err)
	}
	if len(rows) == 0 || !may(rows[0]) {
		return nil
	}
	r, told := rows[0], []word(nil)
	before := r
	r.FreeAt = min(r.FreeAt, now.Add(2*ahead).UnixMicro()) // what is leased by now ends before
	if r.StoppedAt != nil {
		told = r.resume(by)
	}
	if r == before {
		return nil
	}
	if err := r.save(tx, now); err != nil {
		return err
	}
	return tell(tx, told, name, uuid.Nil, now)
}

// Stop stops a line until somebody resumes it, for what a provider said of the
// sender outside of a lease.
func Stop(tx *db.Tx, name, code, detail string, now time.Time) error {
	r, err := locked(tx, name, now)
	if err != nil {
		return err
	}
	told := r.stop(now, code, detail)
	if len(told) == 0 { // it is stopped already
		return nil
	}
	if err := r.save(tx, now); err != nil {
		return err
	}
	return tell(tx, told, name, uuid.Nil, now)
}

// Forget removes the line of a Page that is no more.
func Forget(tx *db.Tx, page uuid.UUID) error {
	if err := tx.Exec("DELETE FROM lines WHERE sender = ?", channel.Window.Line(page.String())).Error; err != nil {
		return fmt.Errorf("forget a line: %w", err)
	}
	return nil
}

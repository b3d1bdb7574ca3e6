package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/db"
)

// state is how far one list is.
type state struct {
	List       string
	Account    string
	Turn       int64
	FromAt     *time.Time
	UntilAt    *time.Time // nil: no run is going on
	Place      int64
	Added      int64
	DoneUntil  *time.Time
	FullAt     *time.Time
	FinishedAt *time.Time
	LastSeen   int64
	LastAdded  int64
	Problem    string
	ProblemAt  *time.Time
	WaitUntil  *time.Time // SendGrid asked for it
}

// TableName names the table.
func (state) TableName() string { return "mirrors" }

// errElsewhere says that somebody else has gone on with the list meanwhile.
var errElsewhere = errors.New("another node is at it")

func (st state) status(account string) Status {
	if st.Account != account { // of an account from before
		return Status{}
	}
	return Status{FinishedAt: st.FinishedAt, Seen: st.LastSeen, Added: st.LastAdded, Problem: st.Problem, ProblemAt: st.ProblemAt}
}

// read reads the states of all lists.
func (s *Service) read(ctx context.Context) (map[string]state, error) {
	var rows []state
	if err := s.DB.Read(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read how far the lists are: %w", err)
	}
	out := map[string]state{}
	for _, r := range rows {
		out[r.List] = r
	}
	return out, nil
}

// rests reports whether SendGrid has asked for no calls at the moment, about
// whichever list.
func (s *Service) rests(ctx context.Context) (bool, error) {
	all, err := s.read(ctx)
	for _, st := range all {
		if st.Account == s.Name && st.WaitUntil != nil && s.Now().Before(*st.WaitUntil) {
			return true, err
		}
	}
	return false, err
}

// state reads how far one list is; of another account, or of none so far, nothing
// is done.
func (s *Service) state(ctx context.Context, l sendgrid.List) (state, error) {
	all, err := s.read(ctx)
	st := all[string(l)]
	if st.Account != s.Name {
		st = state{Turn: st.Turn}
	}
	st.List, st.Account = string(l), s.Name
	return st, err
}

// save writes a state down, if nobody else has since it was read.
func (st *state) save(tx *db.Tx) error {
	was := st.Turn
	st.Turn++
	r := tx.Exec(`INSERT INTO mirrors (list, account, turn, from_at, until_at, place, added, done_until, full_at, finished_at, last_seen, last_added, problem, problem_at, wait_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (list) DO UPDATE SET account = excluded.account, turn = excluded.turn, from_at = excluded.from_at, until_at = excluded.until_at,
			place = excluded.place, added = excluded.added, done_until = excluded.done_until, full_at = excluded.full_at, finished_at = excluded.finished_at,
			last_seen = excluded.last_seen, last_added = excluded.last_added, problem = excluded.problem, problem_at = excluded.problem_at, wait_until = excluded.wait_until
		WHERE mirrors.turn = ?`,
		st.List, st.Account, st.Turn, st.FromAt, st.UntilAt, st.Place, st.Added, st.DoneUntil, st.FullAt, st.FinishedAt, st.LastSeen, st.LastAdded, st.Problem, st.ProblemAt, st.WaitUntil, was)
	switch {
	case r.Error != nil:
		return fmt.Errorf("write down how far a list is: %w", r.Error)
	case r.RowsAffected == 0:
		return errElsewhere
	}
	return nil
}

// change does work on a copy of a state, and writes it down in the same
// transaction; only then it takes the copy over.
func (s *Service) change(ctx context.Context, st *state, work func(*db.Tx, *state) error) error {
	var next state
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		next = *st
		if err := work(tx, &next); err != nil {
			return err
		}
		return next.save(tx)
	})
	if err == nil {
		*st = next
	}
	return err
}

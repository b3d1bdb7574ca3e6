package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/wire"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/queue"
)

const (
	nightly = 23 * time.Hour // after a good run; with the hour that a look may come late it is a day
	// overlap is how far a run reaches back behind the one before: entries come onto
	// the lists late, and clocks differ.
	overlap = 24 * time.Hour
	// wholeEvery is how often a list is read from its beginning: whoever is taken off
	// a list while it is read moves the others up, and one may be missed.
	wholeEvery = 7 * 24 * time.Hour
	workFor    = 20 * time.Second
	mostWait   = time.Hour
)

// errPause says that the time of a job is up, and nothing is wrong.
var errPause = errors.New("goes on later")

// pull takes over each list whose time has come. What a provider refuses holds up
// no other list.
func (s *Service) pull(ctx context.Context) error {
	if rests, err := s.rests(ctx); rests || err != nil {
		return err // the job that was told to wait goes on
	}
	end := queue.WorkUntil(ctx, workFor)
	for _, l := range s.lists() {
		st, err := s.state(ctx, l)
		if err != nil {
			return err
		}
		if !s.due(st) {
			continue
		}
		if err := s.settle(ctx, &st, s.take(ctx, l, &st, end)); err != nil {
			return err
		}
	}
	return nil
}

// due reports whether a list is to be gone through: once after each start of the
// program, every night, and on where a run ended early.
func (s *Service) due(st state) bool {
	return st.UntilAt != nil || st.DoneUntil == nil || st.DoneUntil.Before(s.begun) || s.Now().Sub(*st.DoneUntil) > nightly
}

// settle says what comes of how a run ended: later, or never mind until the next
// look. A problem is written down and told.
func (s *Service) settle(ctx context.Context, st *state, err error) error {
	var no *wire.Refusal
	switch {
	case err == nil, errors.Is(err, errElsewhere):
		return nil
	case errors.Is(err, errPause):
		return queue.Later(time.Second)
	case ctx.Err() != nil: // the job was cut off: it is no fault of anybody's
		return err
	case errors.As(err, &no) && no.Status == http.StatusTooManyRequests:
		return s.wait(ctx, st, min(max(no.After, time.Second), mostWait))
	case !errors.As(err, &no) && !errors.Is(err, wire.ErrSilent):
		return err
	}
	return s.complain(ctx, st, err.Error())
}

// wait has all nodes leave SendGrid alone for as long as it asks.
func (s *Service) wait(ctx context.Context, st *state, d time.Duration) error {
	until := s.Now().Add(d)
	err := s.change(ctx, st, func(_ *db.Tx, n *state) error {
		n.WaitUntil = &until
		return nil
	})
	if err != nil && !errors.Is(err, errElsewhere) {
		return err
	}
	return queue.Later(d)
}

// complain writes a problem down, and logs it when it is a new one.
func (s *Service) complain(ctx context.Context, st *state, problem string) error {
	if problem != st.Problem {
		s.Log.WarnContext(ctx, "SendGrid's list cannot be kept like ours, it is tried again every hour", "list", st.List, "error", problem)
	}
	now := s.Now()
	err := s.change(ctx, st, func(_ *db.Tx, n *state) error {
		n.Problem, n.ProblemAt = problem, &now
		return nil
	})
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// take goes through one list, from where it ended. Each page is suppressed in one
// transaction with how far the list is then.
func (s *Service) take(ctx context.Context, l sendgrid.List, st *state, end time.Time) error {
	if st.UntilAt == nil {
		if err := s.change(ctx, st, s.begin); err != nil {
			return err
		}
	}
	part := sendgrid.Part{Until: *st.UntilAt, Skip: int(st.Place)}
	if st.FromAt != nil {
		part.From = *st.FromAt
	}
	err := s.Account.Read(ctx, l, part, func(page []sendgrid.Listed) error {
		if err := s.page(ctx, l, st, page); err != nil {
			return err
		}
		if time.Now().After(end) || s.Queue.Ending() {
			return errPause
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.finish(ctx, st)
}

// begin says which part of the list is next. What was known of another account is
// let go of.
func (s *Service) begin(tx *db.Tx, st *state) error {
	now := s.Now()
	st.UntilAt, st.FromAt, st.Place, st.Added = &now, nil, 0, 0
	if st.DoneUntil != nil && st.FullAt != nil && now.Sub(*st.FullAt) < wholeEvery {
		from := st.DoneUntil.Add(-overlap)
		st.FromAt = &from
		return nil
	}
	st.FullAt = &now
	if err := tx.Exec("DELETE FROM mirrored WHERE account <> ?", s.Name).Error; err != nil {
		return fmt.Errorf("forget another account's list: %w", err)
	}
	return nil
}

// longestAddress is how long an address can be, with room to spare.
const longestAddress = 320

// page suppresses who stands on one page.
func (s *Service) page(ctx context.Context, l sendgrid.List, st *state, page []sendgrid.Listed) error {
	list := make([]contact.Silence, 0, len(page))
	for _, p := range page {
		if p.Email != "" && len(p.Email) <= longestAddress {
			list = append(list, contact.Silence{Channel: channel.Email, Address: p.Email, Reason: reason(l), Source: Source, At: p.At})
		}
	}
	return s.change(ctx, st, func(tx *db.Tx, n *state) error {
		hashes, made, err := s.Contacts.Absorb(ctx, tx, channel.Email, list)
		n.Place, n.Added = n.Place+int64(len(page)), n.Added+int64(made)
		if err != nil || l != sendgrid.Unsubscribes {
			return err
		}
		return s.mark(tx, hashes, listed)
	})
}

// finish writes down that a run is done, and tells if anybody was new.
func (s *Service) finish(ctx context.Context, st *state) error {
	now := s.Now()
	err := s.change(ctx, st, func(tx *db.Tx, n *state) error {
		n.DoneUntil, n.UntilAt, n.FinishedAt, n.LastSeen, n.LastAdded = n.UntilAt, nil, &now, n.Place, n.Added
		n.Problem, n.ProblemAt = "", nil
		if n.Added == 0 {
			return nil
		}
		return event.Add(tx, event.Event{Type: event.SuppressionsSynced, At: now, Data: map[string]any{"list": n.List, "seen": n.Place, "added": n.Added}})
	})
	if err == nil {
		s.Log.InfoContext(ctx, "took SendGrid's list over", "list", st.List, "seen", st.LastSeen, "added", st.LastAdded, "whole", st.FromAt == nil)
	}
	return err
}

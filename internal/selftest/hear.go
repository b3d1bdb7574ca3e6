package selftest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/token"
)

// sealedAs is what the tokens of tests are bound to.
const sealedAs = "self_test"

// markPrefix begins the mark of a test's message; the test's id follows.
const markPrefix = "test:"

// Hear takes the taps of tests, and the echoes that prove that a message went
// out of which nobody knew. It can be told twice and in any order.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	var echoes []uuid.UUID
	taps := map[uuid.UUID]tap{}
	for _, ev := range h.Events {
		if id, ok := idAfter(token.TestPayload, ev.Payload); ok && ev.Kind == channel.EventOptIn && ev.Token != "" {
			taps[id] = tap{ev.Token, given(ev.OptInType)}
		}
		if id, ok := idAfter(markPrefix, ev.Mark); ok && ev.Kind == channel.EventEcho {
			echoes = append(echoes, id)
		}
	}
	if err := s.tapped(ctx, tx, h.Page, taps); err != nil {
		return err
	}
	return s.echoed(tx, h.Page, echoes)
}

// tap is a token, and what it is good for.
type tap struct {
	value string
	of    page.Capability
}

// given is what an opt-in of that type gives.
func given(optIn string) page.Capability {
	switch optIn {
	case channel.OptInOneTime:
		return page.OneTime
	case channel.OptInRecurring:
		return page.Recurring
	}
	return ""
}

func idAfter(prefix, text string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	id, err := uuid.Parse(rest)
	return id, ok && err == nil
}

// tapped keeps the tokens of tests that wait, each with the job that uses it.
func (s *Service) tapped(ctx context.Context, tx *db.Tx, pageID uuid.UUID, taps map[uuid.UUID]tap) error {
	if len(taps) == 0 {
		return nil
	}
	var ids []uuid.UUID
	var sealed [][]byte
	var of []string
	for id, t := range taps {
		one, err := s.Box.Seal(t.value, sealedAs)
		if err != nil {
			return fmt.Errorf("keep the token of a self-test: %w", err)
		}
		ids, sealed, of = append(ids, id), append(sealed, one), append(of, string(t.of))
	}
	var moved []uuid.UUID
	err := tx.Raw(`UPDATE self_tests SET state = 'sending', token = v.value, updated_at = ? FROM ?
		WHERE self_tests.id = v.id AND self_tests.capability = v.capability AND self_tests.page_id = ? AND self_tests.state IN ('asking', 'waiting') AND self_tests.asked_at > ?
		RETURNING self_tests.id`, s.moment(), tx.Values("v", db.UUIDs("id", ids), db.Blobs("value", sealed), db.Texts("capability", of)), pageID, s.moment().Add(-lasts)).Scan(&moved).Error
	if err != nil {
		return fmt.Errorf("note the taps of self-tests: %w", err)
	}
	orders := make([]queue.Order, len(moved))
	for i, id := range moved {
		orders[i] = queue.Order{Args: SendJob{id}}
	}
	return s.Queue.Insert(ctx, tx, orders...)
}

// echoed marks tests as passed whose message came back as an echo.
func (s *Service) echoed(tx *db.Tx, pageID uuid.UUID, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var passed []Test
	err := tx.Raw(`UPDATE self_tests SET state = 'passed', code = '', detail = '', token = NULL, updated_at = ?
		WHERE id IN ? AND page_id = ? AND state = 'sending' AND sent_at IS NOT NULL RETURNING id, capability`, s.moment(), ids, pageID).Scan(&passed).Error
	if err != nil {
		return fmt.Errorf("note the echoes of self-tests: %w", err)
	}
	for _, t := range passed { // one, as good as always
		if err := page.Learn(tx, pageID, t.Capability, page.Works, page.BySelfTest, s.moment()); err != nil {
			return err
		}
	}
	return nil
}

// tidyJob ends tests that nobody ends.
type tidyJob struct{}

// Kind names the job.
func (tidyJob) Kind() string { return "selftest.tidy" }

// askedBy is when a question that is still going out has certainly been left by
// a node that died: whether it arrived, the tap will tell.
const askedBy = 10 * time.Minute

func (s *Service) tidy(ctx context.Context) error {
	now := s.moment()
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		err := tx.Exec("UPDATE self_tests SET state = 'waiting', updated_at = ? WHERE state = 'asking' AND asked_at <= ?", now, now.Add(-askedBy)).Error
		if err != nil {
			return err
		}
		return tx.Exec("UPDATE self_tests SET state = 'timed_out', token = NULL, updated_at = ? WHERE state IN ('asking', 'waiting', 'sending') AND asked_at <= ?",
			now, now.Add(-lasts)).Error
	})
	if err != nil {
		return fmt.Errorf("end old self-tests: %w", err)
	}
	return nil
}

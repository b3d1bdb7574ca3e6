package selftest

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/page"
	"beckon/internal/queue"
)

// SendJob sends the message of a test.
type SendJob struct {
	Test uuid.UUID `json:"test"`
}

// Kind names the job.
func (SendJob) Kind() string { return "selftest.send" }

// said is what the tester gets.
const said = `{"text":"This is the message of Beckon's self-test. This page may send you notifications."}`

// putOff is how long the message waits when its page may not send now.
const putOff = 30 * time.Second

// send uses a test's token, once: it is written down before the call, so that a
// run after a crash sends nothing.
func (s *Service) send(ctx context.Context, job queue.Job[SendJob]) error {
	t, value, err := s.claim(ctx, job.Args.Test)
	if err != nil || value == "" {
		return err
	}
	res, err := s.Speaker.Say(ctx, t.PageID, channel.Lane(t.Capability), channel.Message{Token: value, Mark: markPrefix + t.ID.String(), Body: []byte(said)})
	ctx = context.WithoutCancel(ctx)
	if err != nil && res.Outcome == "" { // it did not come to the call
		res = channel.Result{Outcome: channel.TryLater}
	}
	if failed := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.settle(tx, t, res) }); failed != nil {
		return fmt.Errorf("settle a self-test: %w", failed)
	}
	if err == nil && res.Outcome == channel.TryLater {
		return queue.Later(max(res.RetryAfter, putOff))
	}
	return err
}

// claim writes down that a test's message goes out now. The value is "" when
// there is nothing to send, or somebody else does it.
func (s *Service) claim(ctx context.Context, id uuid.UUID) (t Test, value string, err error) {
	var rows []struct {
		ID, PageID uuid.UUID
		Capability page.Capability
		Token      []byte
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		rows = nil
		return tx.Raw(`UPDATE self_tests SET sent_at = ?, updated_at = ? WHERE id = ? AND state = 'sending' AND sent_at IS NULL AND token IS NOT NULL AND asked_at > ?
			RETURNING id, page_id, capability, token`, s.moment(), s.moment(), id, s.moment().Add(-lasts)).Scan(&rows).Error
	})
	if err != nil {
		return t, "", fmt.Errorf("take a self-test: %w", err)
	}
	if len(rows) == 0 {
		return t, "", nil
	}
	if value, err = s.Box.Open(rows[0].Token, sealedAs); err != nil {
		return t, "", fmt.Errorf("take a self-test: %w", err)
	}
	return Test{ID: rows[0].ID, PageID: rows[0].PageID, Capability: rows[0].Capability}, value, nil
}

// settle writes down what came of the message, and what that says of the Page.
// An echo may have been faster: that stays.
func (s *Service) settle(tx *db.Tx, t Test, res channel.Result) error {
	to, learnt := verdict(res.Outcome)
	if res.Outcome == channel.TryLater {
		if err := tx.Exec("UPDATE self_tests SET sent_at = NULL WHERE id = ? AND state = 'sending'", t.ID).Error; err != nil {
			return err
		}
	}
	moved, err := s.move(tx, t.ID, Sending, to, res)
	if err != nil || !moved || learnt == page.Unknown {
		return err
	}
	return page.Learn(tx, t.PageID, t.Capability, learnt, page.BySelfTest, s.moment())
}

// verdict is what an outcome means. A token a minute old that is refused, or a
// message that may not be sent to it, says that the capability is off; a tester
// who blocked the Page says nothing.
func verdict(o channel.Outcome) (State, page.State) {
	switch o {
	case channel.Accepted:
		return Passed, page.Works
	case channel.TokenDead, channel.Refused:
		return Failed, page.Off
	case channel.TryLater, channel.Unknown:
		return Sending, page.Unknown
	}
	return Failed, page.Unknown
}

package capture

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// AnswerJob answers what somebody answered: thanks for an address, or asks once
// more.
type AnswerJob struct {
	Capture uuid.UUID `json:"capture"`
	Thanks  bool      `json:"thanks"`
}

// Kind names the job.
func (AnswerJob) Kind() string { return "capture.answer" }

const answerParallel = 8

// answer says it once at most: a run that was cut off may have said it.
func (s *Service) answer(ctx context.Context, job queue.Job[AnswerJob]) error {
	if job.Again || s.Speaker == nil {
		return nil
	}
	c, err := s.Get(ctx, job.Args.Capture)
	if fault.Is(err, fault.NotFound) { // erased meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	q, err := c.question()
	if err != nil {
		return err
	}
	var p place
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if p, err = look(tx, c.PageID, c.ContactID); err != nil {
			return err
		}
		return p.speakable(s.Now())
	})
	if fault.Is(err, fault.Invalid) {
		return nil
	}
	if err != nil {
		return err
	}
	body := q.Repeat(declines)
	if job.Args.Thanks {
		body = q.Received()
	}
	_, err = s.Speaker.Say(ctx, c.PageID, channel.Window, channel.Message{To: p.PSID, Body: body})
	return err
}

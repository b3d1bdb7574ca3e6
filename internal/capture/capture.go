// Package capture asks people in Messenger for an e-mail address or a phone number
// to be contacted at, and keeps what they answer with their consent.
package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/reply"
)

// State is what is known of a question.
type State string

// The states of a question. The first three are open: an answer counts.
const (
	Sending    State = "sending"    // written down, Messenger is being called
	Asked      State = "asked"      // it went out
	Unknown    State = "unknown"    // it may have gone out
	Failed     State = "failed"     // it did not go out
	Captured   State = "captured"   // the address and the consent are stored
	Conflict   State = "conflict"   // the address belongs to another contact; nothing was stored
	Declined   State = "declined"   // the person said no
	Unanswered State = "unanswered" // twice no address
	Expired    State = "expired"    // no answer in time
)

const open = "('sending', 'asked', 'unknown')"

// Capture is one question to one person.
type Capture struct {
	ID         uuid.UUID
	ContactID  uuid.UUID
	PageID     uuid.UUID
	Channel    channel.Kind
	Question   string // content.Question as JSON
	State      State
	Tries      int // answers that were no address
	ProviderID string
	Code       string     // the provider's, when it refused
	HeardAt    *time.Time // what the person did up to then is no answer, or was counted
	AskedAt    time.Time
	ExpiresAt  time.Time
	UpdatedAt  time.Time
}

// question reads what was asked.
func (c *Capture) question() (q content.Question, err error) {
	if err = json.Unmarshal([]byte(c.Question), &q); err != nil {
		err = fmt.Errorf("read question %s: %w", c.ID, err)
	}
	return q, err
}

// Request is whom to ask what.
type Request struct {
	ContactID, PageID uuid.UUID
	Question          content.Question
}

const (
	// goodFor is how long an answer is waited for.
	goodFor = 24 * time.Hour
	// guard is how long somebody is not asked again for an address of one kind.
	guard = 30 * 24 * time.Hour
)

var (
	errNone     = fault.New(fault.NotFound, "capture_not_found", "There is no such question.")
	errContact  = absent("/contact_id", "contact_not_found", "There is no such contact.")
	errPage     = absent("/page_id", "page_not_found", "There is no such page.")
	errAddress  = fault.New(fault.Invalid, "no_address", "The contact has no Messenger address on this page.")
	errWindow   = fault.New(fault.Invalid, "window_closed", "The contact's 24-hour window on this page is closed.")
	errHeld     = fault.New(fault.Invalid, "thread_held", "Another app holds the conversation.")
	errStopped  = fault.New(fault.Invalid, "stopped", "The person told the bot to stop.")
	errKnown    = fault.New(fault.Invalid, "address_known", "The contact has an address of this kind and agreed to be contacted there.")
	errNo       = fault.New(fault.Invalid, "unsubscribed", "The contact does not want to be contacted there.")
	errRecently = fault.New(fault.Invalid, "asked_recently", "The contact was asked for such an address not long ago.")
	errPending  = fault.New(fault.Invalid, "capture_pending", "Another question to the contact is open.")
	errBusy     = fault.New(fault.Unavailable, "page_stopped", "Sending for this page is stopped, or has no turn.")
	errChannel  = fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
)

// Parts are what a Service needs.
type Parts struct {
	DB       *db.DB
	Queue    *queue.Queue
	Contacts *contact.Store
	Speaker  *reply.Speaker // nil when Messenger is not set up
	// Leaves reports whether somebody asks to be forgotten, which is no answer
	// that is asked for again; nil is nobody.
	Leaves func(channel.Event) bool
	Now    func() time.Time
}

// Service asks, and hears the answers. It is a listener of callbacks.
type Service struct{ Parts }

// New returns the service, its jobs registered on the queue, which must not be
// open yet.
func New(p Parts) *Service {
	s := &Service{p}
	queue.Handle(p.Queue, answerParallel, s.answer)
	queue.Keep(p.Queue, time.Hour, tidyJob{}, s.tidy)
	return s
}

// Ask sends the question and returns it with what came of it: that the provider
// refused is a state, not an error. Invalid faults say why the person may not be
// asked now. A fault that is Unavailable means that nothing was sent.
func (s *Service) Ask(ctx context.Context, r Request) (Capture, error) {
	if s.Speaker == nil {
		return Capture{}, errChannel
	}
	if err := fault.InvalidFields(r.Question.Check("")...); err != nil {
		return Capture{}, err
	}
	text, err := json.Marshal(r.Question)
	if err != nil {
		return Capture{}, fmt.Errorf("write a question down: %w", err)
	}
	now := s.Now()
	c := Capture{ID: uuid.Must(uuid.NewV7()), ContactID: r.ContactID, PageID: r.PageID, Channel: r.Question.Channel, Question: string(text),
		State: Sending, AskedAt: now, ExpiresAt: now.Add(goodFor), UpdatedAt: now}
	var psid string
	if err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		psid, err = s.write(tx, c)
		return err
	}); err != nil {
		return Capture{}, err
	}
	res, err := s.Speaker.Say(ctx, r.PageID, channel.Window, channel.Message{To: psid, Body: r.Question.Message(declines)})
	if err != nil && res.Outcome == "" {
		res.Outcome = channel.TryLater
	}
	if err := errors.Join(err, s.settle(context.WithoutCancel(ctx), c.ID, res)); err != nil {
		return Capture{}, err
	}
	if res.Outcome == channel.TryLater || res.Outcome == channel.StopTheLine {
		return Capture{}, errBusy
	}
	return s.Get(ctx, c.ID)
}

// write writes a question down as being sent, if it may be.
func (s *Service) write(tx *db.Tx, c Capture) (psid string, err error) {
	p, err := look(tx, c.PageID, c.ContactID)
	if err != nil {
		return "", err
	}
	if err := p.speakable(c.AskedAt); err != nil {
		return "", err
	}
	if err := p.wants(c.Channel); err != nil {
		return "", err
	}
	if err := tx.Exec("UPDATE captures SET state = 'expired', updated_at = ? WHERE contact_id = ? AND page_id = ? AND state IN "+open+" AND expires_at <= ?",
		c.AskedAt, c.ContactID, c.PageID, c.AskedAt).Error; err != nil {
		return "", fmt.Errorf("give up old questions: %w", err)
	}
	var pending, recently bool
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM captures WHERE contact_id = ? AND page_id = ? AND state IN `+open+`),
		EXISTS (SELECT 1 FROM captures WHERE contact_id = ? AND channel = ? AND asked_at > ? AND state <> 'failed')`,
		c.ContactID, c.PageID, c.ContactID, c.Channel, c.AskedAt.Add(-guard)).Row().Scan(&pending, &recently)
	switch {
	case err != nil:
		return "", fmt.Errorf("look for earlier questions: %w", err)
	case pending:
		return "", errPending
	case recently:
		return "", errRecently
	}
	c.HeardAt = p.LastActionAt
	if err := tx.Create(&c).Error; err != nil {
		return "", fmt.Errorf("write a question down: %w", err)
	}
	return p.PSID, nil
}

// settle writes down what came of a question. The person's answer may have been
// faster: that stays.
func (s *Service) settle(ctx context.Context, id uuid.UUID, r channel.Result) error {
	to := Failed
	switch r.Outcome {
	case channel.Accepted:
		to = Asked
	case channel.Unknown:
		to = Unknown
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec(`UPDATE captures SET provider_id = ?, code = ?, updated_at = ?, state = CASE WHEN state = 'sending' THEN ? ELSE state END WHERE id = ?`,
			r.ProviderID, r.Code, s.Now(), string(to), id).Error
	})
	if err != nil {
		return fmt.Errorf("settle question %s: %w", id, err)
	}
	return nil
}

// Get returns a question, or a NotFound fault.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Capture, error) {
	var found []Capture
	if err := s.DB.Read(ctx).Raw("SELECT * FROM captures WHERE id = ?", id).Scan(&found).Error; err != nil {
		return Capture{}, fmt.Errorf("get a question: %w", err)
	}
	if len(found) == 0 {
		return Capture{}, errNone
	}
	return found[0], nil
}

// tidyJob gives up questions that nobody answered.
type tidyJob struct{}

// Kind names the job.
func (tidyJob) Kind() string { return "capture.tidy" }

func (s *Service) tidy(ctx context.Context) error {
	now := s.Now()
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE captures SET state = 'expired', updated_at = ? WHERE state IN "+open+" AND expires_at <= ?", now, now).Error
	})
	if err != nil {
		return fmt.Errorf("give up old questions: %w", err)
	}
	return nil
}

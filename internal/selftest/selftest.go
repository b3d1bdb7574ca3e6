// Package selftest finds out, together with somebody who runs a Page, what Meta
// lets the Page do: it asks them with "Notify Me", waits for the tap, sends once
// and writes down what came of it. No documentation says so for certain.
package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/token"
)

// State is how far a test has come.
type State string

// The states of a test: asking → waiting → sending → passed; each may end as
// failed, or timed_out a day after it began.
const (
	Asking   State = "asking"  // written down, "Notify Me" is going out
	Waiting  State = "waiting" // for the tap
	Sending  State = "sending" // with the token of the tap; stays so when nobody knows what came of it
	Passed   State = "passed"
	Failed   State = "failed"
	TimedOut State = "timed_out"
)

// lasts is how long a test may take.
const lasts = 24 * time.Hour

// Test is one try of a capability.
type Test struct {
	ID         uuid.UUID `gorm:"primaryKey"`
	PageID     uuid.UUID
	ContactID  uuid.UUID // the tester
	Capability page.Capability
	State      State
	Code       string // Graph's, when it refused
	Detail     string // for people
	ProviderID string // of the message, when it was taken
	AskedAt    time.Time
	UpdatedAt  time.Time
}

// Asker sends the questions.
type Asker interface {
	AskOptIn(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result
	AskRecurring(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result
}

// Speaker sends one message.
type Speaker interface {
	Say(ctx context.Context, page uuid.UUID, lane channel.Lane, m channel.Message) (channel.Result, error)
}

// Pages opens what is needed to send on behalf of a Page.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
}

// Parts are what a Service needs.
type Parts struct {
	DB      *db.DB
	Queue   *queue.Queue
	Box     *seal.Box
	Pages   Pages
	Tokens  *token.Store
	Asker   Asker   // nil when Messenger is not set up, and so is
	Speaker Speaker // this
	Now     func() time.Time
}

// Service runs self-tests. It listens to the Page's events.
type Service struct{ Parts }

// New returns a service with its jobs on the queue.
func New(p Parts) *Service {
	s := &Service{p}
	queue.Handle(p.Queue, 1, s.send)
	queue.Keep(p.Queue, 15*time.Minute, tidyJob{}, s.tidy)
	return s
}

func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Tester is who taps, by PSID or by contact, to try what.
type Tester struct {
	PSID       string
	ContactID  uuid.UUID
	Capability page.Capability // page.OneTime, which "" is too, or page.Recurring
}

var (
	errAbsent  = fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
	errNoPage  = fault.New(fault.NotFound, "page_not_found", "There is no such page.")
	errNone    = fault.New(fault.NotFound, "self_test_not_found", "No self-test was made on this page.")
	errNobody  = fault.New(fault.Invalid, "no_address", "The page does not know the tester: they must write to it first.")
	errWindow  = fault.New(fault.Invalid, "window_closed", "The tester wrote to the page more than a day ago, or blocked it: they must write to it once more.")
	errHeld    = fault.New(fault.Invalid, "thread_held", "Another app, or a person, is talking with the tester.")
	errStopped = fault.New(fault.Unavailable, "page_stopped", "Sending for this page is stopped.")
)

// Start asks a tester for a token and returns the test, which waits for
// the tap or has failed: that Graph refuses is a state, not an error. Faults say
// that nobody was asked.
func (s *Service) Start(ctx context.Context, pageID uuid.UUID, who Tester) (Test, error) {
	if s.Asker == nil || s.Speaker == nil {
		return Test{}, errAbsent
	}
	ask := s.Asker.AskOptIn
	if who.Capability = cmp.Or(who.Capability, page.OneTime); who.Capability == page.Recurring {
		ask = s.Asker.AskRecurring
	}
	sender, err := s.Pages.Sender(ctx, pageID)
	if err != nil {
		return Test{}, err
	}
	now := s.moment()
	t := Test{ID: uuid.Must(uuid.NewV7()), PageID: pageID, Capability: who.Capability, State: Asking, AskedAt: now, UpdatedAt: now}
	var psid string
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if t.ContactID, psid, err = reachable(tx, pageID, who, now); err != nil {
			return err
		}
		return tx.Table("self_tests").Create(&t).Error
	})
	if err != nil {
		return Test{}, fmt.Errorf("begin a self-test: %w", err)
	}
	res := ask(ctx, sender, psid, token.TestTitle, token.TestPayload+t.ID.String())
	ctx = context.WithoutCancel(ctx) // what came of it is written down in any case
	if err := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.asked(tx, t, res) }); err != nil {
		return Test{}, fmt.Errorf("note what came of a self-test: %w", err)
	}
	return s.one(ctx, "id = ?", t.ID)
}

// asked notes what came of asking. The tap may have been faster than the answer:
// that stays.
func (s *Service) asked(tx *db.Tx, t Test, res channel.Result) error {
	if err := s.Tokens.NoteAsked(tx, t.PageID, res); err != nil {
		return err
	}
	state := Failed
	if res.Outcome == channel.Accepted || res.Outcome == channel.Unknown {
		state = Waiting
	}
	moved, err := s.move(tx, t.ID, Asking, state, res)
	if err != nil || !moved || res.Outcome != channel.Refused || res.Code == asked {
		return err
	}
	return page.Learn(tx, t.PageID, t.Capability, page.Off, page.BySelfTest, s.moment())
}

// asked is the code of a request that was refused because the person was asked
// already: that says nothing about the Page.
const asked = "613/1893016"

// move takes a test from one state to another, and reports whether it was there.
func (s *Service) move(tx *db.Tx, id uuid.UUID, from, to State, res channel.Result) (bool, error) {
	done := tx.Exec(`UPDATE self_tests SET state = ?, code = ?, detail = ?, provider_id = ?, updated_at = ?,
		token = CASE WHEN CAST(? AS TEXT) IN ('sending', 'waiting') THEN token END WHERE id = ? AND state = ?`,
		to, res.Code, res.Detail, res.ProviderID, s.moment(), to, id, from)
	if done.Error != nil {
		return false, fmt.Errorf("move a self-test on: %w", done.Error)
	}
	return done.RowsAffected > 0, nil
}

// Last returns the newest test of a Page, or a NotFound fault.
func (s *Service) Last(ctx context.Context, pageID uuid.UUID) (Test, error) {
	t, err := s.one(ctx, "page_id = ?", pageID)
	if errors.Is(err, errNone) {
		return Test{}, s.why(ctx, pageID)
	}
	return t, err
}

// one is the newest test that fits.
func (s *Service) one(ctx context.Context, where string, id uuid.UUID) (Test, error) {
	var found []Test
	err := s.DB.Read(ctx).Raw(`SELECT id, page_id, contact_id, capability, state, code, detail, provider_id, asked_at, updated_at
		FROM self_tests WHERE `+where+` ORDER BY id DESC LIMIT 1`, id).Scan(&found).Error
	switch {
	case err != nil:
		return Test{}, fmt.Errorf("get a self-test: %w", err)
	case len(found) == 0:
		return Test{}, errNone
	}
	t := found[0]
	if t.open() && !s.moment().Before(t.AskedAt.Add(lasts)) { // the job that writes it down comes later
		t.State = TimedOut
	}
	return t, nil
}

// why tells a Page without tests from one that is not there.
func (s *Service) why(ctx context.Context, pageID uuid.UUID) error {
	var there bool
	if err := s.DB.Read(ctx).Raw("SELECT EXISTS (SELECT 1 FROM pages WHERE id = ?)", pageID).Scan(&there).Error; err != nil {
		return fmt.Errorf("get a self-test: %w", err)
	}
	if !there {
		return errNoPage
	}
	return errNone
}

func (t Test) open() bool { return t.State == Asking || t.State == Waiting || t.State == Sending }

package selftest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/selftest"
	"beckon/internal/token"
)

// bundle is a page with a tester who wrote an hour ago, and Messenger as the test
// wants it to be.
type bundle struct {
	t       *testing.T
	d       *db.DB
	q       *queue.Queue
	tests   *selftest.Service
	pages   *page.Store
	page    page.Page
	contact uuid.UUID
	now     time.Time

	asked, said channel.Result // what Messenger answers
	sayErr      error
	payload     string // of the last question
	messages    []channel.Message
	again       bool   // the question was for a recurring permission
	during      func() // while Messenger is asked or sends
}

func (b *bundle) AskOptIn(_ context.Context, p channel.Page, psid, title, payload string) channel.Result {
	require.Equal(b.t, []any{"100", "77", true}, []any{p.GraphID, psid, title != ""})
	b.payload = payload
	b.meanwhile()
	return b.asked
}

func (b *bundle) AskRecurring(ctx context.Context, p channel.Page, psid, title, payload string) channel.Result {
	b.again = true
	return b.AskOptIn(ctx, p, psid, title, payload)
}

func (b *bundle) Say(_ context.Context, id uuid.UUID, lane channel.Lane, m channel.Message) (channel.Result, error) {
	require.Equal(b.t, b.page.ID, id)
	require.Equal(b.t, map[bool]channel.Lane{false: channel.OneTime, true: channel.Recurring}[b.again], lane)
	b.messages = append(b.messages, m)
	b.meanwhile()
	return b.said, b.sayErr
}

func (b *bundle) meanwhile() {
	if b.during != nil {
		b.during()
	}
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, q: queue.New(d, slog.New(slog.DiscardHandler)), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC),
		contact: uuid.Must(uuid.NewV7()), asked: channel.Result{Outcome: channel.Accepted}, said: channel.Result{Outcome: channel.Accepted, ProviderID: "m_1"}}
	clock := func() time.Time { return b.now }
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.MinSecret))
	require.NoError(t, err)
	b.pages = page.NewStore(d, box, clock)
	b.tests = selftest.New(selftest.Parts{DB: d, Queue: b.q, Box: box, Pages: b.pages, Tokens: token.NewStore(d, box, clock), Asker: b, Speaker: b, Now: clock})
	require.NoError(t, b.q.Open())
	b.page, err = b.pages.Create(t.Context(), page.Draft{FacebookPageID: "100", Name: "p", AccessToken: "x"})
	require.NoError(t, err)
	b.exec("INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", b.contact, b.now, b.now)
	b.exec("INSERT INTO messenger_addresses (page_id, psid, contact_id, last_action_at, created_at) VALUES (?, '77', ?, ?, ?)", b.page.ID, b.contact, b.now.Add(-time.Hour), b.now)
	return b
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

func (b *bundle) start() selftest.Test {
	b.t.Helper()
	t, err := b.tests.Start(b.t.Context(), b.page.ID, selftest.Tester{PSID: "77"})
	require.NoError(b.t, err)
	return t
}

func (b *bundle) hear(pageID uuid.UUID, events ...channel.Event) {
	b.t.Helper()
	h := channel.Heard{Page: pageID, People: map[string]uuid.UUID{"77": b.contact}, Events: events}
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return b.tests.Hear(b.t.Context(), tx, h) }))
}

func (b *bundle) tap() channel.Event {
	return channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInOneTime, PSID: "77", Payload: b.payload, Token: "tok-1"}
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.q.Drain(b.t.Context(), time.Now()))
}

func (b *bundle) is(state selftest.State) selftest.Test {
	b.t.Helper()
	t, err := b.tests.Last(b.t.Context(), b.page.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, state, t.State)
	return t
}

func (b *bundle) knows(state page.State) {
	b.t.Helper()
	p, err := b.pages.Get(b.t.Context(), b.page.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, state, p.Capabilities[page.OneTime].State)
	if state != page.Unknown {
		require.Equal(b.t, page.BySelfTest, p.Capabilities[page.OneTime].How)
	}
}

func TestATapAndAMessageProveThatAPageMay(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.during = func() { b.is(selftest.Asking) } // written down before the call
		got := b.start()
		require.Equal(t, selftest.Waiting, got.State)
		require.Equal(t, b.contact, got.ContactID)
		require.Equal(t, token.TestPayload+got.ID.String(), b.payload)
		b.knows(page.Unknown)
		b.during = func() { b.is(selftest.Sending) }
		b.hear(b.page.ID, b.tap())
		b.hear(b.page.ID, b.tap(), b.tap())
		b.drain()
		require.Len(t, b.messages, 1, "sent once")
		require.Equal(t, "tok-1", b.messages[0].Token)
		require.Empty(t, b.messages[0].To)
		require.Equal(t, "test:"+got.ID.String(), b.messages[0].Mark)
		done := b.is(selftest.Passed)
		require.Equal(t, "m_1", done.ProviderID)
		b.knows(page.Works)
		b.hear(b.page.ID, b.tap())
		b.drain()
		require.Len(t, b.messages, 1, "and never again")
		var kept int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM self_tests WHERE token IS NOT NULL").Scan(&kept).Error)
		require.Zero(t, kept, "nothing of it is kept")
	})
}

func TestATapThatIsFasterThanTheAnswerCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.during = func() { b.hear(b.page.ID, b.tap()) }
		require.Equal(t, selftest.Sending, b.start().State)
		b.during = nil
		b.drain()
		b.is(selftest.Passed)
	})
}

func TestWhatGraphSaysToTheQuestionIsUnderstood(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		res   channel.Result
		state selftest.State
		page  page.State
	}{
		"taken":                  {channel.Result{Outcome: channel.Accepted}, selftest.Waiting, page.Unknown},
		"nobody knows":           {channel.Result{Outcome: channel.Unknown}, selftest.Waiting, page.Unknown},
		"no such template":       {channel.Result{Outcome: channel.Refused, Code: "100"}, selftest.Failed, page.Off},
		"asked by another app":   {channel.Result{Outcome: channel.Refused, Code: "613/1893016"}, selftest.Failed, page.Unknown},
		"window closed":          {channel.Result{Outcome: channel.TokenDead, Code: "10/2018278"}, selftest.Failed, page.Unknown},
		"blocked":                {channel.Result{Outcome: channel.Gone, Code: "551"}, selftest.Failed, page.Unknown},
		"throttled":              {channel.Result{Outcome: channel.TryLater, Code: "613"}, selftest.Failed, page.Unknown},
		"access token refused":   {channel.Result{Outcome: channel.StopTheLine, Code: "190"}, selftest.Failed, page.Unknown},
		"may not ask any longer": {channel.Result{Outcome: channel.StopTheLine, Code: "10/1404170"}, selftest.Failed, page.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				b.asked = c.res
				got := b.start()
				require.Equal(t, c.state, got.State)
				require.Equal(t, c.res.Code, got.Code)
				b.knows(c.page)
				b.hear(b.page.ID, b.tap())
				b.drain()
				require.Equal(t, c.state == selftest.Waiting, len(b.messages) == 1, "a test that failed is over")
			})
		})
	}
}

func TestWhatGraphSaysToTheMessageIsUnderstood(t *testing.T) {
	t.Parallel()
	for outcome, c := range map[channel.Outcome]struct {
		state selftest.State
		page  page.State
	}{
		channel.Accepted: {selftest.Passed, page.Works}, channel.TokenDead: {selftest.Failed, page.Off}, channel.Refused: {selftest.Failed, page.Off},
		channel.Gone: {selftest.Failed, page.Unknown}, channel.OptedOut: {selftest.Failed, page.Unknown}, channel.StopTheLine: {selftest.Failed, page.Unknown},
		channel.Unknown: {selftest.Sending, page.Unknown}, channel.TryLater: {selftest.Sending, page.Unknown},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				b.said = channel.Result{Outcome: outcome, Code: "c"}
				b.start()
				b.hear(b.page.ID, b.tap())
				b.drain()
				require.Equal(t, "c", b.is(c.state).Code)
				b.knows(c.page)
			})
		})
	}
}

// What may have gone out does not go out again; its echo proves that it did.
func TestAnEchoSettlesWhatNobodyKnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.said = channel.Result{Outcome: channel.Unknown}
		got := b.start()
		echo := channel.Event{Kind: channel.EventEcho, PSID: "77", Mark: "test:" + got.ID.String()}
		b.hear(b.page.ID, echo)
		b.is(selftest.Waiting)
		b.hear(b.page.ID, b.tap())
		b.drain()
		b.is(selftest.Sending)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return b.q.Insert(t.Context(), tx, queue.Order{Args: selftest.SendJob{Test: got.ID}})
		}))
		b.drain()
		require.Len(t, b.messages, 1)
		b.hear(uuid.New(), echo)
		b.is(selftest.Sending)
		b.hear(b.page.ID, echo)
		b.is(selftest.Passed)
		b.knows(page.Works)
	})
}

func TestAnEchoThatIsFasterThanARefusalStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		got := b.start()
		b.hear(b.page.ID, b.tap())
		b.said = channel.Result{Outcome: channel.Refused}
		b.during = func() {
			b.hear(b.page.ID, channel.Event{Kind: channel.EventEcho, Mark: "test:" + got.ID.String()})
		}
		b.drain()
		b.is(selftest.Passed)
		b.knows(page.Works)
	})
}

func TestAMessagePutOffGoesOutLater(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, first := range []error{nil, errors.New("no turn was to be had")} {
			b := setup(t, d)
			b.exec("UPDATE pages SET facebook_page_id = '100'")
			b.said, b.sayErr = channel.Result{Outcome: channel.TryLater, RetryAfter: time.Minute}, first
			if first != nil {
				b.said = channel.Result{}
			}
			got := b.start()
			b.hear(b.page.ID, b.tap())
			_ = b.q.Drain(t.Context(), time.Now()) // the error of the run is how it runs again
			b.is(selftest.Sending)
			b.said, b.sayErr = channel.Result{Outcome: channel.Accepted, ProviderID: "m"}, nil
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return b.q.Insert(t.Context(), tx, queue.Order{Args: selftest.SendJob{Test: got.ID}})
			}))
			b.drain()
			b.is(selftest.Passed)
			b.exec("DELETE FROM self_tests")
			b.exec("DELETE FROM messenger_addresses")
			b.exec("DELETE FROM contacts")
			b.exec("DELETE FROM pages")
		}
	})
}

func TestATestThatNobodyEndsTimesOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.start()
		b.now = b.now.Add(24*time.Hour - time.Second)
		b.is(selftest.Waiting)
		b.now = b.now.Add(time.Second)
		b.is(selftest.TimedOut)
		b.hear(b.page.ID, b.tap())
		b.drain()
		require.Empty(t, b.messages)
		require.NoError(t, b.tests.Tidy(t.Context()))
		var state string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT state FROM self_tests").Scan(&state).Error)
		require.Equal(t, "timed_out", state)
		b.knows(page.Unknown)
	})
}

// A node may die while it asks: the tap tells whether the question arrived.
func TestAQuestionLeftByADeadNodeWaitsForItsTap(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.start()
		b.exec("UPDATE self_tests SET state = 'asking'")
		require.NoError(t, b.tests.Tidy(t.Context()))
		b.is(selftest.Asking)
		b.now = b.now.Add(10 * time.Minute)
		require.NoError(t, b.tests.Tidy(t.Context()))
		b.is(selftest.Waiting)
	})
}

func TestNobodyIsAskedWhoCannotBe(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		refused := func(code string, id uuid.UUID, who selftest.Tester) {
			t.Helper()
			_, err := b.tests.Start(t.Context(), id, who)
			require.True(t, fault.HasCode(err, code), "%v", err)
		}
		me := selftest.Tester{ContactID: b.contact}
		refused("page_not_found", uuid.New(), me)
		refused("no_address", b.page.ID, selftest.Tester{PSID: "78"})
		refused("no_address", b.page.ID, selftest.Tester{ContactID: uuid.New()})
		b.exec("UPDATE messenger_addresses SET held_until = ?", b.now.Add(time.Minute))
		refused("thread_held", b.page.ID, me)
		b.exec("UPDATE messenger_addresses SET last_action_at = ?", b.now.Add(-24*time.Hour+5*time.Minute))
		refused("window_closed", b.page.ID, me)
		b.exec("INSERT INTO lines (sender, free_at, stopped_at, stop_code, updated_at) VALUES (?, 0, ?, '190', ?)", "messenger:"+b.page.ID.String(), b.now, b.now)
		refused("page_stopped", b.page.ID, me)
		_, err := b.tests.Last(t.Context(), b.page.ID)
		require.True(t, fault.HasCode(err, "self_test_not_found"))
		_, err = b.tests.Last(t.Context(), uuid.New())
		require.True(t, fault.HasCode(err, "page_not_found"))
		absent := selftest.New(selftest.Parts{DB: d, Queue: queue.New(d, slog.New(slog.DiscardHandler)), Pages: b.pages, Now: time.Now})
		_, err = absent.Start(t.Context(), b.page.ID, me)
		require.True(t, fault.HasCode(err, "channel_absent"))
	})
}

// The same for recurring permissions: a tap of the other kind is not its tap.
func TestARecurringPermissionIsTriedTheSameWay(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		got, err := b.tests.Start(t.Context(), b.page.ID, selftest.Tester{PSID: "77", Capability: page.Recurring})
		require.NoError(t, err)
		require.Equal(t, page.Recurring, got.Capability)
		require.True(t, b.again)
		b.hear(b.page.ID, b.tap())
		b.is(selftest.Waiting)
		tap := b.tap()
		tap.OptInType = channel.OptInRecurring
		b.hear(b.page.ID, tap)
		b.drain()
		b.is(selftest.Passed)
		require.Len(t, b.messages, 1)
		p, err := b.pages.Get(t.Context(), b.page.ID)
		require.NoError(t, err)
		require.Equal(t, page.Works, p.Capabilities[page.Recurring].State)
		b.knows(page.Unknown)
	})
}

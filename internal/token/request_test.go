package token_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/token"
)

// messenger stands in for the channel; it notes what it was asked.
type messenger struct {
	calls   atomic.Int32
	answer  channel.Result
	during  func(payload string)
	page    channel.Page
	psid    string
	title   string
	payload string
}

func (m *messenger) AskOptIn(_ context.Context, page channel.Page, psid, title, payload string) channel.Result {
	m.calls.Add(1)
	if m.during != nil {
		m.during(payload)
	}
	m.page, m.psid, m.title, m.payload = page, psid, title, payload
	return m.answer
}

// pages knows one page.
type pages struct{ id uuid.UUID }

func (p pages) Sender(_ context.Context, id uuid.UUID) (channel.Page, error) {
	if id != p.id {
		return channel.Page{}, fault.New(fault.NotFound, "page_not_found", "x")
	}
	return channel.Page{GraphID: "1", AccessToken: "t"}, nil
}

type desk struct {
	*bundle
	m       *messenger
	service *token.Service
	ask     token.Request
}

// inWindow is a desk whose contact wrote an hour ago.
func inWindow(t *testing.T, d *db.DB) *desk {
	t.Helper()
	b := setup(t, d)
	m := &messenger{answer: channel.Result{Outcome: channel.Accepted, ProviderID: "m_1"}}
	b.exec(t, "INSERT INTO messenger_addresses (page_id, psid, contact_id, last_action_at, created_at) VALUES (?, '77', ?, ?, ?)", b.page, b.contact, b.now.Add(-time.Hour), b.now)
	return &desk{
		bundle: b, m: m, service: token.NewService(b.store, token.Options{Pages: pages{b.page}, Asker: m}),
		ask: token.Request{ContactID: b.contact, PageID: b.page, Topic: "courses"},
	}
}

func TestAskSendsNotifyMe(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		k.m.during = func(payload string) {
			id := uuid.MustParse(payload[len("bk:optin:"):])
			r, err := k.store.Request(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, token.Sending, r.State, "written down before the call")
		}
		r, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.Sent, r.State)
		require.Equal(t, "m_1", r.ProviderID)
		require.Equal(t, channel.Page{GraphID: "1", AccessToken: "t"}, k.m.page)
		require.Equal(t, []string{"77", "New courses", "bk:optin:" + r.ID.String()}, []string{k.m.psid, k.m.title, k.m.payload})
		list, err := k.store.Requests(t.Context(), k.contact, uuid.Nil, 10)
		require.NoError(t, err)
		require.Equal(t, []token.OptInRequest{r}, list)
		list, err = k.store.Requests(t.Context(), k.contact, r.ID, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		_, err = k.store.Request(t.Context(), uuid.New())
		require.True(t, fault.HasCode(err, "opt_in_request_not_found"))
	})
}

func TestOutcomeOfTheCallIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		for _, o := range channel.Outcomes() {
			k.exec(t, "DELETE FROM opt_in_requests")
			k.exec(t, "DELETE FROM lines")
			k.m.answer = channel.Result{Outcome: o, Code: "613"}
			r, err := k.service.Ask(t.Context(), k.ask)
			require.NoError(t, err)
			want := token.Failed
			if o == channel.Accepted {
				want = token.Sent
			}
			if o == channel.Unknown {
				want = token.Unknown
			}
			require.Equal(t, want, r.State, o)
			require.Equal(t, "613", r.Code)
		}
	})
}

func TestAskIsRefusedWhenItMayNotGoOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range []struct {
			code   string
			kind   fault.Kind
			change func(t *testing.T, k *desk)
		}{
			{"window_closed", fault.Invalid, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = ?", k.now.Add(-24*time.Hour+5*time.Minute-time.Microsecond))
			}},
			{"window_closed", fault.Invalid, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = NULL")
			}},
			{"window_closed", fault.Invalid, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET blocked_at = ?", k.now)
			}},
			{"thread_held", fault.Invalid, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET held_until = ?", k.now.Add(time.Microsecond))
			}},
			{"stopped", fault.Invalid, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "INSERT INTO stops (page_id, contact_id, stopped, at) VALUES (?, ?, TRUE, ?)", k.page, k.ask.ContactID, k.now)
			}},
			{"no_address", fault.Invalid, func(t *testing.T, k *desk) { t.Helper(); k.exec(t, "DELETE FROM messenger_addresses") }},
			{"topic_not_found", fault.Invalid, func(_ *testing.T, k *desk) { k.ask.Topic = "nothing" }},
			{"topic_not_found", fault.Invalid, func(_ *testing.T, k *desk) { k.ask.Topic = "\x00" }},
			{"topic_unsorted", fault.Invalid, func(_ *testing.T, k *desk) { k.ask.Topic = token.Unsorted }},
			{"page_not_found", fault.Invalid, func(_ *testing.T, k *desk) { k.ask.PageID = uuid.New() }},
			{"contact_not_found", fault.Invalid, func(_ *testing.T, k *desk) { k.ask.ContactID = uuid.New() }},
			{"page_stopped", fault.Unavailable, func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "INSERT INTO lines (sender, free_at, stopped_at, stop_code, updated_at) VALUES (?, 0, ?, '190', ?)", "messenger:"+k.page.String(), k.now, k.now)
			}},
			{"channel_absent", fault.Unavailable, func(_ *testing.T, k *desk) { k.service = token.NewService(k.store, token.Options{}) }},
		} {
			k := inWindowAgain(t, d)
			c.change(t, k)
			_, err := k.service.Ask(t.Context(), k.ask)
			require.True(t, fault.HasCode(err, c.code), "%s: %v", c.code, err)
			require.True(t, fault.Is(err, c.kind))
			require.Zero(t, k.m.calls.Load())
		}
		var n int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM opt_in_requests").Scan(&n).Error)
		require.Zero(t, n)
	})
}

// inWindowAgain starts over in the same database.
func inWindowAgain(t *testing.T, d *db.DB) *desk {
	t.Helper()
	require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
		return errors.Join(tx.Exec("DELETE FROM lines").Error, tx.Exec("DELETE FROM contacts").Error,
			tx.Exec("DELETE FROM pages").Error, tx.Exec("DELETE FROM topics WHERE slug <> 'unsorted'").Error)
	}))
	return inWindow(t, d)
}

func TestNobodyIsAskedAgainSoon(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		_, err := k.store.CreateTopic(t.Context(), token.TopicDraft{Slug: "other", Title: "Other"})
		require.NoError(t, err)
		later := func(by time.Duration) {
			k.now = k.now.Add(by)
			k.exec(t, "UPDATE messenger_addresses SET last_action_at = ?", k.now)
		}
		ask := func(topic, wantCode string) {
			t.Helper()
			_, err := k.service.Ask(t.Context(), token.Request{ContactID: k.contact, PageID: k.page, Topic: topic})
			if wantCode == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.HasCode(err, wantCode), "%v", err)
		}
		k.m.answer.Outcome = channel.Refused
		ask("courses", "")
		k.m.answer.Outcome = channel.Unknown
		ask("courses", "")
		ask("courses", "asked_recently")
		k.m.answer.Outcome = channel.Accepted
		ask("other", "")
		later(token.DefaultGuard - time.Second)
		ask("courses", "asked_recently")
		later(time.Second)
		ask("courses", "")
		require.EqualValues(t, 4, k.m.calls.Load())
	})
}

func TestOfManyAsksAtOnceOneGoesOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		errs := make([]error, 12)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = k.service.Ask(t.Context(), k.ask) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.True(t, fault.HasCode(err, "asked_recently"), "%v", err)
		}
		require.Equal(t, 1, won)
		require.EqualValues(t, 1, k.m.calls.Load())
	})
}

func TestGrantAnswersTheRequest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		g := k.permission("value")
		k.m.during = func(payload string) { // the person is faster than the provider's answer
			g.RequestID = uuid.MustParse(payload[len("bk:optin:"):])
			stranger := g
			stranger.ContactID, stranger.Value = k.newContact(t), "stranger"
			for range 2 {
				_, err := k.grant(t, stranger, g)
				require.NoError(t, err)
			}
		}
		r, err := k.service.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.Granted, r.State)
		require.Equal(t, "m_1", r.ProviderID)
		require.Contains(t, k.tokens(t), *r.TokenID)
		second := k.permission("second")
		second.RequestID = r.ID
		_, err = k.grant(t, second)
		require.NoError(t, err)
		again, err := k.store.Request(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, r.TokenID, again.TokenID, "the first token stays")
	})
}

func TestRequestLeftSendingBecomesUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		q := queue.New(d, slog.New(slog.DiscardHandler))
		k.service.Register(q)
		require.NoError(t, q.Open())
		young, old := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		for id, at := range map[uuid.UUID]time.Time{young: k.now.Add(-time.Minute), old: k.now.Add(-time.Hour)} {
			k.exec(t, "INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'courses', 'sending', ?, ?)", id, k.contact, k.page, at, at)
		}
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return q.Insert(t.Context(), tx, queue.Order{Args: token.Expiry{}})
		}))
		require.NoError(t, q.Drain(t.Context(), time.Now()))
		for id, want := range map[uuid.UUID]token.State{young: token.Sending, old: token.Unknown} {
			r, err := k.store.Request(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, r.State)
		}
	})
}

func TestAPageThatCannotSendIsStoppedForEverything(t *testing.T) {
	t.Parallel()
	for code, stops := range map[string]bool{"190/460": true, "10/1893063": true, "10/1404170": false} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				k := inWindow(t, d)
				k.m.answer = channel.Result{Outcome: channel.StopTheLine, Code: code}
				got, err := k.service.Ask(t.Context(), k.ask)
				require.NoError(t, err)
				require.Equal(t, token.Failed, got.State)
				var stopped []string
				require.NoError(t, d.Read(t.Context()).Raw("SELECT stop_code FROM lines WHERE sender = ? AND stopped_at IS NOT NULL", "messenger:"+k.page.String()).Scan(&stopped).Error)
				require.Equal(t, stops, len(stopped) == 1)
				_, err = k.service.Ask(t.Context(), k.ask)
				require.Equal(t, stops, fault.HasCode(err, "page_stopped"), "nobody else is asked")
			})
		})
	}
}

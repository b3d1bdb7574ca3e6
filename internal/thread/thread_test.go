package thread_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/simulator"
	"beckon/internal/thread"
)

const (
	graphPage = "1001"
	ourApp    = "100100"
	bot       = "200200"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is a service whose Graph is the simulator's, and whose clock stands
// still until the test moves it. psid-1 is ann's, who wrote an hour ago.
type bundle struct {
	*thread.Service
	t        *testing.T
	d        *db.DB
	sim      *simulator.Simulator
	queue    *queue.Queue
	contacts *contact.Store
	page     uuid.UUID
	ann      uuid.UUID
	clock    atomic.Int64
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d}
	b.clock.Store(noon.UnixMicro())
	b.sim = simulator.New(simulator.Config{AppID: ourApp, AppSecret: "app-secret", Pages: map[string]string{graphPage: "page-token"}, Clock: b.now})
	t.Cleanup(b.sim.Close)
	srv := httptest.NewServer(b.sim.Handler())
	t.Cleanup(srv.Close)
	client, err := messenger.New(messenger.Settings{GraphURL: srv.URL + "/graph", GraphVersion: "v25.0", AppSecret: "app-secret"}, nil)
	require.NoError(t, err)
	box, err := seal.New(bytes.Repeat([]byte("s"), seal.MinSecret))
	require.NoError(t, err)
	b.queue = queue.New(d, slog.New(slog.DiscardHandler))
	pages := page.NewStore(d, box, b.now)
	b.contacts = contact.New(d, b.queue, box, contact.Options{Now: b.now})
	b.Service = thread.New(thread.Parts{DB: d, Contacts: b.contacts, Pages: pages, Graph: client, AppID: ourApp, Now: b.now})
	b.Register(b.queue)
	require.NoError(t, b.queue.Open())
	p, err := pages.Create(t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", AccessToken: "page-token"})
	require.NoError(t, err)
	b.page = p.ID
	b.sim.AddPeople(graphPage, 1)
	c, _, err := b.contacts.Upsert(t.Context(), contact.Draft{ExternalID: contact.Of("ann"), Messenger: []contact.MessengerID{{PageID: p.ID, PSID: "psid-1"}}})
	require.NoError(t, err)
	b.ann = c.ID
	b.hear(channel.Event{Kind: channel.EventMessage, At: noon.Add(-time.Hour)})
	return b
}

// hear applies events of ann's, as the inbox does.
func (b *bundle) hear(events ...channel.Event) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		at := map[string]time.Time{}
		for i := range events {
			if events[i].PSID = "psid-1"; events[i].Kind.OpensWindow() {
				at["psid-1"] = events[i].At
			}
		}
		if err := b.contacts.MoveWindow(b.t.Context(), tx, b.page, at); err != nil {
			return err
		}
		return b.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, Events: events})
	}))
}

func (b *bundle) address() contact.Address {
	b.t.Helper()
	all, err := b.contacts.Addresses(b.t.Context(), b.ann)
	require.NoError(b.t, err)
	return all[b.ann][0]
}

func TestWhatEventsTellOfAThread(t *testing.T) {
	t.Parallel()
	at := noon.Add(-time.Minute)
	passed := func(app string) channel.Event {
		return channel.Event{Kind: channel.EventThread, Status: channel.StatusPass, App: app, At: at}
	}
	taken := func(app string) channel.Event {
		return channel.Event{Kind: channel.EventThread, Status: channel.StatusTake, App: app, At: at}
	}
	for name, c := range map[string]struct {
		nameless bool // our app's id is not set
		ev       channel.Event
		held     bool
		app      string
	}{
		"passed to another":             {false, passed(bot), true, bot},
		"passed to us":                  {false, passed(ourApp), false, contact.Us},
		"passed to who is not named":    {false, passed(""), false, contact.Us},
		"taken by another":              {false, taken(bot), true, bot},
		"taken by who is not named":     {false, taken(""), true, contact.Other},
		"taken back by us":              {false, taken(ourApp), false, contact.Us},
		"nameless: passed":              {true, passed(ourApp), false, contact.Us},
		"nameless: passed to the inbox": {true, passed(thread.PageInbox), true, thread.PageInbox},
		"nameless: taken":               {true, taken(bot), true, bot},
		"asked for":                     {false, channel.Event{Kind: channel.EventThread, Status: channel.StatusRequest, App: bot, At: at}, false, ""},
		"a role":                        {false, channel.Event{Kind: channel.EventThread, Status: channel.StatusRoles, App: bot, At: at}, false, ""},
		"standby":                       {false, channel.Event{Kind: channel.EventStandby, At: at}, true, ""},
		"a human's echo":                {false, channel.Event{Kind: channel.EventEcho, App: thread.PageInbox, At: at}, true, ""},
		"a human's echo in standby":     {false, channel.Event{Kind: channel.EventStandby, App: thread.PageInbox, At: at}, true, ""},
		"another bot's echo":            {false, channel.Event{Kind: channel.EventEcho, App: bot, At: at}, false, ""},
		"our echo":                      {false, channel.Event{Kind: channel.EventEcho, App: ourApp, At: at}, false, ""},
		"an opt-in":                     {false, channel.Event{Kind: channel.EventOptIn, At: at}, false, ""},
		"a reading":                     {false, channel.Event{Kind: channel.EventRead, At: at}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			if c.nameless {
				b.AppID = ""
			}
			b.hear(c.ev)
			require.Equal(t, c.held, b.address().Held(b.now()))
			require.Equal(t, c.app, b.address().ThreadApp)
			b.hear(channel.Event{Kind: channel.EventMessage, At: noon})
			human := c.ev.App == thread.PageInbox && c.ev.Kind != channel.EventThread
			require.Equal(t, c.held && human, b.address().Held(b.now()), "an answer to us frees it, unless a human is talking")
		})
	}
}

func TestAJobFreesThreadsInTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.hear(channel.Event{Kind: channel.EventStandby, At: noon})
		work := func() {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return b.queue.Insert(t.Context(), tx, queue.Order{Args: thread.Expiry{}})
			}))
			require.NoError(t, b.queue.Drain(t.Context(), b.now()))
		}
		work()
		require.NotNil(t, b.address().HeldUntil)
		b.advance(24 * time.Hour)
		work()
		require.Nil(t, b.address().HeldUntil)
	})
}

func TestAThreadIsHandedOverAndTakenBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		owner := func() thread.Thread {
			got, err := b.Owner(t.Context(), b.ann, b.page)
			require.NoError(t, err)
			return got
		}
		move := func(action, target string) (thread.Thread, error) {
			b.advance(time.Second)
			return b.Move(t.Context(), thread.Move{ContactID: b.ann, PageID: b.page, Action: action, Target: target, Metadata: "note"})
		}
		require.Equal(t, ourApp, owner().Owner)
		require.False(t, owner().Held)

		got, err := move(channel.StatusPass, thread.PageInbox)
		require.NoError(t, err)
		require.Equal(t, thread.PageInbox, got.Owner)
		require.True(t, got.Held)
		require.Equal(t, thread.PageInbox, got.By)
		require.Equal(t, b.now().Add(24*time.Hour), got.HeldUntil.UTC())
		require.Equal(t, thread.PageInbox, owner().Owner)

		_, err = move(channel.StatusPass, bot)
		require.True(t, fault.Is(err, fault.Invalid) && fault.HasCode(err, "refused_by_graph"), "%v", err)
		require.ErrorContains(t, err, "10/2018300")
		got, err = move(channel.StatusRequest, "")
		require.NoError(t, err)
		require.True(t, got.Held, "asked for is not given")
		got, err = move(channel.StatusTake, "")
		require.NoError(t, err)
		require.False(t, got.Held)
		require.Empty(t, got.By)
		require.Equal(t, ourApp, owner().Owner)
	})
}

// lost answers nothing that can be read.
type lost struct{ channel.Result }

func (l lost) MoveThread(context.Context, channel.Page, channel.ThreadMove) channel.Result {
	return l.Result
}

func (l lost) ThreadOwner(context.Context, channel.Page, string) (string, channel.Result) {
	return "", l.Result
}

func TestHandOversThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	other, _, err := b.contacts.Upsert(t.Context(), contact.Draft{ExternalID: contact.Of("ben")})
	require.NoError(t, err)
	good := thread.Move{ContactID: b.ann, PageID: b.page, Action: channel.StatusTake}
	for name, c := range map[string]struct {
		change func(m *thread.Move)
		kind   fault.Kind
		code   string
	}{
		"nobody":            {func(m *thread.Move) { m.ContactID = uuid.New() }, fault.NotFound, "contact_not_found"},
		"no such page":      {func(m *thread.Move) { m.PageID = uuid.New() }, fault.Invalid, "page_not_found"},
		"not in Messenger":  {func(m *thread.Move) { m.ContactID = other.ID }, fault.Invalid, "no_address"},
		"to nobody":         {func(m *thread.Move) { m.Action = channel.StatusPass }, fault.Invalid, "invalid_fields"},
		"taken to somebody": {func(m *thread.Move) { m.Target = bot }, fault.Invalid, "invalid_fields"},
	} {
		m := good
		c.change(&m)
		_, err := b.Move(t.Context(), m)
		require.True(t, fault.Is(err, c.kind) && fault.HasCode(err, c.code), "%s: %v", name, err)
	}
	b.Graph = lost{channel.Result{Outcome: channel.Unknown, Detail: "sent, but the answer was lost"}}
	_, err = b.Move(t.Context(), good)
	require.True(t, fault.Is(err, fault.Unavailable) && fault.HasCode(err, "graph_unavailable"), "%v", err)
	_, err = b.Owner(t.Context(), b.ann, b.page)
	require.True(t, fault.HasCode(err, "graph_unavailable"), "%v", err)
	b.Graph = nil
	_, err = b.Move(t.Context(), good)
	require.True(t, fault.Is(err, fault.Unavailable) && fault.HasCode(err, "channel_absent"), "%v", err)
}

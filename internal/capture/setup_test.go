package capture_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/event"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/reply"
	"beckon/internal/seal"
	"beckon/internal/simulator"
	"beckon/internal/token"
	"beckon/internal/webhook"
)

const (
	graphPage = "5001"
	appSecret = "app-secret"
	ann       = "7001"
)

// bundle is the service over one database, behind the real inbox and in front of
// the real Messenger client, with Ann on a simulated phone and a clock that the
// test sets.
type bundle struct {
	*capture.Service
	*messenger.Client
	t        testing.TB
	d        *db.DB
	sim      *simulator.Simulator
	inbox    *webhook.Inbox
	queue    *queue.Queue
	contacts *contact.Store
	page     uuid.UUID
	ann      uuid.UUID
	clock    atomic.Int64
	instead  *channel.Result // of the next call
}

func (b *bundle) Send(ctx context.Context, batch channel.Batch) []channel.Result {
	if r := b.instead; r != nil {
		b.instead = nil
		return []channel.Result{*r}
	}
	return b.Client.Send(ctx, batch)
}

func (b *bundle) now() time.Time          { return time.UnixMicro(b.clock.Load()).UTC() }
func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t testing.TB, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d}
	b.clock.Store(time.Now().UnixMicro())
	b.sim = simulator.New(simulator.Config{AppSecret: appSecret, Pages: map[string]string{graphPage: "page-token"}, Clock: b.now, Receipts: simulator.Receipts{Off: true}})
	graph, phone := httptest.NewServer(b.sim.Handler()), httptest.NewServer(http.HandlerFunc(b.receive))
	b.sim.SetCallbackURL(phone.URL)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(func() { b.sim.Close(); graph.Close(); phone.Close(); transport.CloseIdleConnections() })
	set := messenger.Settings{GraphURL: graph.URL + "/graph", GraphVersion: "v25.0", AppSecret: appSecret, VerifyToken: "v"}
	var err error
	b.Client, err = messenger.New(set, transport)
	require.NoError(t, err)
	b.wire(messenger.NewReceiver(set))
	c, _, err := b.contacts.Upsert(t.Context(), contact.Draft{ExternalID: contact.Of("crm-1"), Messenger: []contact.MessengerID{{PageID: b.page, PSID: ann}}})
	require.NoError(t, err)
	b.ann = c.ID
	b.say("Hello")
	b.advance(time.Minute)
	return b
}

func (b *bundle) wire(receiver channel.Receiver) {
	box, err := seal.New(bytes.Repeat([]byte{5}, seal.MinSecret))
	require.NoError(b.t, err)
	log := slog.New(slog.DiscardHandler)
	b.queue = queue.New(b.d, log)
	pages := page.NewStore(b.d, box, b.now)
	b.contacts = contact.New(b.d, b.queue, box, contact.Options{Now: b.now, DefaultRegion: "GB"})
	b.Service = capture.New(capture.Parts{DB: b.d, Queue: b.queue, Contacts: b.contacts, Now: b.now,
		Leaves:  func(ev channel.Event) bool { return ev.Text == "Delete my data" },
		Speaker: reply.New(reply.Parts{DB: b.d, Pages: pages, Lines: line.NewStore(b.d, line.Rates{}, b.now), Sender: b, Now: b.now})})
	marks := link.NewCoder(box.Key("link"), link.PurposeMark)
	b.inbox = webhook.New(webhook.Parts{DB: b.d, Queue: b.queue, Receivers: map[channel.Kind]channel.Receiver{channel.Messenger: receiver},
		Contacts: b.contacts, Tokens: token.NewStore(b.d, box, b.now), Ledger: delivery.NewStore(b.d, b.now), Links: marks, Marks: marks,
		PageByGraph: func(context.Context, []string) (map[string]uuid.UUID, error) {
			return map[string]uuid.UUID{graphPage: b.page}, nil
		}, Listeners: []webhook.Listener{b.Service}, Log: log, Now: b.now})
	require.NoError(b.t, b.queue.Open())
	p, err := pages.Create(b.t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", AccessToken: "page-token"})
	require.NoError(b.t, err)
	b.page = p.ID
}

// receive takes what the phones post.
func (b *bundle) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = b.inbox.Accept(r.Context(), channel.Messenger, channel.Callback{Body: body,
			Header: map[string]string{"X-Hub-Signature-256": r.Header.Get("X-Hub-Signature-256")}})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

// say lets Ann write, and works off what follows.
func (b *bundle) say(text string) { b.post(simulator.Event{Kind: simulator.Said, Text: text}) }

// tap lets her tap a button that hands a value over.
func (b *bundle) tap(text, payload string) {
	b.post(simulator.Event{Kind: simulator.Tapped, Text: text, Payload: payload})
}

func (b *bundle) post(ev simulator.Event) {
	b.t.Helper()
	b.advance(time.Second)
	ev.Page, ev.PSID, ev.At = graphPage, ann, b.now()
	require.NoError(b.t, b.sim.PostEvents(b.t.Context(), []simulator.Event{ev}))
	b.drain()
}

var question = content.Question{Channel: channel.Email, Text: "Where may we write?", Consent: "By answering you agree to e-mails about courses.",
	Again: "Once more, please?", Thanks: "Thank you!"}

func (b *bundle) ask(kind channel.Kind) (capture.Capture, error) {
	q := question
	q.Channel = kind
	return b.Ask(b.t.Context(), capture.Request{ContactID: b.ann, PageID: b.page, Question: q})
}

func (b *bundle) asked(kind channel.Kind) capture.Capture {
	b.t.Helper()
	c, err := b.ask(kind)
	require.NoError(b.t, err)
	require.Equal(b.t, capture.Asked, c.State)
	return c
}

func (b *bundle) state(c capture.Capture) capture.State {
	b.t.Helper()
	got, err := b.Get(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	return got.State
}

func (b *bundle) contact() contact.Contact {
	b.t.Helper()
	c, err := b.contacts.Get(b.t.Context(), b.ann)
	require.NoError(b.t, err)
	return c
}

// last is what Ann got last.
func (b *bundle) last() string {
	got := b.sim.Received(graphPage, ann)
	return got[len(got)-1].Text
}

func (b *bundle) told() (out []event.Type) {
	b.t.Helper()
	list, err := event.NewStore(b.d, func() time.Time { return b.now().Add(time.Minute) }).List(b.t.Context(), uuid.Nil, 100, event.Filter{})
	require.NoError(b.t, err)
	for _, e := range list {
		require.Equal(b.t, b.ann, e.Contact)
		require.NotContains(b.t, e.Data, "address")
		out = append(out, e.Type)
	}
	return out
}

package privacy_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/line"
	"beckon/internal/page"
	"beckon/internal/privacy"
	"beckon/internal/queue"
	"beckon/internal/reply"
	"beckon/internal/seal"
	"beckon/internal/simulator"
)

const (
	graphPage = "1001"
	appSecret = "app-secret"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is a service whose Graph is the simulator's, and whose clock stands
// still until the test moves it. ann holds psid-1 and wrote just now.
type bundle struct {
	*privacy.Service
	t        *testing.T
	d        *db.DB
	sim      *simulator.Simulator
	queue    *queue.Queue
	contacts *contact.Store
	pages    *page.Store
	logs     *logs
	page     uuid.UUID
	ann      uuid.UUID
	clock    atomic.Int64
	sender   *sender
	client   *messenger.Client
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// sender is Messenger's, but answers otherwise where the test says so.
type sender struct {
	channel.Sender
	calls  atomic.Int32
	during func()
	answer *channel.Result
}

func (s *sender) Send(ctx context.Context, b channel.Batch) []channel.Result {
	s.calls.Add(1)
	if s.during != nil {
		s.during()
	}
	if s.answer != nil {
		return []channel.Result{*s.answer}
	}
	return s.Sender.Send(ctx, b)
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, logs: &logs{}}
	b.clock.Store(noon.UnixMicro())
	b.sim = simulator.New(simulator.Config{AppID: "77", AppSecret: appSecret, Pages: map[string]string{graphPage: "page-token"}, Clock: b.now})
	t.Cleanup(b.sim.Close)
	srv := httptest.NewServer(b.sim.Handler())
	t.Cleanup(srv.Close)
	set := messenger.Settings{GraphURL: srv.URL + "/graph", GraphVersion: "v25.0", AppID: "77", AppSecret: appSecret}
	var err error
	b.client, err = messenger.New(set, nil)
	require.NoError(t, err)
	b.sender = &sender{Sender: b.client}
	box, err := seal.New(bytes.Repeat([]byte("s"), seal.MinSecret))
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(b.logs, nil))
	b.queue = queue.New(d, log)
	pages := page.NewStore(d, box, b.now)
	b.pages = pages
	b.contacts = contact.New(d, b.queue, box, contact.Options{DefaultRegion: "GB", Now: b.now})
	b.Service = privacy.New(privacy.Parts{DB: d, Queue: b.queue, Box: box, Contacts: b.contacts,
		Speaker: reply.New(reply.Parts{DB: d, Pages: pages, Lines: line.NewStore(d, line.Rates{}, b.now), Sender: b.sender, Held: b.contacts.HoldThreads, Now: b.now}),
		Signed:  messenger.NewReceiver(set).ParseSignedRequest, PSIDs: b.client.PSIDs,
		Pages: func(ctx context.Context, graphIDs []string) (map[string]uuid.UUID, error) {
			found, err := pages.ByGraphID(ctx, graphIDs...)
			out := map[string]uuid.UUID{}
			for id, p := range found {
				out[id] = p.ID
			}
			return out, err
		},
		Status: func(code string) string { return "https://go.example.com/deletion/" + code },
		Words:  []string{"Begone!"}, Log: log, Now: b.now})
	require.NoError(t, b.queue.Open())
	p, err := pages.Create(t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", AccessToken: "page-token"})
	require.NoError(t, err)
	b.page = p.ID
	b.sim.AddPeople(graphPage, 2)
	b.ann = b.person("ann", "psid-1")
	return b
}

func (b *bundle) person(name, psid string) uuid.UUID {
	b.t.Helper()
	c, _, err := b.contacts.Upsert(b.t.Context(), contact.Draft{ExternalID: contact.Of(name), Email: contact.Of(name + "@example.com"),
		EmailConsent: contact.Of(contact.Consent{Status: contact.Unsubscribed}),
		Messenger:    []contact.MessengerID{{PageID: b.page, PSID: psid}}})
	require.NoError(b.t, err)
	return c.ID
}

// says is a message of psid-1's, now.
func (b *bundle) says(text string) channel.Event {
	return channel.Event{Kind: channel.EventMessage, PSID: "psid-1", MID: "m_" + text, Text: text, At: b.now()}
}

// hear applies events as the inbox does.
func (b *bundle) hear(events ...channel.Event) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		at := map[string]time.Time{}
		var psids []string
		for _, ev := range events {
			if ev.Kind.OpensWindow() {
				at[ev.PSID] = ev.At
				psids = append(psids, ev.PSID)
			}
		}
		people, err := b.contacts.FindOrMake(b.t.Context(), tx, b.page, psids)
		if err != nil {
			return err
		}
		if err := b.contacts.MoveWindow(b.t.Context(), tx, b.page, at); err != nil {
			return err
		}
		return b.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, People: people, Events: events})
	}))
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

func (b *bundle) count(what string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+what).Scan(&n).Error)
	return n
}

// wish is the only one there is.
func (b *bundle) wish() privacy.Deletion {
	b.t.Helper()
	var all []privacy.Deletion
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT * FROM deletions").Scan(&all).Error)
	require.Len(b.t, all, 1)
	return all[0]
}

func signed(userID string, at int64) string {
	payload := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":%q}`, at, userID)))
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + payload
}

package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/mirror"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/simulator"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const key = "SG.key-of-the-test"

// journal keeps what several nodes log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// bundle is a mirror beside a stand-in for SendGrid, with a clock that the test
// sets.
type bundle struct {
	*mirror.Service
	t    *testing.T
	d    *db.DB
	sim  *simulator.Simulator
	url  string
	log  journal
	seen func(*http.Request) // of each call; may be nil
	*contact.Store

	mu sync.Mutex
	at time.Time
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, at: noon}
	b.sim = simulator.New(simulator.Config{SendGridKey: key, Clock: b.now})
	stand := b.sim.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.seen != nil {
			b.seen(r)
		}
		stand.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b.url = srv.URL + "/sendgrid"
	b.Service = b.node(nil)
	t.Cleanup(func() {
		for _, private := range []string{"@hidden.example", key} {
			require.NotContains(t, b.log.text.String(), private)
		}
	})
	return b
}

// node is one more node over the same database, started now. change may be nil.
func (b *bundle) node(change func(*mirror.Parts)) *mirror.Service {
	b.t.Helper()
	box, err := seal.New([]byte("a secret that is long enough for a test"))
	require.NoError(b.t, err)
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	q := queue.New(b.d, log)
	b.Store = contact.New(b.d, q, box, contact.Options{DefaultRegion: "US", Now: b.now, MaxImport: 1 << 20})
	account, err := sendgrid.NewAccount(sendgrid.Settings{APIURL: b.url, Key: key}, nil)
	require.NoError(b.t, err)
	p := mirror.Parts{DB: b.d, Queue: q, Contacts: b.Store, Account: account, Name: "one", Pull: true, Log: log, Now: b.now}
	if change != nil {
		change(&p)
	}
	s := mirror.New(p)
	require.NoError(b.t, q.Open())
	return s
}

func writingBack(p *mirror.Parts) { p.WriteBack = true }

func address(i int) string { return fmt.Sprintf("person%d@hidden.example", i) }

// crowd are n people who came onto a list, a minute after each other, the last at
// the given time.
func crowd(n int, last time.Time) []simulator.Suppressed {
	out := make([]simulator.Suppressed, n)
	for i := range out {
		out[i] = simulator.Suppressed{Email: address(i), Created: last.Add(-time.Duration(n-1-i) * time.Minute)}
	}
	return out
}

func (b *bundle) pull() {
	b.t.Helper()
	require.NoError(b.t, b.PullNow(b.t.Context()))
}

func (b *bundle) count(from string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+from, args...).Scan(&n).Error)
	return n
}

func (b *bundle) silent(address string) bool {
	b.t.Helper()
	is, err := b.IsSuppressed(b.t.Context(), channel.Email, address)
	require.NoError(b.t, err)
	return is
}

// known makes a contact with an address who agreed to mail at a time.
func (b *bundle) known(address string, agreed time.Time) uuid.UUID {
	b.t.Helper()
	c, _, err := b.Upsert(b.t.Context(), contact.Draft{ExternalID: contact.Of(address), Email: contact.Of(address),
		EmailConsent: contact.Of(contact.Consent{Status: contact.Subscribed, Source: "form", At: &agreed})})
	require.NoError(b.t, err)
	return c.ID
}

func (b *bundle) of(list string) mirror.Status {
	b.t.Helper()
	all, err := b.Statuses(b.t.Context())
	require.NoError(b.t, err)
	for _, s := range all {
		if s.List == list {
			return s
		}
	}
	return mirror.Status{}
}

func (b *bundle) transact(work func(context.Context, *db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return work(b.t.Context(), tx) }))
}

func (b *bundle) suppress(address, reason string) {
	b.t.Helper()
	b.transact(func(ctx context.Context, tx *db.Tx) error {
		return b.Suppress(ctx, tx, []contact.Silence{{Channel: channel.Email, Address: address, Reason: reason, Source: "link"}})
	})
}

func (b *bundle) lift(address, reason string) {
	b.t.Helper()
	require.NoError(b.t, b.LiftOne(b.t.Context(), contact.Silence{Channel: channel.Email, Address: address, Reason: reason}))
}

// offset is where in a list a call asks to begin; "" for another call.
func offset(r *http.Request) string {
	if !strings.Contains(r.URL.Path, "/suppression/") {
		return ""
	}
	return r.URL.Query().Get("offset")
}

package contact_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type bundle struct {
	*contact.Store
	t    *testing.T
	d    *db.DB
	q    *queue.Queue
	box  *seal.Box
	page uuid.UUID

	mu     sync.Mutex
	at     time.Time
	grants []contact.Grant
	refuse func() error // called before tokens are stored
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	box, err := seal.New([]byte("a secret that is long enough for a test"))
	require.NoError(t, err)
	b := &bundle{t: t, d: d, at: noon, box: box, q: queue.New(d, slog.New(slog.DiscardHandler))}
	b.Store = contact.New(d, b.q, box, contact.Options{DefaultRegion: "US", Now: b.now, Grant: b.granted, MaxImport: 64 << 20})
	require.NoError(t, b.q.Open())
	b.page = b.newPage("1001")
	return b
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

func (b *bundle) granted(_ context.Context, _ *db.Tx, grants []contact.Grant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		if err := b.refuse(); err != nil {
			return err
		}
	}
	b.grants = append(b.grants, grants...)
	return nil
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

func (b *bundle) newPage(graphID string) uuid.UUID {
	b.t.Helper()
	id := uuid.Must(uuid.NewV7())
	b.exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, ?, 'A page', ?, ?, ?)",
		id, graphID, []byte("sealed"), noon, noon)
	return id
}

func (b *bundle) upsert(d contact.Draft) (contact.Contact, bool) {
	b.t.Helper()
	c, created, err := b.Upsert(b.t.Context(), d)
	require.NoError(b.t, err)
	return c, created
}

func (b *bundle) get(id uuid.UUID) contact.Contact {
	b.t.Helper()
	c, err := b.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) count(table string) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+table).Scan(&n).Error)
	return n
}

func (b *bundle) inTx(work func(tx *db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) psids(id uuid.UUID) map[string]uuid.UUID {
	b.t.Helper()
	all, err := b.Addresses(b.t.Context(), id)
	require.NoError(b.t, err)
	out := map[string]uuid.UUID{}
	for _, a := range all[id] {
		out[a.PSID] = a.PageID
	}
	return out
}

func (b *bundle) on(psid string) []contact.MessengerID {
	return []contact.MessengerID{{PageID: b.page, PSID: psid}}
}

func yes(at *time.Time) contact.Optional[contact.Consent] {
	return contact.Of(contact.Consent{Status: contact.Subscribed, At: at})
}

func no(at *time.Time) contact.Optional[contact.Consent] {
	return contact.Of(contact.Consent{Status: contact.Unsubscribed, At: at})
}

func ago(d time.Duration) *time.Time {
	at := noon.Add(-d)
	return &at
}

// pointers lists what an error complains about, as "/pointer code".
func pointers(t *testing.T, err error) []string {
	t.Helper()
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	var out []string
	for _, one := range f.Fields {
		out = append(out, one.Pointer+" "+one.Code)
	}
	return out
}

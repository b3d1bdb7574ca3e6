package page_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/seal"
)

type bundle struct {
	d     *db.DB
	store *page.Store
	now   time.Time
}

func box(t *testing.T, fill byte) *seal.Box {
	t.Helper()
	b, err := seal.New(bytes.Repeat([]byte{fill}, seal.MinSecret))
	require.NoError(t, err)
	return b
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{d: d, now: time.Date(2026, 11, 22, 9, 0, 0, 123456789, time.FixedZone("x", 7200))}
	b.store = page.NewStore(d, box(t, 1), func() time.Time { return b.now })
	return b
}

func (b *bundle) create(t *testing.T, graphID string) page.Page {
	t.Helper()
	p, err := b.store.Create(t.Context(), page.Draft{FacebookPageID: graphID, Name: "Northern Courses", AccessToken: "EAAB-secret"})
	require.NoError(t, err)
	return p
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

func (b *bundle) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, b.d.Read(t.Context()).Raw(sql, args...).Scan(&n).Error)
	return n
}

func TestCreatedPageIsFoundAndItsTokenIsSealed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		made := b.create(t, "104829305581")
		require.Equal(t, page.Unknown, made.Capabilities[page.OneTime].State)
		require.Equal(t, page.TokenUnknown, made.TokenHealth)
		got, err := b.store.Get(t.Context(), made.ID)
		require.NoError(t, err)
		require.True(t, made.CreatedAt.Equal(got.CreatedAt), "%v %v", made.CreatedAt, got.CreatedAt)
		got.CreatedAt, got.UpdatedAt = made.CreatedAt, made.UpdatedAt
		require.Equal(t, made, got)

		var stored []byte
		require.NoError(t, d.Read(t.Context()).Raw("SELECT access_token FROM pages").Row().Scan(&stored))
		require.NotContains(t, string(stored), "secret")
		sender, err := b.store.Sender(t.Context(), made.ID)
		require.NoError(t, err)
		require.Equal(t, channel.Page{GraphID: "104829305581", Name: "Northern Courses", AccessToken: "EAAB-secret"}, sender)

		other := page.NewStore(d, box(t, 2), time.Now)
		_, err = other.Sender(t.Context(), made.ID)
		require.ErrorIs(t, err, seal.ErrOpen)
	})
}

func TestGraphIDHasOnePage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.create(t, "1")
		_, err := b.store.Create(t.Context(), page.Draft{FacebookPageID: "1", Name: "again", AccessToken: "x"})
		require.True(t, fault.Is(err, fault.Conflict))
		require.True(t, fault.HasCode(err, "page_taken"))
		require.ErrorContains(t, err, "/facebook_page_id")
	})
}

func TestHandleIsTheUsernameOrElseTheGraphID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1", page.Page{FacebookPageID: "1"}.Handle())
	require.Equal(t, "courses", page.Page{FacebookPageID: "1", Username: "courses"}.Handle())
}

func TestWrongFieldsAreNamed(t *testing.T) {
	t.Parallel()
	store := page.NewStore(nil, nil, time.Now) // refused before anything is stored
	good := page.Draft{FacebookPageID: "1", Name: "n", Username: "a.b", AccessToken: "t"}
	for pointer, spoil := range map[string][]func(*page.Draft){
		"/facebook_page_id": {
			func(d *page.Draft) { d.FacebookPageID = "" },
			func(d *page.Draft) { d.FacebookPageID = "12a" },
			func(d *page.Draft) { d.FacebookPageID = "1\n" },
			func(d *page.Draft) { d.FacebookPageID = strings.Repeat("1", 33) },
		},
		"/name": {
			func(d *page.Draft) { d.Name = "" },
			func(d *page.Draft) { d.Name = strings.Repeat("ü", 201) },
			func(d *page.Draft) { d.Name = "a\x00" },
			func(d *page.Draft) { d.Name = "\xff" },
		},
		"/username": {
			func(d *page.Draft) { d.Username = "a/b" },
			func(d *page.Draft) { d.Username = strings.Repeat("a", 51) },
		},
		"/access_token": {
			func(d *page.Draft) { d.AccessToken = "" },
			func(d *page.Draft) { d.AccessToken = "a\r\nb" },
			func(d *page.Draft) { d.AccessToken = strings.Repeat("a", 1001) },
		},
	} {
		for i, f := range spoil {
			d := good
			f(&d)
			_, err := store.Create(t.Context(), d)
			require.True(t, fault.Is(err, fault.Invalid), "%s %d", pointer, i)
			require.ErrorContains(t, err, "["+pointer)
		}
	}
	blank := "a b"
	_, err := store.Patch(t.Context(), uuid.New(), page.Patch{Capabilities: map[page.Capability]page.State{page.OneTime: "maybe"}, AccessToken: &blank})
	require.ErrorContains(t, err, "[/capabilities/one_time")
	require.ErrorContains(t, err, "[/access_token")
	require.NotContains(t, err.Error(), blank)
}

func TestListGoesBackInTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var made []uuid.UUID
		for _, g := range []string{"1", "2", "3", "4", "5"} {
			made = append([]uuid.UUID{b.create(t, g).ID}, made...)
		}
		var seen []uuid.UUID
		after := uuid.Nil
		for {
			list, err := b.store.List(t.Context(), after, 2)
			require.NoError(t, err)
			if len(list) == 0 {
				break
			}
			for _, p := range list {
				seen = append(seen, p.ID)
			}
			after = list[len(list)-1].ID
		}
		require.Equal(t, made, seen)
	})
}

func TestByGraphIDFindsWhatIsKnown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		one, two := b.create(t, "1"), b.create(t, "2")
		got, err := b.store.ByGraphID(t.Context(), "1", "2", "3")
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, one.ID, got["1"].ID)
		require.Equal(t, two.ID, got["2"].ID)
		none, err := b.store.ByGraphID(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

func TestPatchChangesOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.create(t, "1")
		other := b.create(t, "2")
		b.now = b.now.Add(time.Hour)
		name, user, off := "New name", "courses", page.Off
		got, err := b.store.Patch(t.Context(), p.ID, page.Patch{Name: &name, Username: &user, Capabilities: map[page.Capability]page.State{page.OneTime: off}})
		require.NoError(t, err)
		require.Equal(t, []any{name, user, off}, []any{got.Name, got.Username, got.Capabilities[page.OneTime].State})
		require.True(t, got.UpdatedAt.After(got.CreatedAt))
		none := ""
		got, err = b.store.Patch(t.Context(), p.ID, page.Patch{Username: &none})
		require.NoError(t, err)
		require.Equal(t, []any{name, "", off}, []any{got.Name, got.Username, got.Capabilities[page.OneTime].State})
		sender, err := b.store.Sender(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, "EAAB-secret", sender.AccessToken)
		untouched, err := b.store.Get(t.Context(), other.ID)
		require.NoError(t, err)
		require.Equal(t, "Northern Courses", untouched.Name)
	})
}

func TestNewAccessTokenStartsAfresh(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.create(t, "1")
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return b.store.TokenRefused(t.Context(), tx, p.ID)
		}))
		stop := "INSERT INTO lines (sender, free_at, stopped_at, stop_code, updated_at) VALUES (?, 0, ?, '190', ?)"
		b.exec(t, stop, "messenger:"+p.ID.String(), b.now, b.now)
		b.exec(t, stop, "sms", b.now, b.now)
		got, err := b.store.Get(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, page.TokenRefused, got.TokenHealth)

		name := "still stopped"
		_, err = b.store.Patch(t.Context(), p.ID, page.Patch{Name: &name})
		require.NoError(t, err)
		require.Equal(t, 2, b.count(t, "SELECT COUNT(*) FROM lines WHERE stopped_at IS NOT NULL"))

		fresh := "EAAB-fresh"
		got, err = b.store.Patch(t.Context(), p.ID, page.Patch{AccessToken: &fresh})
		require.NoError(t, err)
		require.Equal(t, page.TokenUnknown, got.TokenHealth)
		require.Equal(t, 1, b.count(t, "SELECT COUNT(*) FROM lines WHERE sender = 'sms' AND stopped_at IS NOT NULL"))
		require.Equal(t, 1, b.count(t, "SELECT COUNT(*) FROM lines WHERE stopped_at IS NOT NULL"))
		require.Equal(t, 1, b.count(t, "SELECT COUNT(*) FROM events WHERE type = 'line.resumed' AND page_id = ?", p.ID))
		sender, err := b.store.Sender(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, fresh, sender.AccessToken)
	})
}

func TestPageInUseStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, use := range []func(id uuid.UUID){
			func(id uuid.UUID) {
				b.exec(t, "INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at) VALUES (?, 'c', ?, 'unsorted', '{}', '[]', '{}', 'draft', ?, ?)",
					uuid.New(), id, b.now, b.now)
			},
			func(id uuid.UUID) {
				contact := uuid.New()
				b.exec(t, "INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", contact, b.now, b.now)
				b.exec(t, "INSERT INTO messenger_addresses (page_id, psid, contact_id, created_at) VALUES (?, '77', ?, ?)", id, contact, b.now)
			},
		} {
			p := b.create(t, "1")
			use(p.ID)
			err := b.store.Delete(t.Context(), p.ID)
			require.True(t, fault.Is(err, fault.Conflict))
			require.True(t, fault.HasCode(err, "page_in_use"))
			b.exec(t, "DELETE FROM campaigns")
			b.exec(t, "DELETE FROM messenger_addresses")
			b.exec(t, `INSERT INTO recurring_tokens (id, page_id, topic, value, value_hash, status, status_at, source, granted_at, eligible_at, updated_at)
				VALUES (?, ?, 'unsorted', ?, ?, 'stopped', ?, 'webhook', ?, ?, ?)`, uuid.New(), p.ID, []byte{}, []byte("h"), b.now, b.now, b.now, b.now) // nobody's
			require.NoError(t, b.store.Delete(t.Context(), p.ID))
			_, err = b.store.Get(t.Context(), p.ID)
			require.True(t, fault.HasCode(err, "page_not_found"))
		}
	})
}

func TestUnknownPageIsNotFound(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, get := b.store.Get(t.Context(), uuid.New())
		_, patch := b.store.Patch(t.Context(), uuid.New(), page.Patch{})
		_, sender := b.store.Sender(t.Context(), uuid.New())
		for _, err := range []error{get, patch, sender, b.store.Delete(t.Context(), uuid.New())} {
			require.True(t, fault.Is(err, fault.NotFound), "%v", err)
		}
	})
}

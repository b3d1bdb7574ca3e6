package token_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/seal"
	"beckon/internal/token"
)

type bundle struct {
	d       *db.DB
	store   *token.Store
	now     time.Time
	contact uuid.UUID
	page    uuid.UUID
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.MinSecret))
	require.NoError(t, err)
	b := &bundle{d: d, now: time.Date(2026, 11, 22, 9, 0, 0, 123456789, time.UTC)}
	b.store = token.NewStore(d, box, func() time.Time { return b.now })
	b.page = b.newPage(t, "1")
	b.contact = b.newContact(t)
	_, err = b.store.CreateTopic(t.Context(), token.TopicDraft{Slug: "courses", Title: "New courses", Payloads: []string{"OTN_COURSES"}})
	require.NoError(t, err)
	return b
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

func (b *bundle) newPage(t *testing.T, graphID string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	b.exec(t, "INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, ?, 'p', ?, ?, ?)", id, graphID, []byte("x"), b.now, b.now)
	return id
}

func (b *bundle) newContact(t *testing.T) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	b.exec(t, "INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", id, b.now, b.now)
	return id
}

func (b *bundle) grant(t *testing.T, grants ...token.Grant) (n int, err error) {
	t.Helper()
	err = b.d.Transact(t.Context(), func(tx *db.Tx) error {
		n, err = b.store.Grant(t.Context(), tx, grants)
		return err
	})
	return n, err
}

// permission is a grant with nothing wrong.
func (b *bundle) permission(value string) token.Grant {
	return token.Grant{ContactID: b.contact, PageID: b.page, Topic: "courses", Value: value, Source: token.FromWebhook, GrantedAt: b.now}
}

// granted stores n tokens and returns their ids by value.
func (b *bundle) granted(t *testing.T, n int) map[string]uuid.UUID {
	t.Helper()
	var grants []token.Grant
	for i := range n {
		grants = append(grants, b.permission(fmt.Sprintf("value-%d-%s", i, uuid.NewString())))
	}
	got, err := b.grant(t, grants...)
	require.NoError(t, err)
	require.Equal(t, n, got)
	ids := map[string]uuid.UUID{}
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error {
		for _, g := range grants {
			found, err := b.store.ByValue(t.Context(), tx, b.page, g.Value)
			if err != nil {
				return err
			}
			ids[g.Value] = found.ID
		}
		return nil
	}))
	return ids
}

func (b *bundle) tokens(t *testing.T) map[uuid.UUID]token.Token {
	t.Helper()
	of, err := b.store.ListOf(t.Context(), b.contact)
	require.NoError(t, err)
	all := map[uuid.UUID]token.Token{}
	for _, tk := range of[b.contact] {
		all[tk.ID] = tk
	}
	return all
}

func TestTokenGrantedTwiceIsOneToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		n, err := b.grant(t, b.permission("a"), b.permission("a"), b.permission("b"))
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = b.grant(t, b.permission("a"), b.permission("c"))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		elsewhere := b.permission("a")
		elsewhere.PageID = b.newPage(t, "2")
		n, err = b.grant(t, elsewhere)
		require.NoError(t, err)
		require.Equal(t, 1, n, "another page may have the same value")
		n, err = b.grant(t)
		require.NoError(t, err)
		require.Zero(t, n)

		list, err := b.store.List(t.Context(), b.contact, uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, list, 4)
		for _, tk := range list {
			require.Equal(t, token.Available, tk.Status)
			require.Equal(t, token.FromWebhook, tk.Source)
			require.Equal(t, "courses", tk.Topic)
			require.Equal(t, b.now.Truncate(time.Microsecond), tk.GrantedAt.UTC())
			require.Equal(t, b.now.Truncate(time.Microsecond).AddDate(1, 0, 0), tk.ExpiresAt.UTC())
			require.Nil(t, tk.DeliveryID)
		}
		rest, err := b.store.List(t.Context(), b.contact, list[1].ID, 10)
		require.NoError(t, err)
		require.Equal(t, list[2:], rest)
	})
}

func TestTokenOfAnotherContactStaysTheirs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, err := b.grant(t, b.permission("a"))
		require.NoError(t, err)
		second := b.permission("a")
		second.ContactID = b.newContact(t)
		n, err := b.grant(t, second)
		require.NoError(t, err)
		require.Zero(t, n)
		of, err := b.store.ListOf(t.Context(), b.contact, second.ContactID)
		require.NoError(t, err)
		require.Len(t, of[b.contact], 1)
		require.Empty(t, of[second.ContactID])
	})
}

func TestTokenAYearOldIsExpired(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		old, young := b.permission("old"), b.permission("young")
		old.GrantedAt = b.now.AddDate(-1, 0, 0)
		young.GrantedAt = old.GrantedAt.Add(time.Millisecond)
		n, err := b.grant(t, old, young)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		var stored []string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT status FROM tokens ORDER BY granted_at").Scan(&stored).Error)
		require.Equal(t, []string{"expired", "available"}, stored)
		b.now = b.now.Add(time.Second)
		for _, tk := range b.tokens(t) {
			require.Equal(t, token.Expired, tk.Status, "shown as expired before the job writes it down")
		}
	})
}

func TestWrongGrantsAreNamedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for pointer, spoil := range map[string]func(*token.Grant){
			"/tokens/1/topic":      func(g *token.Grant) { g.Topic = "nothing" },
			"/tokens/1/page_id":    func(g *token.Grant) { g.PageID = uuid.New() },
			"/tokens/1/contact_id": func(g *token.Grant) { g.ContactID = uuid.New() },
			"/tokens/1/token":      func(g *token.Grant) { g.Value = "secret\x00" },
			"/tokens/1/granted_at": func(g *token.Grant) { g.GrantedAt = b.now.Add(25 * time.Hour) },
		} {
			good, bad := b.permission("good"), b.permission("secret")
			bad.Pointer = "/tokens/1"
			spoil(&bad)
			_, err := b.grant(t, good, bad)
			require.True(t, fault.Is(err, fault.Invalid), "%v", err)
			require.ErrorContains(t, err, "["+pointer+" ")
			require.NotContains(t, err.Error(), "secret")
		}
		require.Empty(t, b.tokens(t))
		for i, spoil := range []func(*token.Grant){
			func(g *token.Grant) { g.Topic = "\x00" },
			func(g *token.Grant) { g.Value = "" },
			func(g *token.Grant) { g.GrantedAt = time.Time{} },
			func(g *token.Grant) { g.GrantedAt = time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC) },
		} {
			bad := b.permission("x")
			spoil(&bad)
			_, err := b.grant(t, bad)
			require.True(t, fault.Is(err, fault.Invalid), "%d %v", i, err)
		}
		ahead := b.permission("ahead")
		ahead.GrantedAt = b.now.Add(time.Hour)
		n, err := b.grant(t, ahead)
		require.NoError(t, err, "another's clock may be somewhat ahead")
		require.Equal(t, 1, n)
	})
}

func TestValuesAreSealed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, err := b.grant(t, b.permission("6127093746510293847"))
		require.NoError(t, err)
		var value, hash []byte
		require.NoError(t, d.Read(t.Context()).Raw("SELECT value, value_hash FROM tokens").Row().Scan(&value, &hash))
		require.NotContains(t, string(value)+string(hash), "6127093746510293847")
	})
}

func TestMoveSortsAvailableTokensOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		g := b.permission("a")
		g.Topic = token.Unsorted
		_, err := b.grant(t, g)
		require.NoError(t, err)
		var id uuid.UUID
		for id = range b.tokens(t) {
		}
		move := func(contact uuid.UUID, topic string) error {
			return d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Move(t.Context(), tx, contact, id, topic) })
		}
		require.True(t, fault.HasCode(move(b.contact, "nothing"), "topic_not_found"))
		require.True(t, fault.HasCode(move(uuid.New(), "courses"), "token_not_found"))
		require.NoError(t, move(b.contact, "courses"))
		require.Equal(t, "courses", b.tokens(t)[id].Topic)
		b.exec(t, "UPDATE tokens SET status = 'spent'")
		require.True(t, fault.HasCode(move(b.contact, token.Unsorted), "token_not_found"))
	})
}

func TestErasedContactLeavesNoToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.granted(t, 2)
		b.exec(t, "DELETE FROM contacts WHERE id = ?", b.contact)
		require.Empty(t, b.tokens(t))
		err := d.Transact(t.Context(), func(tx *db.Tx) error {
			_, err := b.store.ByValue(t.Context(), tx, b.page, "a")
			return err
		})
		require.True(t, fault.HasCode(err, "token_not_found"))
	})
}

package api

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func TestKeysAreFoundByTheirSecretOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clock := newClock()
		keys := NewKeys(d, clock.Now)
		made, secret, err := keys.Create(t.Context(), "CRM", []Scope{ContactsWrite, PagesRead})
		require.NoError(t, err)
		require.Regexp(t, regexp.MustCompile(`^bk_[0-9A-Za-z]{43}$`), secret)
		found, err := keys.Find(t.Context(), secret)
		require.NoError(t, err)
		require.Equal(t, made.ID, found.ID)
		require.Equal(t, made.Scopes, found.Scopes)
		for _, wrong := range []string{"", "bk_", secret + "x", secret[3:], string(made.Hash)} {
			_, err := keys.Find(t.Context(), wrong)
			require.True(t, fault.Is(err, fault.Unauthorized))
			require.NotContains(t, err.Error(), secret)
		}
	})
}

func TestARevokedKeyEndsOnEveryNodeWithinSeconds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clock := newClock()
		here, there := NewKeys(d, clock.Now), NewKeys(d, clock.Now)
		key, secret, err := here.Create(t.Context(), "CRM", []Scope{Admin})
		require.NoError(t, err)
		_, err = there.Find(t.Context(), secret)
		require.NoError(t, err)
		_, err = here.Find(t.Context(), secret)
		require.NoError(t, err)
		require.NoError(t, here.Revoke(t.Context(), key.ID))
		_, err = here.Find(t.Context(), secret)
		require.True(t, fault.Is(err, fault.Unauthorized))
		clock.Pass(keyFresh)
		_, err = there.Find(t.Context(), secret)
		require.True(t, fault.Is(err, fault.Unauthorized))
		require.True(t, fault.Is(here.Revoke(t.Context(), key.ID), fault.NotFound))
		require.NoError(t, here.Ensure(t.Context(), "again", secret, []Scope{Admin}))
		_, err = here.Find(t.Context(), secret)
		require.True(t, fault.Is(err, fault.Unauthorized), "a revoked key stays revoked")
	})
}

func TestTheUseOfAKeyIsNotedOncePerHour(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clock := newClock()
		keys := NewKeys(d, clock.Now)
		_, secret, err := keys.Create(t.Context(), "CRM", []Scope{Admin})
		require.NoError(t, err)
		used := func() time.Time {
			_, err := keys.Find(t.Context(), secret)
			require.NoError(t, err)
			list, err := keys.List(t.Context(), uuid.Nil, 10)
			require.NoError(t, err)
			return *list[0].LastUsedAt
		}
		first := clock.Now()
		require.WithinDuration(t, first, used(), 0)
		clock.Pass(time.Hour - time.Second)
		require.WithinDuration(t, first, used(), 0)
		clock.Pass(time.Second + keyFresh)
		require.WithinDuration(t, clock.Now(), used(), 0)
	})
}

func TestEnsureKeepsAChosenKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		keys := NewKeys(d, newClock().Now)
		const chosen = "bk_0123456789012345678901234567890123456789"
		require.NoError(t, keys.Ensure(t.Context(), "first", chosen, []Scope{Admin}))
		require.NoError(t, keys.Ensure(t.Context(), "first", chosen, []Scope{Admin}))
		list, err := keys.List(t.Context(), uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		for _, weak := range []string{"bk_short", "0123456789012345678901234567890123456789"} {
			require.True(t, fault.Is(keys.Ensure(t.Context(), "weak", weak, nil), fault.Invalid))
		}
	})
}

func TestKeyCacheIsBounded(t *testing.T) {
	t.Parallel()
	keys := NewKeys(nil, newClock().Now)
	for i := range keyCache + 5 {
		keys.remember([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, Key{})
	}
	require.LessOrEqual(t, len(keys.known), keyCache)
}

func TestWriteScopesIncludeReadAndAdminAll(t *testing.T) {
	t.Parallel()
	require.True(t, Key{Scopes: []Scope{ContactsWrite}}.Allows(ContactsRead))
	require.False(t, Key{Scopes: []Scope{ContactsRead}}.Allows(ContactsWrite))
	require.False(t, Key{Scopes: []Scope{ContactsWrite}}.Allows(PagesRead))
	require.False(t, Key{}.Allows(PagesRead))
	for _, s := range Scopes() {
		require.True(t, Key{Scopes: []Scope{Admin}}.Allows(s))
		require.Equal(t, s == Admin, Key{Scopes: []Scope{PagesWrite, ContactsWrite, CampaignsWrite}}.Allows(s) == false)
	}
}

func TestKeysOverTheAPI(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setupKeys(t, d)
		var made gen.APIKeyCreated
		w := b.do(call{Method: "POST", Path: "/v1/api-keys", Body: `{"name":"CRM","scopes":["contacts:write"]}`})
		require.Equal(t, 201, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &made))
		require.Equal(t, []gen.Scope{gen.ScopeContactsWrite}, made.Scopes)
		as := map[string]string{"Authorization": "bearer " + made.Key}
		require.Equal(t, 403, b.do(call{Method: "GET", Path: "/v1/api-keys", Headers: as}).Code)

		w = b.do(call{Method: "GET", Path: "/v1/api-keys"})
		require.Equal(t, 200, w.Code)
		require.NotContains(t, w.Body.String(), made.Key)
		require.NotContains(t, w.Body.String(), "hash")

		require.Equal(t, 204, b.do(call{Method: "DELETE", Path: "/v1/api-keys/" + made.ID.String()}).Code)
		require.Equal(t, 404, b.do(call{Method: "DELETE", Path: "/v1/api-keys/" + made.ID.String()}).Code)
		require.Equal(t, 401, b.do(call{Method: "GET", Path: "/v1/api-keys", Headers: as}).Code)
		require.NotContains(t, b.logs.String(), made.Key)
	})
}

func TestKeysArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setupKeys(t, d)
		for range 6 {
			b.newKey(PagesRead)
		}
		var ids []string
		for path := "/v1/api-keys?limit=3"; path != ""; {
			var list gen.APIKeyList
			require.NoError(t, json.Unmarshal(b.do(call{Method: "GET", Path: path}).Body.Bytes(), &list))
			for _, k := range list.Data {
				ids = append(ids, k.ID.String())
			}
			path = ""
			if list.NextCursor != nil {
				path = "/v1/api-keys?limit=3&cursor=" + *list.NextCursor
			}
		}
		require.Len(t, ids, 7)
		for i := range ids[1:] {
			require.Greater(t, ids[i], ids[i+1])
		}
	})
}

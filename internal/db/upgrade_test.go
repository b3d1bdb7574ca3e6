package db_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// eachEmpty is dbtest.Each for databases without a schema.
func eachEmpty(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	for name, options := range map[string]func(t *testing.T) db.Options{
		"sqlite":   func(t *testing.T) db.Options { return db.Options{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) db.Options { return db.Options{URL: dbtest.EmptyPostgresURL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := db.Open(t.Context(), options(t))
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, d.Close()) })
			test(t, d)
		})
	}
}

// TestRowsOfTheFirstSchemaSurviveAllThatCameAfterIt brings a database up to date
// that holds rows from before.
func TestRowsOfTheFirstSchemaSurviveAllThatCameAfterIt(t *testing.T) {
	t.Parallel()
	eachEmpty(t, func(t *testing.T, d *db.DB) {
		require.NoError(t, d.MigrateTo(t.Context(), 2))
		now, contact := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), uuid.New()
		pages := map[string]uuid.UUID{"works": uuid.New(), "off": uuid.New(), "unknown": uuid.New()}
		insert := func(sql string, args ...any) {
			t.Helper()
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
		}
		for state, id := range pages {
			insert("INSERT INTO pages (id, facebook_page_id, name, access_token, one_time, created_at, updated_at) VALUES (?, ?, 'p', ?, ?, ?, ?)",
				id, state, []byte{1}, state, now, now)
		}
		insert("INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", contact, now, now)
		insert("INSERT INTO messenger_addresses (page_id, psid, contact_id, created_at) VALUES (?, '77', ?, ?)", pages["works"], contact, now)
		insert(`INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at)
			VALUES (?, ?, ?, 'unsorted', ?, ?, 'available', 'webhook', ?, ?, ?)`, uuid.New(), contact, pages["works"], []byte{1}, []byte{2}, now, now, now)
		insert("UPDATE contacts SET sms_consent_status = 'unsubscribed', sms_consent_source = 'sms', sms_consent_at = ?, sms_consent_evidence = 'stop'", now)
		insert("INSERT INTO suppressions (id, channel, hash, reason, source, created_at) VALUES (?, 'sms', ?, 'stop', 'twilio', ?)", uuid.New(), []byte{3}, now)

		require.NoError(t, d.Migrate(t.Context()))
		var known []struct{ PageID, Name, State, How string }
		require.NoError(t, d.Read(t.Context()).Raw("SELECT page_id, name, state, how FROM capabilities ORDER BY state").Scan(&known).Error)
		require.Len(t, known, 2, "what was unknown is not written down")
		for _, k := range known {
			require.Equal(t, []any{"one_time", pages[k.State].String(), "operator"}, []any{k.Name, k.PageID, k.How})
		}
		for table, want := range map[string]int{"pages": 3, "page_health": 3, "contacts": 1, "messenger_addresses": 1, "tokens": 1, "suppressions": 1, "consents": 1} {
			var n int
			require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM "+table).Scan(&n).Error)
			require.Equal(t, want, n, table)
		}
		var since []time.Time
		require.NoError(t, d.Read(t.Context()).Raw("SELECT refused_at FROM suppressions").Scan(&since).Error)
		require.True(t, now.Equal(since[0]), "a suppression holds since it was written down")
		var kept []struct{ ContactID, How, Status, Evidence string }
		require.NoError(t, d.Read(t.Context()).Raw("SELECT contact_id, how, status, evidence FROM consents").Scan(&kept).Error)
		require.Equal(t, []string{contact.String(), "before", "unsubscribed", "stop"}, []string{kept[0].ContactID, kept[0].How, kept[0].Status, kept[0].Evidence})
	})
}

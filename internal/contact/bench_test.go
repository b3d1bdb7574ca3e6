package contact_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

// durable is a store on a PostgreSQL that flushes to disk, as in production.
func durable(b *testing.B) (*contact.Store, *db.DB, *queue.Queue) {
	b.Helper()
	cluster, err := dbtest.StartCluster(true)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cluster.Stop()) })
	d, err := db.Open(b.Context(), db.Options{URL: cluster.URL})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	require.NoError(b, d.Migrate(b.Context()))
	return store(b, d)
}

func embedded(b *testing.B) (*contact.Store, *db.DB, *queue.Queue) {
	b.Helper()
	return store(b, dbtest.SQLite(b))
}

func store(b *testing.B, d *db.DB) (*contact.Store, *db.DB, *queue.Queue) {
	b.Helper()
	box, err := seal.New([]byte("a secret that is long enough for a test"))
	require.NoError(b, err)
	q := queue.New(d, slog.New(slog.DiscardHandler))
	s := contact.New(d, q, box, contact.Options{DefaultRegion: "GB", MaxImport: 4 << 30})
	require.NoError(b, q.Open())
	return s, d, q
}

func drafts(from, n int) []contact.Draft {
	out := make([]contact.Draft, n)
	for i := range out {
		id := from + i
		out[i] = contact.Draft{ExternalID: text(fmt.Sprint("crm-", id)), FirstName: text("Amy"), LastName: text("O'Neil"),
			Email: text(fmt.Sprintf("amy.%d@example.com", id)), Phone: text(fmt.Sprintf("+1415%07d", 2000000+id%7999999)),
			Locale: text("en-GB"), TimeZone: text("Europe/London"), Attributes: map[string]any{"city": "Leeds", "plan": "gold"}, SMSConsent: yes(nil)}
	}
	return out
}

func BenchmarkUpsertMany(b *testing.B) {
	const chunk = 2000
	for engine, open := range map[string]func(*testing.B) (*contact.Store, *db.DB, *queue.Queue){"postgres": durable, "sqlite": embedded} {
		b.Run(engine+"/new", func(b *testing.B) {
			s, d, _ := open(b)
			n := 0
			for b.Loop() {
				require.NoError(b, d.Transact(b.Context(), func(tx *db.Tx) error {
					_, err := s.UpsertMany(b.Context(), tx, drafts(n, chunk))
					return err
				}))
				n += chunk
			}
			b.ReportMetric(float64(b.N*chunk)/b.Elapsed().Seconds(), "contacts/s")
		})
		b.Run(engine+"/same", func(b *testing.B) {
			s, d, _ := open(b)
			for b.Loop() {
				require.NoError(b, d.Transact(b.Context(), func(tx *db.Tx) error {
					_, err := s.UpsertMany(b.Context(), tx, drafts(0, chunk))
					return err
				}))
			}
			b.ReportMetric(float64(b.N*chunk)/b.Elapsed().Seconds(), "contacts/s")
		})
		b.Run(engine+"/changed", func(b *testing.B) {
			s, d, _ := open(b)
			n := 0
			for b.Loop() {
				list := drafts(0, chunk)
				n++
				for i := range list {
					list[i].LastName = text(fmt.Sprint(n))
				}
				require.NoError(b, d.Transact(b.Context(), func(tx *db.Tx) error {
					_, err := s.UpsertMany(b.Context(), tx, list)
					return err
				}))
			}
			b.ReportMetric(float64(b.N*chunk)/b.Elapsed().Seconds(), "contacts/s")
		})
	}
}

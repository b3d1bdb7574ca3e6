package contact_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

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

// body is a file of n people as a CRM writes it.
func body(format contact.Format, n int) []byte {
	var b bytes.Buffer
	if format == contact.CSV {
		b.WriteString("external_id,first_name,last_name,email,phone,locale,time_zone,attributes.city,attributes.plan,consents.sms,consents.email\n")
	}
	for i := range n {
		if format == contact.CSV {
			fmt.Fprintf(&b, "crm-%d,Amy,O'Neil,amy.%d@example.com,+1415%07d,en-GB,Europe/London,Leeds,gold,yes,no\n", i, i, 2000000+i%7999999)
			continue
		}
		fmt.Fprintf(&b, `{"external_id":"crm-%d","first_name":"Amy","last_name":"O'Neil","email":"amy.%d@example.com","phone":"+1415%07d","locale":"en-GB",`+
			`"time_zone":"Europe/London","attributes":{"city":"Leeds","plan":"gold"},"consents":{"sms":{"status":"subscribed"},"email":{"status":"unsubscribed"}}}`+"\n", i, i, 2000000+i%7999999)
	}
	return b.Bytes()
}

// BenchmarkImport is the whole way: the upload stored, the job run. Ten times
// the same file would change nothing, so the contacts go before each round.
func BenchmarkImport(b *testing.B) {
	const people = 100_000
	for engine, open := range map[string]func(*testing.B) (*contact.Store, *db.DB, *queue.Queue){"postgres": durable, "sqlite": embedded} {
		for _, format := range []contact.Format{contact.NDJSON, contact.CSV} {
			b.Run(fmt.Sprint(engine, "/", format), func(b *testing.B) {
				s, d, q := open(b)
				file := body(format, people)
				b.ResetTimer()
				for range b.N {
					imp, err := s.Receive(b.Context(), bytes.NewReader(file), contact.ImportOptions{Format: format})
					require.NoError(b, err)
					require.NoError(b, q.Drain(b.Context(), time.Now()))
					imp, err = s.Import(b.Context(), imp.ID)
					require.NoError(b, err)
					require.EqualValues(b, people, imp.Created)
					b.StopTimer()
					require.NoError(b, d.Transact(b.Context(), func(tx *db.Tx) error { return tx.Exec("DELETE FROM contacts").Error }))
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N*people)/b.Elapsed().Seconds(), "contacts/s")
			})
		}
	}
}

func BenchmarkForms(b *testing.B) {
	s := contact.New(nil, nil, nil, contact.Options{DefaultRegion: "US"})
	for _, f := range []struct{ form, in string }{{"phone", "+14155552671"}, {"phone", "(415) 555-2671"}, {"email", "amy.1@example.com"}, {"locale", "en_GB"}, {"time zone", "Europe/London"}} {
		b.Run(f.form+" "+f.in, func(b *testing.B) {
			for b.Loop() {
				s.Forms()[f.form](f.in)
			}
		})
	}
}

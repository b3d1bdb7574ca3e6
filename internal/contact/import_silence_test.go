package contact_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func quiet(f contact.Format) contact.ImportOptions {
	return contact.ImportOptions{Kind: contact.ImportSuppressions, Format: f}
}

// silent lists all suppressions, oldest first, as "channel reason source contact".
func (b *bundle) silent() (out []string) {
	b.t.Helper()
	rows, err := b.ExportSuppressions(b.t.Context(), contact.SuppressionFilter{}, uuid.Nil, 1000)
	require.NoError(b.t, err)
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %s %s %s held:%v", r.Channel, r.Reason, r.Source, r.RefusedAt.UTC().Format("2006-01-02"), r.ContactID.Valid))
	}
	return out
}

func TestSuppressionsAreImportedLineByLine(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Phone: text(annsPhone), Email: text("ann@example.com"), SMSConsent: yes(ago(24 * time.Hour)), EmailConsent: yes(ago(time.Hour))})
		body := strings.Join([]string{
			`{"channel":"sms","address":"(415) 555-2671","reason":"stop","created_at":"2026-11-22T08:00:00Z","source":"old system"}`,
			`{"channel":"sms","address":"+14155552671","reason":"stop"}`,
			`{"channel":"email","hash":"` + hex.EncodeToString(b.box.Hash("email", "ann@example.com")) + `","reason":"unsubscribe","refused_at":"2026-11-22T08:00:00Z"}`,
			`{"email":"Bob@example.com","reason":"bounce","id":"x","contact_id":null}`,
			`{"channel":"fax","address":"1"}`, `{"channel":"sms","address":"12"}`, `{"channel":"sms"}`, `{"address":"a@example.com"}`,
			`{"channel":"sms","address":"+14155552672","reason":"because"}`, `{"channel":"email","hash":"abcd"}`,
			`{"channel":"email","address":"a@example.com","hash":"` + strings.Repeat("ab", 32) + `"}`, `{"email":"a@example.com","phone":"+14155552672"}`,
			`{"channel":"sms","email":"a@example.com"}`, `{"email":"a@example.com","created_at":"2099-01-01T00:00:00Z"}`, `{"email":"a@example.com","created_at":"soon"}`,
			`{"email":"a@example.com","why":"x"}`, `{"email":7}`, `nonsense`,
			`{"phone":"+14155552673","reason":"undeliverable","source":"carrier"}`,
		}, "\n")
		dry := quiet(contact.NDJSON)
		dry.DryRun = true
		require.Equal(t, "finished: 19 lines, 4 created, 1 updated, 14 refused", counts(b.imports(body, dry)))
		require.Zero(t, b.count("suppressions"))
		require.Equal(t, contact.Subscribed, b.get(ann.ID).SMSConsent.Status)

		imp := b.imports(body, quiet(contact.NDJSON))
		require.Equal(t, "finished: 19 lines, 4 created, 1 updated, 14 refused", counts(imp))
		require.Equal(t, contact.ImportSuppressions, imp.Kind)
		require.Equal(t, []string{"5 /channel bad_channel", "6 /address bad_address", "7 /address required", "8 /channel required", "9 /reason bad_reason", "10 /hash bad_hash",
			"11 /address one_too_many", "12 /address one_too_many", "13 /channel bad_channel", "14 /created_at in_the_future", "15 /created_at bad_time",
			"16 /why unknown_field", "17 /email bad_type", "18  bad_type"}, b.refused(imp))
		require.ElementsMatch(t, []string{"sms stop old system 2026-11-22 held:true", "email unsubscribe import 2026-11-22 held:true",
			"email bounce import 2026-11-22 held:false", "sms undeliverable carrier 2026-11-22 held:false"}, b.silent())
		require.Equal(t, contact.Unsubscribed, b.get(ann.ID).SMSConsent.Status)
		require.Equal(t, contact.Subscribed, b.get(ann.ID).EmailConsent.Status, "it was given after that refusal")
		require.True(t, b.suppressed(channel.Email, "ann@example.com"), "and nothing is sent all the same")
		require.Equal(t, "finished: 19 lines, 0 created, 5 updated, 14 refused", counts(b.imports(body, quiet(contact.NDJSON))))
	})
}

func TestSuppressionsComeFromCSVWithWhatTheCallSays(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	o := quiet(contact.CSV)
	o.Channel, o.Reason = channel.Email, contact.ReasonComplaint
	imp := b.imports("\xef\xbb\xbfAddress ;reason;created_at\r\nann@example.com;;2025-01-31\r\nbob@example.com;bounce;\r\n;;\r\n;stop;\r\n", o)
	require.Equal(t, "finished: 3 lines, 2 created, 0 updated, 1 refused", counts(imp))
	require.Equal(t, []string{"5 /address required"}, b.refused(imp))
	require.ElementsMatch(t, []string{"email complaint import 2025-01-31 held:false", "email bounce import 2026-11-22 held:false"}, b.silent())
	for header, problem := range map[string]string{"address,status": `There is no column "status"`, "reason,channel": "has no column address or hash",
		"address,Address": `"address" stands in the file twice`, "address\x01": "There is no column"} {
		imp := b.imports(header+"\nx,y\n", quiet(contact.CSV))
		require.Equal(t, contact.Failed, imp.State)
		require.Contains(t, imp.Problem, problem)
	}
	o.Channel, o.Reason = channel.Messenger, "because"
	_, err := b.Receive(t.Context(), strings.NewReader("x"), o)
	require.Equal(t, []string{"/channel bad_channel", "/reason bad_reason"}, pointers(t, err))
}

// TestManySuppressionsCostAFixedNumberOfStatements: so many people refuse, come back
// and agree in an import, and the database is asked as often as for a few.
func TestManySuppressionsCostAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]db.Options{"sqlite": {Dir: t.TempDir()}, "postgres": {URL: dbtest.PostgresURL(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			o.Statements = func(string) { n.Add(1) }
			d, err := db.Open(t.Context(), o)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, d.Close()) })
			require.NoError(t, d.Migrate(t.Context()))
			b := setup(t, d)
			cost := func(from, people int) int64 {
				var drafts []contact.Draft
				var list []contact.Silence
				for i := from; i < from+people; i++ {
					phone := fmt.Sprintf("+1415555%04d", i)
					drafts = append(drafts, contact.Draft{Phone: text(phone), SMSConsent: yes(ago(time.Hour))})
					list = append(list, contact.Silence{Channel: channel.SMS, Address: phone, Reason: contact.ReasonStop, At: noon})
				}
				n.Store(0)
				b.inTx(func(tx *db.Tx) error {
					_, err := b.UpsertMany(t.Context(), tx, drafts)
					return err
				})
				b.suppress(list...)
				for i := range list {
					list[i].At = time.Time{}
				}
				b.unsilence(list...)
				return n.Load()
			}
			few := cost(2000, 3)
			require.Equal(t, few, cost(3000, 900))
			t.Logf("%s: %d statements to upsert, suppress and lift, for 3 people and for 900", name, few)
		})
	}
}

package webhook_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/queue"
	"beckon/internal/webhook"
)

// TestAGroupCostsAFixedNumberOfStatements applies a few callbacks and many in one
// job: people who are new and known, who grant, come by links, read and reply. What
// the database is asked must not depend on how many there are.
func TestAGroupCostsAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			few, many := statements(t, engine, 2), statements(t, engine, 12)
			t.Logf("%s: %d SQL statements for a job of 18 callbacks, %d for one of 108", engine, few, many)
			require.Equal(t, few, many)
			require.Positive(t, few)
		})
	}
}

// statements counts what it takes to apply what n known people do, and n new ones.
func statements(t *testing.T, engine string, n int) int64 {
	t.Helper()
	var asked atomic.Int64
	o := db.Options{Dir: t.TempDir(), Statements: func(sql string) {
		if !strings.Contains(sql, "river_") {
			asked.Add(1)
		}
	}}
	if engine == "postgres" {
		o.URL, o.MaxConns = dbtest.PostgresURL(t), 8
	}
	d, err := db.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.Migrate(t.Context()))
	b := setup(t, d)
	var all webhook.ApplyJob
	say := func(name string, pairs ...string) { b.accept(channel.Messenger, meta(b.read(name, pairs...))) }
	for i := range n {
		known, fresh := fmt.Sprint("9000", i), fmt.Sprint("9100", i)
		who := b.known("crm-"+known, known)
		sent := b.sent(who, channel.Window, delivery.Accepted)
		texted := b.sent(b.known("crm-"+fresh, ""), channel.LaneSMS, delivery.Accepted)
		say("message", ann, known)
		say("message", ann, fmt.Sprint("9200", i))
		say("reaction", ann, known)
		say("read", ann, known)
		say("delivered_up_to", ann, known)
		say("echo", "MARK", b.marks.Code(sent))
		say("optin", "PSID", known, "PAYLOAD", "courses", "TOKEN", fmt.Sprint("otn-cost-", i))
		say("referral", "PSID", fresh, "CODE", b.codes.Code(texted))
		b.accept(channel.SMS, twilio(texted, status("delivered", "")))
	}
	for _, cb := range b.callbacks() {
		all.Callbacks = append(all.Callbacks, cb.ID)
	}
	require.Len(t, all.Callbacks, 9*n)
	b.tx(func(tx *db.Tx) error {
		if err := tx.Exec("DELETE FROM river_job").Error; err != nil {
			return err
		}
		return b.queue.Insert(t.Context(), tx, queue.Order{Args: all})
	})
	asked.Store(0)
	b.drain()
	spent := asked.Load()
	require.Zero(t, b.count("callbacks WHERE applied_at IS NULL OR problem <> ''"))
	require.Equal(t, n, b.count("tokens"))
	require.Equal(t, n, b.count("deliveries WHERE returned_at IS NOT NULL"))
	require.Equal(t, n, b.count("deliveries WHERE replied_at IS NOT NULL"))
	require.Equal(t, 3*n, b.count("messenger_addresses WHERE last_action_at IS NOT NULL"))
	return spent
}

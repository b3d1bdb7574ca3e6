package dispatch_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/dispatch"
	"beckon/internal/page"
)

// TestABatchCostsAFixedNumberOfStatements sends one chunk on each lane, small
// and full: what the database is asked must not depend on how many are in it.
func TestABatchCostsAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			few, many := statements(t, engine, 3), statements(t, engine, 100)
			t.Logf("%s: SQL statements per batch, mean over one batch on each of six lanes: %.1f with 3 people in each, %.1f with 100", engine, float64(few)/6, float64(many)/6)
			require.Equal(t, few, many)
		})
	}
}

// byTheClock tells the looks at the campaign's state and at who refused, which
// come twice a second however many people are in a batch.
func byTheClock(sql string) bool {
	return strings.HasPrefix(sql, "SELECT * FROM") && strings.Contains(sql, "campaigns") || strings.Contains(sql, "WHERE c.id IS NULL OR")
}

// statements counts what sending a planned campaign asks of the database.
func statements(t *testing.T, engine string, perLane int) int64 {
	t.Helper()
	var n atomic.Int64
	var counting atomic.Bool
	o := db.Options{Statements: func(sql string) {
		if counting.Load() && !strings.Contains(sql, "river_") && !byTheClock(sql) {
			n.Add(1)
		}
	}}
	if engine == "postgres" {
		o.URL, o.MaxConns = dbtest.PostgresURL(t), 8
	} else {
		o.Dir = t.TempDir()
	}
	d, err := db.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.Migrate(t.Context()))
	b := setup(t, d, options{size: dispatch.Sizes{Page: 1000, Batch: 200, Parallel: 1}})
	for range perLane {
		b.make(human{window: true})
		b.make(human{tokens: 1})
		b.make(human{phone: "new"})
		b.make(human{email: "new"})
		b.make(human{permit: true})
		b.make(human{psid: true})
	}
	b.template(channel.TemplateApproved)
	b.learn(page.Recurring, page.Works) // else chunks are small, and there are more of them
	b.learn(page.Utility, page.Works)
	c := b.draft(func(p *campaign.Patch) {
		by(channel.Window, channel.OneTime, channel.Recurring, channel.LaneSMS, channel.LaneEmail, channel.Utility)(p)
		p.Budget = json.RawMessage(`{"sms_segments": 1000}`)
	})
	b.start(c)
	require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
	counting.Store(true)
	b.drain()
	counting.Store(false)
	b.onceEach()
	return n.Load()
}

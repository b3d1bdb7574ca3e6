package delivery_test

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// asked opens another handle on a database that keeps the statements sent.
func asked(t *testing.T, url string) (*db.DB, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	d, err := db.Open(t.Context(), db.Options{URL: url, MaxConns: 4, Statements: func(sql string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, sql)
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := seen
		seen = nil
		return out
	}
}

// What a batch asks of the ledger is asked of its own leaf, however many others
// there are.
func TestABatchIsWorkedInItsLeaf(t *testing.T) {
	t.Parallel()
	d, statements := asked(t, dbtest.PostgresURL(t))
	b := leafy(t, d)
	first := b.write(people(20*smallLeaf, channel.LaneSMS)...)
	require.Len(t, b.leaves(), 21)
	batch := b.batch(channel.LaneSMS, first+5*smallLeaf, first+5*smallLeaf+9)
	statements()
	b.claim(batch, 1)
	b.tx(func(tx *db.Tx) error {
		_, _, _, err := b.Left(tx, batch, 1)
		_, aerr := b.Abandoned(tx, batch, 1)
		_, oerr := b.Opens(tx, channel.SMS, []int64{batch.FirstID, batch.LastID})
		return errors.Join(err, aerr, oerr)
	})
	looked := 0
	for _, sql := range statements() {
		if !strings.Contains(sql, "deliveries") {
			continue
		}
		looked++
		var plan []string
		undo := errors.New("undo")
		require.ErrorIs(t, d.Transact(t.Context(), func(tx *db.Tx) error { return errors.Join(tx.Raw("EXPLAIN (ANALYZE) "+sql).Scan(&plan).Error, undo) }), undo)
		touched := map[string]bool{}
		for _, line := range plan {
			if leaf := regexp.MustCompile(`Scan.* (deliveries_p\d+)`).FindStringSubmatch(line); leaf != nil && !strings.Contains(line, "never executed") {
				touched[leaf[1]] = true
			}
		}
		require.Equal(t, map[string]bool{"deliveries_p500": true}, touched, strings.Join(plan, "\n"))
	}
	require.Equal(t, 4, looked)
}

// A new leaf is looked at once there is something in it; the planner knows
// nothing of it before. PostgreSQL tells what has changed a moment later.
func TestANewLeafIsAnalyzedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.Postgres(t))
	b.write(people(1500, channel.LaneSMS)...)
	known := func() (n int) {
		require.NoError(t, b.d.AnalyzeNew(b.ctx(), "deliveries"))
		require.NoError(t, b.d.Read(b.ctx()).Raw("SELECT CAST(reltuples AS integer) FROM pg_class WHERE relname = 'deliveries_p0'").Scan(&n).Error)
		return n
	}
	require.Eventually(t, func() bool { return known() == 1500 }, time.Minute, 50*time.Millisecond)
	b.another()
	b.write(people(3000, channel.LaneSMS)...)
	require.Equal(t, 1500, known(), "others look at it again")
}

// A person gets a receipt for each message: what they got years ago is not
// written again each time.
func TestAWatermarkWritesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.Postgres(t))
	who := b.person("77")
	first := b.write(delivery.Place{Contact: who, Lane: channel.Window})
	claimed := b.claim(b.batch(channel.Window, first, first), 1)
	b.settle(accepted(claimed[0], channel.Window, "m1"))
	written := func() (x string) {
		require.NoError(t, b.d.Read(b.ctx()).Raw("SELECT CAST(xmin AS text) FROM deliveries WHERE id = ?", first).Row().Scan(&x))
		return x
	}
	arrived, read := delivery.Watermark{PSID: "77", At: b.now}, delivery.Watermark{PSID: "77", At: b.now, Read: true}
	before := written()
	b.upTo(arrived)
	require.Equal(t, delivery.Delivered, b.get(first).State)
	require.NotEqual(t, before, written())
	before = written()
	b.upTo(arrived)
	require.Equal(t, before, written())
	b.upTo(read)
	require.NotNil(t, b.get(first).ReadAt)
	require.NotEqual(t, before, written())
	before = written()
	b.upTo(arrived, read)
	require.Equal(t, before, written())
}

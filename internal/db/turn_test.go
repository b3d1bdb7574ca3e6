package db_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// TestATurnIsOneTransactionsAtATime lets many add to a number that they read first.
func TestATurnIsOneTransactionsAtATime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		set := func(sql string) {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql).Error }))
		}
		set("CREATE TABLE sums (n INTEGER)")
		set("INSERT INTO sums VALUES (0)")
		add := func(tx *db.Tx) error {
			if err := tx.Turn("sums"); err != nil {
				return err
			}
			var n int
			if err := tx.Raw("SELECT n FROM sums").Row().Scan(&n); err != nil {
				return err
			}
			return tx.Exec("UPDATE sums SET n = ?", n+1).Error
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 5 {
					if err := d.Transact(t.Context(), add); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var n int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT n FROM sums").Row().Scan(&n))
		require.Equal(t, 40, n)
	})
}

package db_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// through opens a database behind PgBouncer in transaction mode.
func through(t *testing.T, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), db.Options{URL: url, MaxConns: 8, Pooled: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestTransactionsRunBehindAPooler(t *testing.T) {
	t.Parallel()
	d := through(t, dbtest.Pooler(t, dbtest.PostgresURL(t)))
	createThings(t, d)
	var wg sync.WaitGroup
	errs := make([]error, 60)
	for i := range errs {
		wg.Go(func() {
			errs[i] = d.Transact(t.Context(), func(tx *db.Tx) error {
				err := tx.Copy("things", []string{"id", "name"}, [][]any{{int64(i), fmt.Sprint(i)}})
				if err != nil {
					return err
				}
				return tx.Exec("UPDATE things SET name = v.name FROM ? WHERE things.id = v.id",
					tx.Values("v", db.Int64s("id", []int64{int64(i)}), db.Texts("name", []string{fmt.Sprint("new", i)}))).Error
			})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, things(t, d), 60)
}

// Nodes that start at once behind a pooler have no session to hold a lock in.
func TestMigrateRunsOnceBehindAPooler(t *testing.T) {
	t.Parallel()
	url := dbtest.Pooler(t, dbtest.EmptyPostgresURL(t))
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		d := through(t, url)
		wg.Go(func() { errs[i] = d.Migrate(t.Context()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	steps, err := through(t, url).Migrations(t.Context())
	require.NoError(t, err)
	for _, s := range steps {
		require.False(t, s.Applied.IsZero(), s.Name)
	}
	var set string
	require.NoError(t, through(t, url).Read(t.Context()).Raw("SELECT CAST(setconfig AS text) FROM pg_db_role_setting r JOIN pg_database d ON d.oid = r.setdatabase WHERE d.datname = current_database()").Scan(&set).Error)
	require.Equal(t, "{random_page_cost=1.1}", set)
}

package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func createThings(t *testing.T, d *db.DB) {
	t.Helper()
	typ := map[string][2]string{"postgres": {"timestamptz", "bytea"}, "sqlite": {"timestamp", "blob"}}[d.Engine()]
	require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
		return tx.Exec("CREATE TABLE things (id bigint PRIMARY KEY, owner text, name text UNIQUE, at " + typ[0] + ", data " + typ[1] + ")").Error
	}))
}

type thing struct {
	ID    int64
	Owner *uuid.UUID
	Name  string
	At    *time.Time
	Data  []byte
}

func things(t *testing.T, d *db.DB) []thing {
	t.Helper()
	var out []thing
	require.NoError(t, d.Read(t.Context()).Raw("SELECT * FROM things ORDER BY id").Scan(&out).Error)
	return out
}

func TestCopyAndValuesCarryEveryType(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		createThings(t, d)
		at := time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.FixedZone("x", 3600))
		owner := uuid.Must(uuid.NewV7())
		const n = 173
		var rows [][]any
		for i := range n {
			rows = append(rows, []any{int64(i), owner.String(), "n" + string(rune('a'+i%26)) + uuid.NewString(), at, []byte{0, byte(i)}})
		}
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Copy("things", []string{"id", "owner", "name", "at", "data"}, rows)
		}))
		got := things(t, d)
		require.Len(t, got, n)
		require.True(t, at.Equal(*got[5].At), "%v", got[5].At)
		require.Equal(t, []byte{0, 5}, got[5].Data)

		later := at.Add(time.Hour)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Exec(`UPDATE things SET at = v.at, data = v.data, name = v.name, owner = CAST(v.owner AS text) FROM ? WHERE things.id = v.id`,
				tx.Values("v", db.Int64s("id", []int64{1, 2}), db.Times("at", []time.Time{later, {}}), db.Blobs("data", [][]byte{{7}, nil}),
					db.Texts("name", []string{"one 'quoted'", "two ? ю"}), db.UUIDs("owner", []uuid.UUID{owner, uuid.Nil}))).Error
		}))
		got = things(t, d)
		require.True(t, later.Equal(*got[1].At))
		require.Nil(t, got[2].At)
		require.Equal(t, []byte{7}, got[1].Data)
		require.Empty(t, got[2].Data)
		require.Equal(t, "one 'quoted'", got[1].Name)
		require.Equal(t, "two ? ю", got[2].Name)
		require.Equal(t, owner, *got[1].Owner)
		require.Nil(t, got[2].Owner)
	})
}

func TestTimesCompareInOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		createThings(t, d)
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		steps := []time.Duration{0, time.Microsecond, 500 * time.Millisecond, 550 * time.Millisecond, time.Second, 24 * time.Hour}
		var rows [][]any
		for i, s := range steps {
			rows = append(rows, []any{int64(i), "", uuid.NewString(), base.Add(s), nil})
		}
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Copy("things", []string{"id", "owner", "name", "at", "data"}, rows)
		}))
		for i, s := range steps {
			var n int64
			require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM things WHERE at < ?", base.Add(s).In(time.FixedZone("y", -7200))).Scan(&n).Error)
			require.EqualValues(t, i, n)
		}
	})
}

func TestTransactRollsBackOnErrorAndPanic(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		createThings(t, d)
		insert := func(tx *db.Tx) error { return tx.Exec("INSERT INTO things (id, name) VALUES (1, 'a')").Error }
		boom := errors.New("boom")
		require.ErrorIs(t, d.Transact(t.Context(), func(tx *db.Tx) error { return errors.Join(insert(tx), boom) }), boom)
		require.Panics(t, func() {
			_ = d.Transact(t.Context(), func(tx *db.Tx) error { _ = insert(tx); panic("boom") })
		})
		ctx, cancel := context.WithCancel(t.Context())
		require.Error(t, d.Transact(ctx, func(tx *db.Tx) error { err := insert(tx); cancel(); return err }))
		require.Empty(t, things(t, d))
		require.NoError(t, d.Transact(t.Context(), insert), "the connection is whole again")
		require.Len(t, things(t, d), 1)
	})
}

func TestDuplicateOfNamesTheConstraint(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		createThings(t, d)
		insert := func(sql string) error {
			return d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql).Error })
		}
		require.NoError(t, insert("INSERT INTO things (id, name) VALUES (1, 'a')"))
		require.Equal(t, "things_name", db.DuplicateOf(insert("INSERT INTO things (id, name) VALUES (2, 'a')")))
		require.Empty(t, db.DuplicateOf(insert("INSERT INTO nothing (id) VALUES (2)")))
		require.Empty(t, db.DuplicateOf(nil))
	})
}

func TestMigrateIsRepeatableAndListed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		require.NoError(t, d.Migrate(t.Context()))
		steps, err := d.Migrations(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(steps), 2)
		for _, s := range steps {
			require.False(t, s.Applied.IsZero(), s.Name)
		}
	})
}

func TestAFullDiskIsToldAndForgottenWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	createThings(t, d)
	most := func(pages int64) {
		_, err := d.SQL().ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		require.NoError(t, err)
	}
	most(1) // SQLite takes the present size
	fill := func() error {
		return d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Exec("INSERT INTO things (id, data) VALUES (1, ?)", make([]byte, 1<<20)).Error
		})
	}
	err := fill()
	require.True(t, db.IsFull(err), err)
	require.False(t, db.IsAway(err))
	require.Empty(t, things(t, d), "nothing was changed")
	require.True(t, db.IsFull(d.Check(t.Context())))
	most(1 << 20)
	require.NoError(t, d.Check(t.Context()))
	require.NoError(t, fill())
}

func TestADatabaseThatIsAwayIsToldAsSuch(t *testing.T) {
	t.Parallel()
	c, err := dbtest.StartCluster(true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	d, err := db.Open(t.Context(), db.Options{URL: c.URL})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	createThings(t, d)
	work := func(n int) error {
		return d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("INSERT INTO things (id) VALUES (?)", n).Error })
	}
	require.NoError(t, work(1))
	for n := 2; n < 5; n++ {
		require.NoError(t, c.Crash())
		for range 3 {
			err := work(n)
			require.True(t, db.IsAway(err), "%T: %v", err, err)
			require.True(t, db.IsAway(d.Read(t.Context()).Exec("SELECT 1").Error))
			require.Error(t, d.Check(t.Context()))
		}
		require.NoError(t, c.Start())
		require.Eventually(t, func() bool { return d.Check(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, work(n))
	}
	require.False(t, db.IsAway(errors.New("something else")))
	require.False(t, db.IsAway(nil))
	require.False(t, db.IsFull(nil))
}

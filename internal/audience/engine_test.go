package audience_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// Texts that read as numbers are numbers, on both engines, and nothing else is.
func TestWhichTextsReadAsNumbers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var crowd []person
		want := []uuid.UUID{}
		for _, v := range []any{
			"0", "-0", "5", "-5", "007", "5.0", "-5.25", "0.1", "12345678901234567890123456789012",
			"", " ", "-", "--5", "+5", ".5", "5.", "-.5", "5-", "1-2", "1.2.3", "1..2", "1.-2", "5 ", " 5", "5\n", "\n5", "1e3", "0x10", "five", "٥", "½",
			"NaN", "Infinity", "123456789012345678901234567890123", "1,5", "1_000",
			0.0, -7.5, 1e15, 1e299, -1e-310, true, nil, []any{5.0}, map[string]any{"n": 5.0},
		} {
			p := person{id: uuid.Must(uuid.NewV7()), created: start, attributes: map[string]any{"n": v}}
			if _, ok := asNumber(v); ok {
				want = append(want, p.id)
			}
			crowd = append(crowd, p)
		}
		store(t, d, crowd)
		require.Equal(t, want, pick(t, d, `{"any": [{"field": "attributes.n", "op": "gte", "value": 0}, {"field": "attributes.n", "op": "lt", "value": 0}]}`))
	})
}

// Numbers that only one of the two engines could hold disturb neither.
func TestExtremeNumbersRaiseNoError(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p := person{id: uuid.Must(uuid.NewV7()), created: start}
		for raw, want := range map[string]bool{"1e400": false, "-1e400": false, "1e-400": true, "-1e-400": true, "9007199254740993": true} {
			store(t, d, []person{p})
			exec(t, d, "UPDATE contacts SET attributes = ?", `{"n": `+raw+`}`)
			got := pick(t, d, `{"field": "attributes.n", "op": "gt", "value": -1}`)
			require.Equal(t, want, len(got) == 1, raw)
		}
		require.Len(t, pick(t, d, `{"field": "attributes.n", "op": "exists"}`), 1)
	})
}

// A database may be set up for any language: the rules mean the same in it.
func TestLanguageOfTheDatabaseDoesNotMatter(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	var turkish bool
	require.NoError(t, d.Read(t.Context()).Raw("SELECT EXISTS (SELECT 1 FROM pg_collation WHERE collname = 'tr-x-icu')").Scan(&turkish).Error)
	if !turkish {
		t.Skip("this PostgreSQL is built without ICU")
	}
	exec(t, d, `ALTER TABLE contacts ALTER COLUMN first_name TYPE text COLLATE "tr-x-icu"`)
	store(t, d, []person{{id: uuid.Must(uuid.NewV7()), created: start, texts: map[string]string{"first_name": "IVY"}}})
	require.Len(t, pick(t, d, `{"field": "first_name", "op": "contains", "value": "iv"}`), 1)
	var bytewise bool
	require.NoError(t, d.Read(t.Context()).Raw("SELECT ? > 'B'", db.Bytewise(`CAST(? AS text) COLLATE "tr-x-icu"`, "a")).Scan(&bytewise).Error)
	require.True(t, bytewise)
}

func TestTextsAreOrderedByTheirBytes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, pair := range [][2]string{{"B", "a"}, {"2026-01-31", "2026-02-01"}, {"z", "ä"}, {"a", "a "}} {
			first, err := json.Marshal(pair[0])
			require.NoError(t, err)
			store(t, d, []person{{id: uuid.Must(uuid.NewV7()), created: start, attributes: map[string]any{"n": pair[1]}}})
			require.Len(t, pick(t, d, `{"field": "attributes.n", "op": "gt", "value": `+string(first)+`}`), 1)
		}
	})
}

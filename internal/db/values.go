package db

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"
)

// Column is one column of a relation made of Go values.
type Column struct {
	name, typ string
	array     any
	cell      func(i int) any // as JSON, for SQLite
	size      int
}

// Int64s is a column of 64-bit numbers.
func Int64s(name string, v []int64) Column {
	return Column{name, "bigint", v, func(i int) any { return v[i] }, len(v)}
}

// Texts is a column of texts.
func Texts(name string, v []string) Column {
	return Column{name, "text", v, func(i int) any { return v[i] }, len(v)}
}

// JSONs is a column of JSON texts.
func JSONs(name string, v []string) Column {
	return Column{name, "jsonb", v, func(i int) any { return v[i] }, len(v)}
}

// UUIDs is a column of ids; uuid.Nil becomes NULL.
func UUIDs(name string, v []uuid.UUID) Column {
	p := make([]*string, len(v))
	for i, id := range v {
		if id != uuid.Nil {
			s := id.String()
			p[i] = &s
		}
	}
	return Column{name, "uuid", p, func(i int) any { return p[i] }, len(v)}
}

// Times is a column of moments; the zero time becomes NULL.
func Times(name string, v []time.Time) Column {
	p := make([]*time.Time, len(v))
	for i := range v {
		if !v[i].IsZero() {
			t := v[i].UTC()
			p[i] = &t
		}
	}
	return Column{name, "timestamptz", p, func(i int) any {
		if p[i] == nil {
			return nil
		}
		return p[i].Format(sqliteTime)
	}, len(v)}
}

// Blobs is a column of bytes; nil becomes NULL.
func Blobs(name string, v [][]byte) Column {
	return Column{name, "bytea", v, func(i int) any {
		if v[i] == nil {
			return nil
		}
		return hex.EncodeToString(v[i])
	}, len(v)}
}

// sqliteTime is how the embedded engine's driver writes a time.
const sqliteTime = "2006-01-02 15:04:05.999999999-07:00"

// array is a Go slice bound as one parameter, which GORM would otherwise
// spread into a list.
type array struct{ v any }

func (a array) Value() (driver.Value, error) { return a.v, nil }

// Values is a relation of Go values for use after FROM or JOIN, bound as a
// fixed number of parameters so that the statement's text never depends on how
// many rows there are:
//
//	tx.Exec("UPDATE t SET a = v.a FROM ? WHERE t.id = v.id", tx.Values("v", db.Int64s("id", ids), db.Texts("a", as)))
func (d *DB) Values(alias string, cols ...Column) clause.Expr {
	return values(d.pool != nil, alias, cols)
}

// Values is DB.Values inside a transaction.
func (t *Tx) Values(alias string, cols ...Column) clause.Expr {
	return values(t.pgx != nil, alias, cols)
}

func values(postgres bool, alias string, cols []Column) clause.Expr {
	if postgres {
		return unnest(alias, cols)
	}
	return jsonEach(alias, cols)
}

func unnest(alias string, cols []Column) clause.Expr {
	var holes, names []string
	var args []any
	for _, c := range cols {
		holes = append(holes, "CAST(? AS "+c.typ+"[])")
		names = append(names, c.name)
		args = append(args, array{c.array})
	}
	return clause.Expr{SQL: "UNNEST(" + strings.Join(holes, ", ") + ") AS " + alias + "(" + strings.Join(names, ", ") + ")", Vars: args}
}

func jsonEach(alias string, cols []Column) clause.Expr {
	rows := make([][]any, cols[0].size)
	for i := range rows {
		row := make([]any, len(cols))
		for j, c := range cols {
			row[j] = c.cell(i)
		}
		rows[i] = row
	}
	text, err := json.Marshal(rows)
	if err != nil {
		panic(fmt.Sprintf("db: values of %s: %v", alias, err)) // only plain values get here
	}
	var out []string
	for j, c := range cols {
		get := fmt.Sprintf("json_extract(e.value, '$[%d]')", j)
		if c.typ == "bytea" {
			get = "unhex(" + get + ")"
		}
		out = append(out, get+" AS "+c.name)
	}
	return clause.Expr{SQL: "(SELECT " + strings.Join(out, ", ") + " FROM json_each(?) AS e) AS " + alias, Vars: []any{string(text)}}
}

package db

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copyRows is how many rows one INSERT of SQLite carries.
const copyRows = 50

// Copy inserts rows in bulk: COPY on PostgreSQL, prepared many-row INSERTs on
// SQLite. Each row has a value for each column, in order. A broken constraint
// fails the whole call (see DuplicateOf).
func (t *Tx) Copy(table string, columns []string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	if t.count != nil {
		t.count("COPY " + table)
	}
	if t.pgx != nil {
		if _, err := t.pgx.CopyFrom(t.ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows)); err != nil {
			return fmt.Errorf("copy into %s: %w", table, err)
		}
		return nil
	}
	for len(rows) >= copyRows {
		n := len(rows) / copyRows * copyRows
		if err := t.insert(table, columns, rows[:n], copyRows); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return t.insert(table, columns, rows, 1)
}

func (t *Tx) insert(table string, columns []string, rows [][]any, per int) error {
	if len(rows) == 0 {
		return nil
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",") + ")"
	stmt, err := t.sql.PrepareContext(t.ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ",")+") VALUES "+
		strings.TrimSuffix(strings.Repeat(one+",", per), ","))
	if err != nil {
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	defer stmt.Close()
	args := make([]any, 0, per*len(columns))
	for i := 0; i < len(rows); i += per {
		args = args[:0]
		for _, row := range rows[i : i+per] {
			args = append(args, row...)
		}
		if _, err := stmt.ExecContext(t.ctx, args...); err != nil {
			return fmt.Errorf("insert into %s: %w", table, err)
		}
	}
	return nil
}

package db

import (
	"context"
	"fmt"
	"strings"
)

// ForUpdate returns the clause that locks the selected rows until the end of
// the transaction. SQLite has one writer, so there is nothing to lock.
func (t *Tx) ForUpdate() string {
	if t.pgx != nil {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked is ForUpdate that leaves out rows somebody else holds.
func (t *Tx) SkipLocked() string {
	if t.pgx != nil {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// TimeType names the type to cast a bound moment to where SQL cannot tell it
// from its surroundings.
func (t *Tx) TimeType() string {
	if t.pgx != nil {
		return "timestamptz"
	}
	return "text"
}

// Analyze tells the planner what tables look like after many rows were written
// at once: until then it guesses from nothing. SQLite keeps its plans by rule.
func (d *DB) Analyze(ctx context.Context, tables ...string) error {
	if d.pool == nil {
		return nil
	}
	if err := d.write.WithContext(ctx).Exec("ANALYZE " + strings.Join(tables, ", ")).Error; err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

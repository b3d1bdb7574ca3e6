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

// Turn waits until no other transaction has the turn of that name, and has it until
// this one ends. SQLite has one writer, so everybody has all turns. Who takes
// several takes them in the same order as all others.
func (t *Tx) Turn(name string) error {
	if t.pgx == nil {
		return nil
	}
	if err := t.Exec("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", name).Error; err != nil {
		return fmt.Errorf("wait for a turn: %w", err)
	}
	return nil
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
// at once: until then it guesses from nothing. Tables that have changed little
// since are passed over, and so are such leaves. SQLite keeps its plans by rule.
func (d *DB) Analyze(ctx context.Context, tables ...string) error {
	return d.analyze(ctx, "n_mod_since_analyze > 1000 + n_live_tup / 5", tables)
}

// AnalyzeNew is Analyze for those that nobody has looked at yet, such as a leaf
// made a moment ago: cheap enough to be asked again and again.
func (d *DB) AnalyzeNew(ctx context.Context, tables ...string) error {
	return d.analyze(ctx, "n_mod_since_analyze > 1000 AND last_analyze IS NULL AND last_autoanalyze IS NULL", tables)
}

func (d *DB) analyze(ctx context.Context, which string, tables []string) error {
	if d.pool == nil {
		return nil
	}
	var changed []string
	err := d.read.WithContext(ctx).Raw(`SELECT relname FROM pg_stat_user_tables
		WHERE (relname IN ? OR relname IN (SELECT leaf FROM leaves WHERE parent IN ?)) AND `+which+`
			AND schemaname = ANY (current_schemas(FALSE))`, tables, tables).Scan(&changed).Error
	if err == nil && len(changed) > 0 {
		err = d.write.WithContext(ctx).Exec("ANALYZE " + strings.Join(changed, ", ")).Error
	}
	if err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

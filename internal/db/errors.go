package db

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	msqlite "modernc.org/sqlite"
)

// DuplicateOf names the unique constraint that err breaks as
// "<table>_<column>[_<column>]", or returns "" when err is something else.
func DuplicateOf(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "23505" {
		return strings.TrimSuffix(pe.ConstraintName, "_key")
	}
	var se *msqlite.Error
	if errors.As(err, &se) && (se.Code() == 1555 || se.Code() == 2067) {
		_, cols, _ := strings.Cut(se.Error(), "UNIQUE constraint failed: ")
		cols, _, _ = strings.Cut(cols, " (")
		return constraintName(cols)
	}
	return ""
}

// constraintName turns SQLite's "t.a, t.b" into PostgreSQL's "t_a_b".
func constraintName(cols string) string {
	name := ""
	for i, c := range strings.Split(cols, ", ") {
		table, col, _ := strings.Cut(c, ".")
		if i == 0 {
			name = table
		}
		name += "_" + col
	}
	return name
}

// IsNone reports whether err says that no row was found.
func IsNone(err error) bool { return errors.Is(err, gorm.ErrRecordNotFound) }

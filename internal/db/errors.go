package db

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
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
		name := regexp.MustCompile(`_p[0-9]+_`).ReplaceAllString(pe.ConstraintName, "_") // a leaf's stands for its table's
		return strings.TrimSuffix(name, "_key")
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

// IsFull reports whether err says that the database's disk has no room left.
// Nothing was changed.
func IsFull(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "53100"
	}
	return sqliteCode(err) == sqliteFull
}

// IsAway reports whether err says that the database cannot be reached or used
// just now: it is down, or its disk fails. What was to be changed may or may not
// have been.
func IsAway(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "57P01", "57P02", "57P03", "53300": // going down, crashed, coming up, too many connections
			return true
		}
		return strings.HasPrefix(pe.Code, "08")
	}
	var refused *pgconn.ConnectError
	var broken *net.OpError
	code := sqliteCode(err)
	return errors.As(err, &refused) || errors.As(err, &broken) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) ||
		pgconn.SafeToRetry(err) || code == sqliteIOErr || code == sqliteCantOpen
}

// Primary codes of SQLite.
const (
	sqliteIOErr    = 10
	sqliteFull     = 13
	sqliteCantOpen = 14
)

// sqliteCode is SQLite's primary code of err, or 0.
func sqliteCode(err error) int {
	var se *msqlite.Error
	if errors.As(err, &se) {
		return se.Code() & 0xff
	}
	return 0
}

// IsNone reports whether err says that no row was found.
func IsNone(err error) bool { return errors.Is(err, gorm.ErrRecordNotFound) }

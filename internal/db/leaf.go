package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// Leaf is a part of a table that PostgreSQL keeps in parts, so that old rows can
// be dropped together. It holds the keys from Low up to, and without, High.
type Leaf struct{ Parent, Leaf, Low, High string }

// Leaves lists the parts of tables. SQLite keeps every table whole: there are
// none.
func (d *DB) Leaves(ctx context.Context, parents ...string) ([]Leaf, error) {
	if d.pool == nil {
		return nil, nil
	}
	var out []Leaf
	if err := d.Read(ctx).Raw("SELECT * FROM leaves WHERE parent IN ? ORDER BY parent, leaf", parents).Scan(&out).Error; err != nil {
		return nil, fmt.Errorf("list the leaves of %v: %w", parents, err)
	}
	return out, nil
}

// GrowLedger makes sure that the delivery numbers from first on, up to and
// without past, have a leaf, of the given width when one is to be made.
func (t *Tx) GrowLedger(first, past, width int64) error {
	if t.pgx == nil {
		return nil
	}
	if err := t.Exec("SELECT grow_ledger(?, ?, ?)", first, past, width).Error; err != nil {
		return fmt.Errorf("make room in the ledger: %w", err)
	}
	return nil
}

// GrowCallbacks makes sure that a day and so many after it have leaves for
// their callbacks.
func (d *DB) GrowCallbacks(ctx context.Context, day time.Time, more int) error {
	if d.pool == nil {
		return nil
	}
	err := d.Transact(ctx, func(tx *Tx) error {
		return tx.Exec("SELECT grow_callbacks(CAST(? AS date) + n) FROM generate_series(0, CAST(? AS integer)) AS n", day.UTC().Format(time.DateOnly), more).Error
	})
	if err != nil {
		return fmt.Errorf("make room for callbacks: %w", err)
	}
	return nil
}

// NoLeaf reports whether err says that a row belongs in a leaf that does not
// exist.
func NoLeaf(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "23514" && pe.ConstraintName == ""
}

// dropPatience is how long a drop waits for those who use the tables, while
// those who come later wait behind it.
const dropPatience = "400ms"

// DropLeaves drops leaves, all or none. False, and no error, says that the
// tables were too busy: try again later.
func (d *DB) DropLeaves(ctx context.Context, leaves ...Leaf) (dropped bool, err error) {
	var parents, names []string
	for _, l := range leaves {
		parents, names = append(parents, "ONLY "+l.Parent), append(names, l.Leaf)
	}
	err = d.Transact(ctx, func(tx *Tx) error {
		for _, statement := range []string{"SET LOCAL lock_timeout = '" + dropPatience + "'",
			"LOCK TABLE " + strings.Join(parents, ", ") + " IN ACCESS EXCLUSIVE MODE", "DROP TABLE " + strings.Join(names, ", ")} {
			if err := tx.Exec(statement).Error; err != nil {
				return err
			}
		}
		return nil
	})
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "55P03" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("drop %v: %w", names, err)
	}
	return true, nil
}

// IDAt returns a new id of version 7 that holds the given moment, to the
// microsecond: ids stand in the order of their moments.
func IDAt(at time.Time) uuid.UUID {
	id := uuid.New()
	ms := uint64(at.UnixMilli())
	binary.BigEndian.PutUint64(id[:8], ms<<16|0x7000|uint64(at.UnixMicro()%1000)<<2|uint64(id[7]&3))
	return id
}

// IDFrom returns the id below all that IDAt makes of the given moment or later,
// and above all others, to the millisecond.
func IDFrom(at time.Time) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	return id
}

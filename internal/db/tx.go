package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
	msqlite "modernc.org/sqlite"
)

// Tx is a running transaction: GORM for rows, and below it the handle that the
// job queue shares, so that rows and jobs commit together.
type Tx struct {
	*gorm.DB
	ctx   context.Context
	pgx   pgx.Tx  // PostgreSQL
	sql   *sql.Tx // SQLite
	count func(string)
}

// PGX returns PostgreSQL's transaction, or nil on SQLite. For the queue only.
func (t *Tx) PGX() pgx.Tx { return t.pgx }

// SQL returns SQLite's transaction, or nil on PostgreSQL. For the queue only.
func (t *Tx) SQL() *sql.Tx { return t.sql }

const transactTries = 5

// Transact runs fn in one transaction that writes. It commits when fn returns
// nil and rolls back otherwise. On a deadlock or a serialization failure fn is
// run again from the start, so it must not keep state from a failed run.
func (d *DB) Transact(ctx context.Context, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := d.transactOnce(ctx, fn)
		if IsFull(err) {
			d.full.Store(true)
		}
		if err == nil || try == transactTries || !again(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try*try) * 5 * time.Millisecond):
		}
	}
}

func (d *DB) transactOnce(ctx context.Context, fn func(*Tx) error) error {
	if d.pool == nil {
		return d.transactSQLite(ctx, fn)
	}
	return d.transactPostgres(ctx, fn)
}

func (d *DB) transactSQLite(ctx context.Context, fn func(*Tx) error) error {
	tx, err := d.writeSQL.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return finish(tx.Commit, tx.Rollback, func() error {
		return fn(&Tx{DB: over(ctx, d.write, tx), ctx: ctx, sql: tx, count: d.count})
	})
}

// GORM works through database/sql and River through pgx. Both are given the
// same connection, on which pgx holds the transaction.
func (d *DB) transactPostgres(ctx context.Context, fn func(*Tx) error) error {
	conn, err := d.writeSQL.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer conn.Close()
	var tx pgx.Tx
	err = conn.Raw(func(raw any) (err error) {
		tx, err = raw.(*stdlib.Conn).Conn().Begin(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	rollback := func() error { return tx.Rollback(context.WithoutCancel(ctx)) }
	commit := func() error { return tx.Commit(ctx) }
	return finish(commit, rollback, func() error {
		return fn(&Tx{DB: over(ctx, d.write, conn), ctx: ctx, pgx: tx, count: d.count})
	})
}

func finish(commit, rollback, work func() error) error {
	done := false
	defer func() {
		if !done { // work panicked
			_ = rollback()
		}
	}()
	err := work()
	done = true
	if err != nil {
		if rerr := rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && !errors.Is(rerr, pgx.ErrTxClosed) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
		return err
	}
	if err := commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func over(ctx context.Context, g *gorm.DB, pool gorm.ConnPool) *gorm.DB {
	s := g.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true, DisableNestedTransaction: true})
	s.Statement.ConnPool = pool
	return s
}

func again(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code == "40001" || pe.Code == "40P01"
	}
	var se *msqlite.Error
	return errors.As(err, &se) && se.Code()&0xff == 5 // SQLITE_BUSY
}

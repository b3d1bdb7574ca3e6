// Package db opens PostgreSQL or SQLite and is the only package that knows
// which of the two it is.
package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // the embedded engine, pure Go
)

// Options say which database to open.
type Options struct {
	// URL is a postgres:// URL. Empty opens SQLite in Dir.
	URL string
	// Dir is the folder of the SQLite file; made when missing.
	Dir string
	// MaxConns bounds the PostgreSQL pool; 0 means 4 per processor, at least 16.
	MaxConns int
	// Pooled says that the URL leads to a pooler which gives each transaction
	// another server connection (PgBouncer in transaction mode): nothing is then
	// kept in a session, no named statements, no settings, no notifications.
	Pooled bool
	// Statements, when set, is called once for each SQL statement sent.
	Statements func(sql string)
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	write, read *gorm.DB
	pool        *pgxpool.Pool // PostgreSQL only
	pooled      bool
	writeSQL    *sql.DB
	readSQL     *sql.DB
	count       func(string)
	full        atomic.Bool // a transaction found no room on the disk, and Check none since
}

// Open connects and checks that the database answers. The caller closes it.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.URL == "" {
		return openSQLite(ctx, o)
	}
	return openPostgres(ctx, o)
}

func openPostgres(ctx context.Context, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, errors.New("the PostgreSQL URL cannot be read") // the URL holds a password: never quote it
	}
	cfg.MaxConns = int32(max(16, 4*runtime.GOMAXPROCS(0)))
	if o.MaxConns > 0 {
		cfg.MaxConns = int32(o.MaxConns)
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if o.Pooled {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		cfg.AfterConnect = preferIndexes
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach PostgreSQL: %w", err)
	}
	conn := stdlib.OpenDBFromPool(pool)
	g, err := gorm.Open(onPostgres{&postgres.Dialector{Config: &postgres.Config{Conn: conn}}, o.Statements != nil}, gormConfig(o))
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return &DB{write: g, read: g, pool: pool, pooled: o.Pooled, writeSQL: conn, readSQL: conn, count: o.Statements}, nil
}

// preferIndexes sets what a page read out of order costs on disks without
// moving parts: by PostgreSQL's own figure, of other times, it would read whole
// tables where a batch needs a few hundred rows.
func preferIndexes(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, "SET random_page_cost = 1.1")
	return err
}

// preferIndexesAlways is preferIndexes for behind a pooler, where a session is
// nobody's own: it becomes the default of our user in our database, which any
// user may set. Where it may not, PostgreSQL's own figure stays.
func (d *DB) preferIndexesAlways(ctx context.Context) error {
	err := d.write.WithContext(ctx).Exec(`DO $$ BEGIN
		IF CAST(current_setting('random_page_cost') AS real) > 1.1 THEN
			PERFORM pg_advisory_xact_lock(7246352);
			EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET random_page_cost = 1.1', current_database());
		END IF;
	EXCEPTION WHEN insufficient_privilege THEN NULL; END $$`).Error
	if err != nil {
		return fmt.Errorf("set the cost of reading by index: %w", err)
	}
	return nil
}

// SQLite allows one writer: a pool of one connection queues the writers in Go,
// where waiting is fair, and readers go beside it (WAL).
func openSQLite(ctx context.Context, o Options) (*DB, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	path := filepath.Join(o.Dir, "beckon.db")
	write, err := sqliteConn(ctx, path, "&_txlock=immediate&_pragma=synchronous(FULL)", 1)
	if err != nil {
		return nil, err
	}
	read, err := sqliteConn(ctx, path, "&_pragma=query_only(1)", max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	wg, err := gorm.Open(onSQLite{sqlite.Dialector{Conn: write}, o.Statements != nil}, gormConfig(o))
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	rg, err := gorm.Open(onSQLite{sqlite.Dialector{Conn: read}, o.Statements != nil}, gormConfig(o))
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	return &DB{write: wg, read: rg, writeSQL: write, readSQL: read, count: o.Statements}, nil
}

func sqliteConn(ctx context.Context, path, extra string, conns int) (*sql.DB, error) {
	dsn := "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)" +
		"&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)&_time_format=sqlite&_timezone=UTC&_texttotime=1" + extra
	conn, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	conn.SetMaxOpenConns(conns)
	conn.SetMaxIdleConns(conns)
	if err := conn.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite: %w", err), conn.Close())
	}
	return conn, nil
}

func gormConfig(o Options) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		Logger:                 statements{o.Statements},
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		DisableAutomaticPing:   true,
	}
}

// Engine names the engine for people: "postgres" or "sqlite".
func (d *DB) Engine() string {
	if d.pool != nil {
		return "postgres"
	}
	return "sqlite"
}

// Read returns a handle for queries outside a transaction.
func (d *DB) Read(ctx context.Context) *gorm.DB { return d.read.WithContext(ctx) }

// Tells reports whether the database can tell a waiting program that a job has
// come: PostgreSQL can, but not through a pooler.
func (d *DB) Tells() bool { return d.pool != nil && !d.pooled }

// Postgres returns the pool, or nil on SQLite. For the queue only.
func (d *DB) Postgres() *pgxpool.Pool { return d.pool }

// SQL returns the connection that writes. For the queue and migrations only.
func (d *DB) SQL() *sql.DB { return d.writeSQL }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.readSQL.PingContext(ctx) }

// Check reports whether the database can work: it answers, and there is room
// again if there was none for a transaction. See IsAway and IsFull.
func (d *DB) Check(ctx context.Context) error {
	if err := d.Ping(ctx); err != nil || !d.full.Load() {
		return err
	}
	if err := d.Transact(ctx, takeRoom); err != nil {
		return err
	}
	d.full.Store(false)
	return nil
}

// takeRoom writes something large and takes it away again: on a full disk small
// writes may still find a place.
func takeRoom(tx *Tx) error {
	table := "room_" + strings.ToLower(rand.Text())
	var much strings.Builder
	for much.Len() < 256<<10 {
		much.WriteString(rand.Text()) // that cannot be packed
	}
	if err := tx.Exec("CREATE TABLE " + table + " (data text)").Error; err != nil {
		return err
	}
	if err := tx.Exec("INSERT INTO "+table+" VALUES (?)", much.String()).Error; err != nil {
		return err
	}
	return tx.Exec("DROP TABLE " + table).Error
}

// Close ends all connections.
func (d *DB) Close() error {
	err := d.writeSQL.Close()
	if d.readSQL != d.writeSQL {
		err = errors.Join(err, d.readSQL.Close())
	}
	if d.pool != nil {
		d.pool.Close()
	}
	return err
}

// statements passes each statement to a counter and keeps GORM silent: errors
// are returned, and the values in a statement must not reach a log.
type statements struct{ count func(string) }

func (s statements) LogMode(logger.LogLevel) logger.Interface    { return s }
func (statements) Info(context.Context, string, ...interface{})  {}
func (statements) Warn(context.Context, string, ...interface{})  {}
func (statements) Error(context.Context, string, ...interface{}) {}
func (s statements) Trace(_ context.Context, _ time.Time, fc func() (string, int64), _ error) {
	if s.count != nil {
		text, _ := fc()
		s.count(text)
	}
}

// onPostgres and onSQLite write a statement out with its values only where
// somebody hears of it: GORM would have that done each time, for logs that nobody
// keeps.
type (
	onPostgres struct {
		*postgres.Dialector
		heard bool
	}
	onSQLite struct {
		sqlite.Dialector
		heard bool
	}
)

func (d onPostgres) Explain(sql string, vars ...interface{}) string {
	if d.heard {
		return d.Dialector.Explain(sql, vars...)
	}
	return sql
}

func (d onSQLite) Explain(sql string, vars ...interface{}) string {
	if d.heard {
		return d.Dialector.Explain(sql, vars...)
	}
	return sql
}

// Describe returns the database for a log line, without credentials.
func (d *DB) Describe() slog.Attr {
	if d.pool == nil {
		return slog.String("database", "sqlite")
	}
	c := d.pool.Config().ConnConfig
	return slog.String("database", "postgres "+strings.TrimSpace(c.Host+"/"+c.Database))
}

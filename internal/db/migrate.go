package db

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"beckon"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero when still to do
}

// Migrate brings the schema to this program's version. Any number of nodes may
// call it at once; one of them does the work.
func (d *DB) Migrate(ctx context.Context) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	if d.pooled {
		if err := d.preferIndexesAlways(ctx); err != nil {
			return err
		}
	}
	if missing, err := p.HasPending(ctx); err == nil && !missing {
		return nil // without the lock, which a node killed at its start would hold for a while
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Migrations lists the steps of the schema in order.
func (d *DB) Migrations(ctx context.Context) ([]Migration, error) {
	p, err := d.provider()
	if err != nil {
		return nil, err
	}
	steps, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	out := make([]Migration, len(steps))
	for i, s := range steps {
		out[i] = Migration{Version: s.Source.Version, Name: s.Source.Path, Applied: s.AppliedAt}
	}
	return out, nil
}

func (d *DB) provider() (*goose.Provider, error) {
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d.pool != nil {
		locker, err := migrationLock()
		if err != nil {
			return nil, fmt.Errorf("migrate: %w", err)
		}
		dialect, opts = goose.DialectPostgres, append(opts, goose.WithLocker(locker))
	}
	files, err := fs.Sub(beckon.Migrations, "migrations/"+d.Engine())
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(dialect, d.writeSQL, files, opts...)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return p, nil
}

// migrationLock keeps nodes that start at once apart. It is a row with a lease,
// not a lock of a session, so that it holds through a pooler too.
func migrationLock() (lock.Locker, error) {
	return lock.NewPostgresTableLocker(lock.WithTableLeaseDuration(15*time.Second), lock.WithTableHeartbeatInterval(3*time.Second),
		lock.WithTableLockTimeout(250*time.Millisecond, 1200), lock.WithTableUnlockTimeout(250*time.Millisecond, 120))
}

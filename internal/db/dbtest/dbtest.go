// Package dbtest gives each test a migrated database of its own, on both
// engines.
package dbtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"beckon"
	"beckon/internal/db"
)

// Each runs the test once on each engine, in parallel, with a database of its
// own that is gone afterwards.
func Each(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// SQLite returns a migrated embedded database in a temporary folder.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("make the SQLite template: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "beckon.db"), template, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, db.Options{Dir: dir})
}

// Postgres returns a migrated database of its own on the server that
// BECKON_TEST_POSTGRES_URL names, or else on a throwaway cluster.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	return open(t, db.Options{URL: PostgresURL(t), MaxConns: 10})
}

// PostgresURL makes a migrated database as Postgres does and returns its URL.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server, err := Server()
	if err != nil {
		t.Fatalf("PostgreSQL is needed for this test: %v", err)
	}
	template, err := postgresTemplate(t.Context(), server)
	if err != nil {
		t.Fatalf("make the PostgreSQL template: %v", err)
	}
	return newDatabase(t, server, template)
}

// EmptyPostgresURL makes a database without a schema and returns its URL.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	server, err := Server()
	if err != nil {
		t.Fatalf("PostgreSQL is needed for this test: %v", err)
	}
	return newDatabase(t, server, "template1")
}

func newDatabase(t testing.TB, server, template string) string {
	t.Helper()
	name := "beckon_test_" + randomName()
	if err := execOn(t.Context(), server, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execOn(context.Background(), server, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Error(err)
		}
	})
	return withDatabase(server, name)
}

func open(t testing.TB, o db.Options) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "beckon-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d, err := db.Open(context.Background(), db.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	err = d.Migrate(context.Background())
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "beckon.db"))
})

// postgresTemplate makes a migrated template database once for each state of
// the migrations; an advisory lock keeps parallel test programs apart.
func postgresTemplate(ctx context.Context, server string) (string, error) {
	name := "beckon_template_" + schemaHash()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(7246351)"); err != nil {
		return "", err
	}
	defer conn.Exec(ctx, "SELECT pg_advisory_unlock(7246351)") //nolint:errcheck // released with the connection anyway
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return name, err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+"_new"); err != nil {
		return "", err
	}
	d, err := db.Open(ctx, db.Options{URL: withDatabase(server, name+"_new"), MaxConns: 2})
	if err != nil {
		return "", err
	}
	err = d.Migrate(ctx)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s_new RENAME TO %s", name, name))
	return name, err
}

func schemaHash() string {
	h := sha256.New()
	_ = fs.WalkDir(beckon.Migrations, "migrations/postgres", func(path string, _ fs.DirEntry, _ error) error {
		b, _ := fs.ReadFile(beckon.Migrations, path)
		h.Write(b)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func execOn(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	u.Path = "/" + name
	return u.String()
}

func randomName() string { return strings.ToLower(rand.Text())[:12] }

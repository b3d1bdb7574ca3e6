package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Database is an empty one for beckon.
type Database struct {
	Setting string // that names it
	Dir     string // SQLite's folder
	URL     string // PostgreSQL's address
	drop    func() error
}

// Drop leaves nothing of it behind.
func (d *Database) Drop() error { return d.drop() }

// SQLite makes a database in a folder of its own.
func SQLite() (*Database, error) {
	dir, err := os.MkdirTemp("", "beckon-rig-")
	if err != nil {
		return nil, err
	}
	return &Database{Setting: "BECKON_DATA_DIR=" + dir, Dir: dir, drop: func() error { return os.RemoveAll(dir) }}, nil
}

// SQLiteIn makes a database in a folder that the caller removes.
func SQLiteIn(dir string) *Database {
	return &Database{Setting: "BECKON_DATA_DIR=" + dir, Dir: dir, drop: func() error { return nil }}
}

// Postgres makes a database on a server.
func Postgres(ctx context.Context, server string) (*Database, error) {
	name := "beckon_rig_" + strings.ToLower(rand.Text()[:10])
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("the PostgreSQL URL cannot be read") // it holds a password: never quote it
	}
	if err := statement(ctx, server, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	u.Path = "/" + name
	drop := func() error {
		return statement(context.WithoutCancel(ctx), server, "DROP DATABASE "+name+" WITH (FORCE)")
	}
	return &Database{Setting: "BECKON_DATABASE_URL=" + u.String(), URL: u.String(), drop: drop}, nil
}

func statement(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

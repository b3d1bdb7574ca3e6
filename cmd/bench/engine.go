package main

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

// engine makes room for one measurement: settings for the program, and a way
// to leave nothing behind.
type engine struct {
	name   string
	judged bool // the targets are for this one
	open   func(ctx context.Context) (settings []string, leave func() error, err error)
}

func engines(o options) []engine {
	all := []engine{{name: "SQLite", open: openSQLite}}
	if o.server == "" {
		return all
	}
	return append(all, engine{name: "PostgreSQL", judged: true, open: func(ctx context.Context) ([]string, func() error, error) {
		return openPostgres(ctx, o.server)
	}})
}

func openSQLite(context.Context) ([]string, func() error, error) {
	dir, err := os.MkdirTemp("", "beckon-bench-")
	if err != nil {
		return nil, nil, err
	}
	return []string{"BECKON_DATA_DIR=" + dir}, func() error { return os.RemoveAll(dir) }, nil
}

func openPostgres(ctx context.Context, server string) ([]string, func() error, error) {
	name := "beckon_bench_" + strings.ToLower(rand.Text()[:10])
	u, err := url.Parse(server)
	if err != nil {
		return nil, nil, errors.New("the PostgreSQL URL cannot be read") // it holds a password: never quote it
	}
	if err := statement(ctx, server, "CREATE DATABASE "+name); err != nil {
		return nil, nil, err
	}
	u.Path = "/" + name
	leave := func() error {
		return statement(context.WithoutCancel(ctx), server, "DROP DATABASE "+name+" WITH (FORCE)")
	}
	return []string{"BECKON_DATABASE_URL=" + u.String()}, leave, nil
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

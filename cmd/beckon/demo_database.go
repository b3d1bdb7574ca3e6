package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ownRoom makes a database of the demo's own on a PostgreSQL server, or, where
// that is not allowed, a schema. leave removes it again.
func ownRoom(ctx context.Context, server string) (address, what string, leave func(context.Context) error, err error) {
	name := "beckon_demo_" + strings.ToLower(rand.Text()[:10])
	address, what, leave, err = tryRoom(ctx, server, "DATABASE", name)
	if notAllowed(err) {
		address, what, leave, err = tryRoom(ctx, server, "SCHEMA", name)
	}
	if notAllowed(err) {
		err = errors.New("the demo wants a database or a schema of its own on this server, and this user may make neither: " +
			"use another user, or leave BECKON_DATABASE_URL out to run it on SQLite")
	}
	return address, what, leave, err
}

func tryRoom(ctx context.Context, server, kind, name string) (string, string, func(context.Context) error, error) {
	address, err := roomIn(server, kind, name)
	if err != nil {
		return "", "", nil, err
	}
	if err := statement(ctx, server, "CREATE "+kind+" "+name); err != nil {
		return "", "", nil, err
	}
	end := map[string]string{"DATABASE": " WITH (FORCE)", "SCHEMA": " CASCADE"}[kind]
	leave := func(ctx context.Context) error { return statement(ctx, server, "DROP "+kind+" "+name+end) }
	return address, "PostgreSQL, " + strings.ToLower(kind) + " " + name, leave, nil
}

func roomIn(server, kind, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", errors.New("BECKON_DATABASE_URL cannot be read") // the URL holds a password: never quote it
	}
	if kind == "DATABASE" {
		u.Path = "/" + name
		return u.String(), nil
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func statement(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("make room for the demo: %w", err)
	}
	return nil
}

// notAllowed is PostgreSQL's insufficient_privilege.
func notAllowed(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

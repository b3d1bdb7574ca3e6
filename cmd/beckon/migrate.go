package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"beckon/internal/db"
)

func migrateCommand(environ func() []string) *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring the database schema up to date, or show it", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		&cobra.Command{Use: "up", Short: "Apply what is missing", Args: exactly(), RunE: func(cmd *cobra.Command, _ []string) error {
			return withDatabase(cmd.Context(), environ, func(d *db.DB) error {
				if err := d.Migrate(cmd.Context()); err != nil {
					return err
				}
				return showMigrations(cmd, d)
			})
		}},
		&cobra.Command{Use: "status", Short: "Show what is applied", Args: exactly(), RunE: func(cmd *cobra.Command, _ []string) error {
			return withDatabase(cmd.Context(), environ, func(d *db.DB) error { return showMigrations(cmd, d) })
		}},
	)
	return cmd
}

func withDatabase(ctx context.Context, environ func() []string, work func(*db.DB) error) (err error) {
	c, err := readConfig(environ)
	if err != nil {
		return err
	}
	d, err := db.Open(ctx, c.database())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return work(d)
}

func showMigrations(cmd *cobra.Command, d *db.DB) error {
	steps, err := d.Migrations(cmd.Context())
	if err != nil {
		return err
	}
	for _, s := range steps {
		state := "missing"
		if !s.Applied.IsZero() {
			state = "applied " + s.Applied.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%-30s %s\n", s.Name, state)
	}
	return nil
}

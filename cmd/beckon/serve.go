package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"beckon/internal/api"
)

func serveCommand(environ func() []string) *cobra.Command {
	var noMigrate bool
	var addr, role string
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the API and work campaigns", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			env := environ()
			if addr != "" {
				env = append(env, "BECKON_ADDR="+addr)
			}
			if role != "" {
				env = append(env, "BECKON_ROLE="+role)
			}
			c, err := readConfig(func() []string { return env })
			if err != nil {
				return err
			}
			return serve(cmd, c, !noMigrate)
		},
	}
	cmd.Flags().BoolVar(&noMigrate, "no-migrate", false, "leave the database schema as it is")
	cmd.Flags().StringVar(&addr, "addr", "", "address to listen on, instead of BECKON_ADDR")
	cmd.Flags().StringVar(&role, "role", "", "api (serve HTTP only), worker (work jobs only) or all, instead of BECKON_ROLE")
	return cmd
}

func serve(cmd *cobra.Command, c Config, migrate bool) (err error) {
	ctx, log := cmd.Context(), newLogger(c, cmd.ErrOrStderr())
	a, err := newApp(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.prepare(ctx, migrate); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Addr, err)
	}
	log.InfoContext(ctx, "serving", "role", string(c.Role), "address", l.Addr().String(), "public_url", c.PublicURL, a.db.Describe(), "channels", a.channels.names())
	err = a.run(ctx, l)
	log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return err
}

// prepare brings the schema up to date, or only makes sure that it is, and
// makes the first API key.
func (a *app) prepare(ctx context.Context, migrate bool) error {
	if migrate {
		if err := a.db.Migrate(ctx); err != nil {
			return err
		}
		return a.bootstrap(ctx)
	}
	steps, err := a.db.Migrations(ctx)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.Applied.IsZero() {
			return fmt.Errorf("the database schema is not up to date (%s is missing); run: beckon migrate up", s.Name)
		}
	}
	return a.bootstrap(ctx)
}

// bootstrap makes the first API key, when one is given.
func (a *app) bootstrap(ctx context.Context) error {
	if a.config.BootstrapKey == "" {
		return nil
	}
	return a.keys.Ensure(ctx, "bootstrap", a.config.BootstrapKey, []api.Scope{api.Admin})
}

// names lists the channels that are set up.
func (c channels) names() []string {
	out := []string{}
	for kind := range c.senders {
		out = append(out, string(kind))
	}
	slices.Sort(out)
	return out
}

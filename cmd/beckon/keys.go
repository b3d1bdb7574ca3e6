package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"beckon/internal/api"
	"beckon/internal/db"
)

func keysCommand(environ func() []string) *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make API keys", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var name string
	var scopes []string
	create := &cobra.Command{Use: "create", Short: "Make an API key and show it, once", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, err := scopesOf(scopes)
			if err != nil {
				return err
			}
			if name == "" || len(chosen) == 0 {
				return usageError{errors.New("--name and --scope are needed")}
			}
			return withDatabase(cmd.Context(), environ, func(d *db.DB) error {
				if err := d.Migrate(cmd.Context()); err != nil {
					return err
				}
				_, secret, err := api.NewKeys(d, now).Create(cmd.Context(), name, chosen)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), secret)
				}
				return err
			})
		}}
	create.Flags().StringVar(&name, "name", "", "what the key is for")
	create.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do; may be given many times: "+scopeNames())
	cmd.AddCommand(create)
	return cmd
}

func scopesOf(names []string) ([]api.Scope, error) {
	var out []api.Scope
	for _, n := range names {
		if !slices.Contains(api.Scopes(), api.Scope(n)) {
			return nil, usageError{fmt.Errorf("there is no scope %q; there are: %s", n, scopeNames())}
		}
		out = append(out, api.Scope(n))
	}
	return out, nil
}

func scopeNames() string {
	var out []string
	for _, s := range api.Scopes() {
		out = append(out, string(s))
	}
	return strings.Join(out, " ")
}

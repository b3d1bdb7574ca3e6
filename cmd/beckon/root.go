package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func rootCommand(environ func() []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "beckon",
		Short:         "Bring people back to your Messenger bot",
		Long:          "Beckon keeps every lawful way to reach each contact and picks exactly one for every campaign.\nSettings come from the environment; docs/settings.md lists them.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; try: beckon help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(environ), demoCommand(environ), migrateCommand(environ), keysCommand(environ),
		importCommand(environ), suppressionsCommand(environ), bouncesCommand(environ), doctorCommand(environ), versionCommand(), sampleCommand(), simulatorCommand())
	return root
}

// exactly wants a number of arguments, by name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return usageError{fmt.Errorf("%s takes no arguments", cmd.CommandPath())}
		}
		return usageError{fmt.Errorf("%s wants %s", cmd.CommandPath(), strings.Join(names, " "))}
	}
}

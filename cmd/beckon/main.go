// Command beckon brings people back to a Messenger bot: a REST service that
// keeps every lawful way to reach a contact and picks one per campaign.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // a bare container has no time zones
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // batches leave much behind and little lives on: collecting half as often costs a few dozen MB
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes: 1 is a failure at work, 2 a mistake in the settings or the
// command line.
const (
	exitFailed = 1
	exitWrong  = 2
)

// run is the program: everything that it needs from outside comes in here.
func run(ctx context.Context, args []string, environ func() []string, out, errOut io.Writer) int {
	root := rootCommand(environ)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errOut, "beckon:", err)
	var wrong usageError
	var config configError
	var later tempFail
	if errors.As(err, &later) {
		return exitAgain
	}
	if errors.As(err, &wrong) || errors.As(err, &config) {
		return exitWrong
	}
	return exitFailed
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

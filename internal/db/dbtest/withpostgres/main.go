// Command withpostgres runs another command with BECKON_TEST_POSTGRES_URL set
// to a throwaway PostgreSQL cluster that ends with it:
//
//	go run ./internal/db/dbtest/withpostgres [-durable] go test ./...
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"beckon/internal/db/dbtest"
)

func main() {
	durable := flag.Bool("durable", false, "flush to disk on commit, as production does")
	flag.Parse()
	code, err := run(*durable, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
	}
	os.Exit(code)
}

func run(durable bool, args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New("no command given")
	}
	if os.Getenv(dbtest.EnvURL) == "" {
		c, err := dbtest.StartCluster(durable)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, c.Stop()) }()
		if err := os.Setenv(dbtest.EnvURL, c.URL); err != nil {
			return 1, err
		}
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // running a given command is what this is for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = outlast(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// outlast runs the command to its end. Who interrupts means the command, which
// may have to tidy up: the server goes after it.
func outlast(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case s := <-signals:
			if s == syscall.SIGTERM { // an interrupt reaches it by itself
				_ = cmd.Process.Signal(s) // it may have ended just now
			}
		}
	}
}

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
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

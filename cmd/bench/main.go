// Command bench measures a built beckon on both databases: how fast it imports,
// plans and sends, against stand-in providers in a process of their own, and
// what a bare HTTP client reaches against the same stand-ins.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"beckon/internal/db/dbtest"
	"beckon/internal/rig"
)

func main() {
	// A closed pipe too must end what was started here.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	beckon   string
	contacts int
	parallel int
	receipts bool
	verbose  bool
	server   string // PostgreSQL; "" leaves it out
	limit    time.Duration
	only     string
	postRate int
	postFor  time.Duration
	rows     int   // of old campaigns, when scale is measured; else 0
	sizes    []int // of the campaigns that are measured beside them
}

const (
	shortRun   = 5_000
	shortPosts = 3 * time.Second
	onlyPosts  = "posts"
)

func parse(args []string, getenv func(string) string, errOut io.Writer) (options, error) {
	o := options{server: getenv(dbtest.EnvURL)}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.beckon, "beckon", "./bin/beckon", "the program to measure")
	f.IntVar(&o.contacts, "contacts", 100_000, "how many people")
	f.IntVar(&o.parallel, "parallel", 4, "send jobs at once, as BECKON_PARALLEL")
	f.BoolVar(&o.receipts, "receipts", false, "let the stand-ins post receipts while sending is measured")
	f.BoolVar(&o.verbose, "verbose", false, "show what the program logs")
	f.DurationVar(&o.limit, "limit", 15*time.Minute, "give up after this")
	f.IntVar(&o.postRate, "posts", 2000, "webhooks a second that are posted; the embedded database is put to a quarter of that")
	f.DurationVar(&o.postFor, "for", 30*time.Second, "how long webhooks are posted")
	f.StringVar(&o.only, "only", "", "posts: measure nothing but webhooks")
	f.IntVar(&o.rows, "rows", 0, "measure instead what a message costs beside so many deliveries of old campaigns, on PostgreSQL")
	most := f.Int("most", 1_000_000, "with -rows: leave out campaigns to more people than this")
	short := f.Bool("short", false, fmt.Sprintf("only %d people, and %s of webhooks: for a look, not for figures", shortRun, shortPosts))
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for _, n := range scaleSizes() {
		if n <= *most {
			o.sizes = append(o.sizes, n)
		}
	}
	if *short {
		o.contacts, o.postFor = shortRun, shortPosts
	}
	if o.only != "" && o.only != onlyPosts || o.postRate < 1 || o.postFor <= 0 {
		return o, errors.New("-only takes posts and nothing else, -posts and -for must be above zero")
	}
	if o.contacts < rehearsalSize || o.contacts > 5_000_000 || f.NArg() > 0 {
		return o, fmt.Errorf("-contacts must be between %d and 5000000, and no other arguments are taken", rehearsalSize)
	}
	_, err := os.Stat(o.beckon)
	return o, err
}

// engine makes room for one measurement.
type engine struct {
	name   string
	judged bool // the targets are for this one
	open   func(ctx context.Context) (*rig.Database, error)
}

func engines(o options) []engine {
	all := []engine{{name: "SQLite", open: func(context.Context) (*rig.Database, error) { return rig.SQLite() }}}
	if o.server == "" {
		return all
	}
	return append(all, engine{name: "PostgreSQL", judged: true, open: func(ctx context.Context) (*rig.Database, error) { return rig.Postgres(ctx, o.server) }})
}

func run(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) error {
	o, err := parse(args, getenv, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errors.New("it takes longer than -limit allows"))
	defer cancel()
	if o.rows > 0 {
		return runScale(ctx, o, out, errOut)
	}
	fmt.Fprintf(out, "%d contacts, %d processors shared by beckon, the stand-ins, the database and this program, Go %s\n", o.contacts, runtime.NumCPU(), runtime.Version())
	t := &table{}
	b := &bench{options: o, log: out, errOut: errOut}
	for _, e := range engines(o) {
		fmt.Fprintf(out, "\n%s\n", e.name)
		figures, err := b.measure(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, errors.Join(err, context.Cause(ctx)))
		}
		t.add(e, figures)
	}
	t.print(out)
	return nil
}

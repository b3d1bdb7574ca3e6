// Command chaos is the proof that a campaign survives: it starts a built beckon
// on one node or several against stand-in providers in a process of their own,
// kills nodes, stops the database, fills the disk, presses pause, and counts at
// the end who got what. It fails on any broken promise.
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
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/db/dbtest"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // connections to nodes that are killed break
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

type options struct {
	beckon   string
	only     []string // scenarios by name, or name/engine
	contacts int
	kills    int
	seed     uint64
	short    bool
	verbose  bool
	server   string // PostgreSQL; "" leaves it out
	limit    time.Duration
}

// scenario is something that happens to a campaign, and what must hold then.
type scenario struct {
	name, engine string
	inShort      bool // part of the short run
	alone        bool // what it measures bears nothing else on the machine
	run          func(ctx context.Context, t *trial) error
}

func (s scenario) String() string { return s.name + "/" + s.engine }

const (
	onPostgres = "postgres"
	onSQLite   = "sqlite"
)

func scenarios() []scenario {
	return []scenario{
		{name: "kills", engine: onPostgres, inShort: true, run: kills},
		{name: "kills", engine: onSQLite, run: kills},
		{name: "database", engine: onPostgres, run: database},
		{name: "rolling", engine: onPostgres, run: rolling},
		{name: "disk", engine: onSQLite, run: disk},
		{name: "pause", engine: onPostgres, inShort: true, alone: true, run: pause},
		{name: "inbox", engine: onPostgres, inShort: true, run: inbox},
		{name: "inbox", engine: onSQLite, run: inbox},
		{name: "budget", engine: onPostgres, inShort: true, run: budget},
		{name: "budget", engine: onSQLite, run: budget},
		{name: "pace", engine: onPostgres, alone: true, run: pace},
		{name: "scale", engine: onPostgres, alone: true, run: scale},
	}
}

func parse(args []string, getenv func(string) string, errOut io.Writer) (options, error) {
	o := options{server: getenv(dbtest.EnvURL)}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.beckon, "beckon", "./bin/beckon", "the program to put to the proof")
	only := f.String("only", "", "scenarios, such as kills,disk or kills/sqlite; all by default")
	f.IntVar(&o.contacts, "contacts", 20_000, "how many people the campaigns that are disturbed have")
	f.IntVar(&o.kills, "kills", 30, "how often a node is killed")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what happens when, to see a run again as far as clocks allow")
	f.BoolVar(&o.short, "short", false, "kills, pause, inbox and budget alone, with 2000 people and 6 kills, side by side")
	f.BoolVar(&o.verbose, "verbose", false, "show what the nodes log")
	f.DurationVar(&o.limit, "limit", 12*time.Minute, "give up after this")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.short {
		o.contacts, o.kills = 2_000, 6
	}
	if o.contacts < 100 || o.contacts > 1_000_000 || o.kills < 1 || f.NArg() > 0 {
		return o, errors.New("-contacts must be between 100 and 1000000, -kills above zero, and no other arguments are taken")
	}
	_, err := os.Stat(o.beckon)
	return o, err
}

// chosen are the scenarios that the options ask for.
func (o options) chosen() ([]scenario, error) {
	var out []scenario
	known := map[string]bool{}
	for _, s := range scenarios() {
		known[s.name], known[s.String()] = true, true
		wanted := len(o.only) == 0 && (s.inShort || !o.short) || slices.Contains(o.only, s.name) || slices.Contains(o.only, s.String())
		if wanted && s.engine == onPostgres && o.server == "" {
			return nil, fmt.Errorf("%s needs a PostgreSQL server in %s", s, dbtest.EnvURL)
		}
		if wanted {
			out = append(out, s)
		}
	}
	for _, name := range o.only {
		if !known[name] {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
	}
	return out, nil
}

func run(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) error {
	o, err := parse(args, getenv, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	chosen, err := o.chosen()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errors.New("it takes longer than -limit allows"))
	defer cancel()
	fmt.Fprintf(out, "%d people, seed %d, %d processors shared by the nodes, the stand-ins, the database and this program, Go %s\n",
		o.contacts, o.seed, runtime.NumCPU(), runtime.Version())
	trials := o.try(ctx, chosen, out, errOut)
	return summary(out, trials)
}

// atOnce is how many scenarios run side by side, where they mostly wait.
const atOnce = 2

// try runs scenarios: first those that may go side by side, then the others one
// after the other. In a short run all go at once.
func (o options) try(ctx context.Context, chosen []scenario, out, errOut io.Writer) []*trial {
	together := errgroup.Group{}
	together.SetLimit(atOnce)
	var trials []*trial
	saying := &sync.Mutex{}
	for _, s := range chosen {
		t := newTrial(o, s, out, errOut)
		t.saying = saying
		trials = append(trials, t)
		if !s.alone || o.short {
			together.Go(func() error { t.play(ctx); return nil })
		}
	}
	_ = together.Wait() // each trial keeps its own error
	for _, t := range trials {
		if t.alone && !o.short {
			t.play(ctx)
		}
	}
	return trials
}

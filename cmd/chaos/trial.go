package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// trial is one scenario being played, and what came of it.
type trial struct {
	options
	scenario
	dice   *rand.Rand
	saying *sync.Mutex // one trial prints at a time
	out    io.Writer
	errOut io.Writer
	said   strings.Builder
	broken []string
	failed error // it could not be played to its end
	took   time.Duration
}

func newTrial(o options, s scenario, out, errOut io.Writer) *trial {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s.String()) // cannot fail
	return &trial{options: o, scenario: s, dice: rand.New(rand.NewPCG(o.seed, h.Sum64())), saying: &sync.Mutex{}, out: out, errOut: errOut}
}

// play runs the scenario and prints what it noted, all at once.
func (t *trial) play(ctx context.Context) {
	began := time.Now()
	t.failed = t.run(ctx, t)
	if cause := context.Cause(ctx); t.failed != nil && cause != nil {
		t.failed = errors.Join(t.failed, cause)
	}
	t.took = time.Since(began)
	t.saying.Lock()
	defer t.saying.Unlock()
	fmt.Fprintf(t.out, "\n%s\n%s", t.scenario, &t.said)
	for _, b := range t.broken {
		fmt.Fprintf(t.out, "%s%s\n", brokenMark, b)
	}
	if t.failed != nil {
		fmt.Fprintf(t.out, "%s%v\n", failedMark, t.failed)
	}
}

const (
	brokenMark = "  BROKEN: "
	failedMark = "  FAILED: "
)

// note writes down a figure.
func (t *trial) note(name, format string, args ...any) {
	fmt.Fprintf(&t.said, "  %-58s %s\n", name, fmt.Sprintf(format, args...))
}

// must notes a figure that a promise is about.
func (t *trial) must(holds bool, name, format string, args ...any) {
	t.note(name, format, args...)
	if !holds {
		t.broken = append(t.broken, name+": "+fmt.Sprintf(format, args...))
	}
}

func (t *trial) verdict() string {
	switch {
	case t.failed != nil:
		return "FAILED"
	case len(t.broken) > 0:
		return "BROKEN"
	}
	return "held"
}

// between is a random time.
func (t *trial) between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.dice.Int64N(int64(most-least)))
}

// sleep waits; its error says that ctx ended first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// summary prints a line for each trial; its error says that not all held.
func summary(w io.Writer, trials []*trial) error {
	fmt.Fprintf(w, "\n%-20s%10s   %s\n%s\n", "", "took", "promises", strings.Repeat("-", 44))
	bad := 0
	for _, t := range trials {
		fmt.Fprintf(w, "%-20s%10s   %s\n", t.scenario, seconds(t.took), t.verdict())
		if t.verdict() != "held" {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d scenarios did not hold", bad, len(trials))
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/selftest"
)

// trial is a self-test that a person wants to make, with a tester at hand.
type trial struct {
	psid string
	page string        // its id; "" when there is only one
	wait time.Duration // for the tap
	say  io.Writer     // where the tester is told what to do
}

func (t trial) wanted() bool { return t.psid != "" }

func (t trial) check() error {
	switch {
	case !t.wanted() && t.page != "":
		return usageError{errors.New("--page goes with --self-test")}
	case t.page != "":
		if _, err := uuid.Parse(t.page); err != nil {
			return usageError{errors.New("--page must be a page's id")}
		}
	}
	return nil
}

const selfTestArea = "self-test"

// selfTest asks the tester, waits for the tap, and tells what came of it. The
// program that runs beside us hears the tap and sends the message.
func (d *doctor) selfTest(ctx context.Context, a *app, t trial) {
	if !t.wanted() {
		return
	}
	id, err := t.pageID(ctx, a)
	if err != nil {
		d.add(todo, selfTestArea, err.Error(), "Name the page with --page and its id, see GET /v1/pages.")
		return
	}
	test, err := a.selfTests.Start(ctx, id, selftest.Tester{PSID: t.psid})
	if err != nil {
		d.add(todo, selfTestArea, "The tester could not be asked: "+worded(err), "Have the tester write to the page from their phone, then try again.")
		return
	}
	if open(test) {
		fmt.Fprintf(t.say, "Asked. In Messenger, tap Notify Me under %q. Waiting for it, up to %s ...\n", "Beckon self-test: one message", t.wait)
		test = t.await(ctx, a, id, test)
	}
	d.outcome(test)
}

// worded is what an error says that is fit to show.
func worded(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Detail
	}
	return "the database or the program has a problem; the log says more."
}

func (t trial) pageID(ctx context.Context, a *app) (uuid.UUID, error) {
	if t.page != "" {
		return uuid.MustParse(t.page), nil // checked before
	}
	list, err := a.pages.List(ctx, uuid.Nil, 2)
	switch {
	case err != nil:
		return uuid.Nil, errors.New("the pages cannot be read")
	case len(list) != 1:
		return uuid.Nil, errors.New("there is not exactly one page")
	}
	return list[0].ID, nil
}

// lookAgain is how often it is looked whether the tap has come.
const lookAgain = 500 * time.Millisecond

func (t trial) await(ctx context.Context, a *app, page uuid.UUID, test selftest.Test) selftest.Test {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for end := time.Now().Add(t.wait); time.Now().Before(end) && open(test); {
		select {
		case <-ctx.Done():
			return test
		case <-tick.C:
		}
		last, err := a.selfTests.Last(ctx, page)
		if err != nil || last.ID != test.ID { // somebody began another one
			return test
		}
		if test.State != last.State && last.State == selftest.Sending {
			fmt.Fprintln(t.say, "Tapped. Sending one message with that permission ...")
		}
		test = last
	}
	return test
}

func open(t selftest.Test) bool {
	return t.State == selftest.Asking || t.State == selftest.Waiting || t.State == selftest.Sending
}

func (d *doctor) outcome(t selftest.Test) {
	code := ""
	if t.Code != "" {
		code = " (" + t.Code + ")"
	}
	switch t.State {
	case selftest.Passed:
		d.add(fine, selfTestArea, "One-time notifications work on this page.", "")
	case selftest.Failed:
		d.add(note, selfTestArea, fmt.Sprintf("It failed%s: %s.", code, t.Detail), advice(page.OneTime))
	case selftest.Sending:
		d.add(todo, selfTestArea, "The tap came, but nobody knows yet whether the message went out.", "Look whether it arrived, and later at GET /v1/pages/{id}/self-test.")
	default:
		d.add(todo, selfTestArea, "The tap has not come.", "See that beckon serve runs and that its webhook address is set in the app; then tap, and look at GET /v1/pages/{id}/self-test.")
	}
}

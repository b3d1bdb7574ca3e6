package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"beckon/internal/line"
	"beckon/internal/page"
)

// lines looks for senders that are stopped.
func (d *doctor) lines(ctx context.Context, a *app) {
	list, err := a.lines.List(ctx, "", step)
	if err != nil {
		d.add(todo, "senders", "They cannot be read.", "See that the database runs.")
		return
	}
	stopped := 0
	for _, l := range list {
		switch {
		case l.StoppedAt == nil:
			continue
		case l.RetryAt != nil:
			d.add(note, "sender "+l.Sender, fmt.Sprintf("It rests (%s): %s", l.Code, l.Detail), "It is tried again by itself.")
		default:
			d.add(todo, "sender "+l.Sender, fmt.Sprintf("It is stopped (%s): %s", l.Code, l.Detail), restart(l))
		}
		stopped++
	}
	if stopped == 0 {
		d.add(fine, "senders", "None is stopped.", "")
	}
}

// restart is what lets a stopped sender go on.
func restart(l line.Line) string {
	by := "POST /v1/lines/" + l.Sender + "/resume."
	switch {
	case strings.HasPrefix(l.Code, "190"):
		return "Store a new access token with PATCH /v1/pages/{id}: sending goes on by itself. If the old one is good again: " + by
	case l.Code == page.CodeBlocked:
		return "It goes on by itself when Meta ends the block. If Meta has and did not say so: " + by
	}
	return "Remove the cause, then " + by
}

const (
	lookBack = 7 * 24 * time.Hour
	lateAt   = 10 * time.Minute // a callback that is not applied by then is held up
)

// inbox looks at what came in.
func (d *doctor) inbox(ctx context.Context, a *app) {
	const area = "what comes in"
	t, err := a.inbox.Tally(ctx, now().Add(-lookBack))
	if err != nil {
		d.add(todo, area, "It cannot be counted.", "See that the database runs.")
		return
	}
	d.add(fine, area, fmt.Sprintf("%d callbacks with %d events came in the last seven days.", t.Callbacks, t.Events), "")
	if t.Unknown > 0 {
		d.add(note, area, fmt.Sprintf("%d events are of kinds that this version does not know. They are kept.", t.Unknown), "A newer version may know them.")
	}
	if t.Problems > 0 {
		d.add(note, area, fmt.Sprintf("Of %d callbacks a part could not be read or applied.", t.Problems), "The log says which, and why.")
	}
	if t.Oldest != nil && now().Sub(*t.Oldest) > lateAt {
		d.add(todo, area, fmt.Sprintf("%d callbacks wait to be applied, the first since %s.", t.Waiting, t.Oldest.UTC().Format(time.RFC3339)),
			"See that a node works jobs: BECKON_ROLE is all or worker.")
	}
}

// relay looks at what is passed on to another program.
func (d *doctor) relay(ctx context.Context, a *app) {
	if a.config.RelayURL == "" {
		return
	}
	const area = "relay"
	t, err := a.relay.Tally(ctx)
	switch {
	case err != nil:
		d.add(todo, area, "It cannot be counted.", "See that the database runs.")
	case t.Trying > 0:
		d.add(todo, area, fmt.Sprintf("%d webhooks wait that the other program did not take so far.", t.Trying), "See that it answers at BECKON_RELAY_URL with a 2xx.")
	default:
		d.add(fine, area, fmt.Sprintf("Webhooks are passed on; %d wait.", t.Waiting), "")
	}
	if err == nil && t.Failed > 0 {
		d.add(note, area, fmt.Sprintf("%d webhooks of the last thirty days were given up after a day.", t.Failed), "The other program has missed them.")
	}
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"beckon/internal/mirror"
)

// lists tells how SendGrid's suppression lists and ours are kept alike.
func (d *doctor) lists(ctx context.Context, a *app) {
	const area = "SendGrid's lists"
	if a.config.Mail.Key == "" {
		return
	}
	if !a.config.Mail.Sync.Pull {
		d.add(note, area, "They are not taken over (SENDGRID_SYNC=false): SendGrid drops mail to who stands on them, and the delivery fails.", "Nothing must be done.")
	}
	all, err := a.mirror.Statuses(ctx)
	if err != nil {
		d.add(todo, area, "It cannot be read how they are kept.", "See that the database runs.")
		return
	}
	var well, waiting []string
	for _, s := range all {
		switch {
		case s.Problem != "":
			d.add(todo, area, s.List+": "+s.Problem+", since "+s.ProblemAt.UTC().Format(time.RFC3339)+" at the latest.",
				"A 401 or 403 means that the key may not do it: give it access to Suppressions, for groups and writing back to Unsubscribe Groups too, or set SENDGRID_SYNC=false. Otherwise it is tried again by itself.")
		case s.FinishedAt == nil:
			waiting = append(waiting, s.List)
		default:
			well = append(well, listed(s))
		}
	}
	if len(waiting) > 0 {
		d.add(note, area, "Not gone through to the end so far: "+strings.Join(waiting, ", ")+".", "beckon serve does it when it starts, and every night.")
	}
	if len(well) > 0 {
		d.add(fine, area, "Taken over: "+strings.Join(well, "; ")+".", "")
	}
}

func listed(s mirror.Status) string {
	return fmt.Sprintf("%s (%s, %d entries, %d new)", s.List, s.FinishedAt.UTC().Format(time.RFC3339), s.Seen, s.Added)
}

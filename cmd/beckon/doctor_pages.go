package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/page"
	"beckon/internal/seal"
)

// step is how many rows are read at a time.
const step = 200

// pages checks each page, which also repairs what can be repaired.
func (d *doctor) pages(ctx context.Context, a *app) {
	seen := 0
	for after := uuid.Nil; ; {
		list, err := a.pages.List(ctx, after, step)
		if err != nil {
			d.add(todo, "pages", "The pages cannot be read.", "See that the database runs.")
			return
		}
		if len(list) == 0 {
			break
		}
		for _, p := range list {
			d.page(ctx, a, p)
		}
		after, seen = list[len(list)-1].ID, seen+len(list)
	}
	if seen == 0 {
		d.add(todo, "pages", "There is no page yet.", "Add yours with POST /v1/pages; docs/messenger-setup.md tells where its access token comes from.")
	}
}

func (d *doctor) page(ctx context.Context, a *app, p page.Page) {
	area := "page " + p.Name
	if a.channels.messenger != nil {
		checked, err := a.health.Check(ctx, p.ID)
		if errors.Is(err, seal.ErrOpen) {
			d.add(todo, area, "Its access token cannot be opened with this BECKON_SECRET_KEY.",
				"Use the key that it was stored with; without it, permissions are lost too, and each page needs a new access token.")
			return
		}
		if err != nil {
			d.add(todo, area, "It cannot be checked.", "See that the database runs.")
			return
		}
		p = checked
	}
	problems := p.Problems(now())
	for _, problem := range problems {
		l := note
		if problem.Must {
			l = todo
		}
		d.add(l, area, problem.Code, problem.Detail)
	}
	if len(problems) == 0 && a.channels.messenger != nil {
		d.add(fine, area, "Its access token works, its webhook is subscribed, and it has a Get Started button. "+lastEvent(p), "")
	}
	for _, name := range page.Capabilities() {
		d.capability(area, p, name)
	}
}

func lastEvent(p page.Page) string {
	if p.Health.LastEventAt == nil {
		return "No event has come yet."
	}
	return "The last event came " + p.Health.LastEventAt.UTC().Format(time.RFC3339) + "."
}

// words of the capabilities, for people.
func wordsOf(name page.Capability) string {
	switch name {
	case page.OneTime:
		return "one-time notifications"
	case page.Recurring:
		return "recurring notifications"
	case page.Utility:
		return "utility messages"
	}
	return "reading people's names"
}

func (d *doctor) capability(area string, p page.Page, name page.Capability) {
	k, what := p.Capabilities[name], wordsOf(name)
	switch k.State {
	case page.Works:
		d.add(fine, area, fmt.Sprintf("%s: works (%s, %s).", what, k.How, k.At.UTC().Format(time.DateOnly)), "")
	case page.Off:
		d.add(note, area, fmt.Sprintf("%s: off (%s, %s).", what, k.How, k.At.UTC().Format(time.DateOnly)), advice(name))
	default:
		d.add(note, area, what+": not known yet. "+learning(name), attempt(name, p.ID))
	}
}

// advice is what to do about a capability that is off.
func advice(name page.Capability) string {
	switch name {
	case page.OneTime:
		return "Campaigns go over their other lanes. See whether the Page's settings offer the feature (Advanced Messaging, Requested features); then test it again."
	case page.Profile:
		return "People who write have no name until your CRM gives it. The app needs Business Asset User Profile Access for more."
	}
	return "Campaigns go over their other lanes."
}

// learning is how a capability becomes known by itself.
func learning(name page.Capability) string {
	if name == page.Profile {
		return "The first person who writes and has no name yet shows it."
	}
	return "Campaigns try it on a few people at a time and learn from it."
}

// attempt is how to find out about a capability that is not known.
func attempt(name page.Capability, id uuid.UUID) string {
	switch name {
	case page.OneTime:
		return "To find out now: beckon doctor --self-test PSID --page " + id.String()
	case page.Recurring:
		return "To find out now: POST /v1/pages/" + id.String() + "/self-test with a tester's psid and the capability recurring."
	case page.Utility:
		return "Nothing must be done. To say what you know: PATCH /v1/pages/" + id.String() + " with capabilities."
	}
	return ""
}

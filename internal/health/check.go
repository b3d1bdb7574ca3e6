package health

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/page"
)

// getStarted is the payload of the Get Started button, where a Page has none: the
// one that Meta's own examples use.
const getStarted = "GET_STARTED"

// look asks Graph about a Page and writes down what it saw.
func (s *Service) look(ctx context.Context, id uuid.UUID) (page.Page, error) {
	if s.Graph == nil {
		return s.Pages.Get(ctx, id)
	}
	sender, err := s.Pages.Sender(ctx, id)
	if err != nil {
		return page.Page{}, err
	}
	seen := s.ask(ctx, sender)
	if err := s.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error { return s.Pages.Checked(tx, id, seen) }); err != nil {
		return page.Page{}, err
	}
	p, err := s.Pages.Get(ctx, id)
	if err == nil && len(p.Problems(s.Now())) > 0 {
		codes := []string{}
		for _, problem := range p.Problems(s.Now()) {
			codes = append(codes, problem.Code)
		}
		s.Log.WarnContext(ctx, "a page is not well", "page_id", id, "problems", strings.Join(codes, ","))
	}
	return p, err
}

// checkEvery is how often each Page is checked.
const checkEvery = time.Hour

// asking is one check under way.
type asking struct {
	*Service
	of   channel.Page
	seen page.Check
}

// ask looks at all there is. After an answer that says nothing of the rest it
// ends.
func (s *Service) ask(ctx context.Context, of channel.Page) page.Check {
	a := &asking{Service: s, of: of}
	a.seen.Load = s.Graph.Load(of, checkEvery)
	if app, ok := a.token(ctx); ok {
		a.webhook(ctx, app)
		a.getStarted(ctx)
	}
	return a.seen
}

// note keeps how a call went, and reports whether Graph did what was asked.
func (a *asking) note(r channel.Result) bool {
	a.seen.Load = max(a.seen.Load, r.Load)
	if r.Outcome == channel.Accepted {
		return true
	}
	a.seen.Code = cmp.Or(a.seen.Code, r.Code, page.NoAnswer)
	return false
}

// token looks at the access token. The app is the one that it was made for; not
// ok, and nothing more need be asked with it.
func (a *asking) token(ctx context.Context) (app string, ok bool) {
	t, r := a.Graph.Inspect(ctx, a.of)
	if r.Outcome == channel.StopTheLine && strings.HasPrefix(r.Code, "190") {
		a.seen.Token = &page.TokenCheck{}
		return "", false
	}
	if !a.note(r) {
		return "", false
	}
	seen := &page.TokenCheck{Valid: t.Valid, Expires: t.Expires, DataAccess: t.DataAccess}
	switch {
	case !t.Valid:
	case t.Page != "" && t.Page != a.of.GraphID:
		seen.Trouble = page.OtherPage
	case t.App != "" && a.App != "" && t.App != a.App:
		seen.Trouble = page.OtherApp
	}
	if t.Valid {
		seen.ScopesMissing = without(page.NeededScopes(), t.Scopes)
	}
	a.seen.Token = seen
	return cmp.Or(t.App, a.App), t.Valid && seen.Trouble != page.OtherPage
}

// webhook compares what the Page sends us with what is wanted, and repairs it. A
// subscription is a whole: what the app has besides stays.
func (a *asking) webhook(ctx context.Context, app string) {
	have, r := a.Graph.Subscribed(ctx, a.of, app)
	if !a.note(r) {
		return
	}
	want := slices.Concat(page.NeededFields(), page.UsefulFields())
	missing := without(want, have)
	if len(missing) > 0 {
		missing = a.subscribe(ctx, have, missing)
	}
	a.seen.Fields, a.seen.Missing = true, missing
}

// subscribe adds what is missing, or else what is needed of it, and returns what is
// still missing then. Graph refuses a list as a whole when a permission for one
// of its fields is not there.
func (a *asking) subscribe(ctx context.Context, have, missing []string) []string {
	r := a.Graph.Subscribe(ctx, a.of, slices.Concat(have, missing))
	a.seen.Load = max(a.seen.Load, r.Load)
	if r.Outcome == channel.Accepted {
		a.seen.Repaired = true
		return nil
	}
	needed := without(missing, page.UsefulFields())
	if len(needed) == 0 || r.Outcome == channel.TryLater || r.Outcome == channel.Unknown {
		return missing
	}
	if r = a.Graph.Subscribe(ctx, a.of, slices.Concat(have, needed)); r.Outcome != channel.Accepted {
		return missing
	}
	a.seen.Repaired = true
	return without(missing, needed)
}

// getStarted sets the button where there is none, and leaves another one alone.
func (a *asking) getStarted(ctx context.Context) {
	payload, r := a.Graph.GetStarted(ctx, a.of)
	if !a.note(r) {
		return
	}
	a.seen.GetStarted = page.GetStartedSet
	if payload == "" && a.Graph.SetGetStarted(ctx, a.of, getStarted).Outcome != channel.Accepted {
		a.seen.GetStarted = page.GetStartedMissing
	}
}

// without returns what of list is not in the other, never nil.
func without(list, other []string) []string {
	out := []string{}
	for _, x := range list {
		if !slices.Contains(other, x) {
			out = append(out, x)
		}
	}
	return out
}

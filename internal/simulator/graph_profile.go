package simulator

import (
	"net/http"
	"slices"
	"strings"
)

// Profile is what a person shows of themselves. A permission that the app lacks
// is named by field.
type Profile struct {
	FirstName, LastName, Locale string
	TimeZone                    float64 // hours from UTC
}

// SetProfile gives a person a profile on a Page; people without one have no
// Facebook account, only a phone number.
func (s *Simulator) SetProfile(page, psid string, p Profile) {
	s.graph.person(personKey{page, psid}, func(who *person) { who.profile = &p })
}

// BarProfiles takes the permission away to read fields of people's profiles:
// "locale" and "timezone", or "first_name" for everything.
func (s *Simulator) BarProfiles(page string, fields ...string) {
	if p := s.graph.pages.Load().byID[page]; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.barred = fields
	}
}

// showNode is GET /{id}: a Page, or a person who wrote to it.
func (g *graph) showNode(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("page")
	if g.pages.Load().byID[id] != nil || id == "me" {
		g.showPage(w, r)
		return
	}
	r.SetPathValue("page", "me") // the token says for which Page
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	answer, fail := g.shownOf(p, id, strings.Split(r.URL.Query().Get("fields"), ","))
	if fail != nil {
		fail.answer(w)
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

// shownOf answers with the fields that were asked for, as far as the app may
// read them.
func (g *graph) shownOf(p *page, psid string, fields []string) (map[string]any, *graphError) {
	p.mu.Lock()
	barred := p.barred
	p.mu.Unlock()
	out := map[string]any{"id": psid}
	for _, f := range fields {
		if !slices.Contains([]string{"first_name", "last_name", "name", "profile_pic", "locale", "timezone", "gender"}, f) {
			return nil, invalidParam("Tried accessing nonexisting field on node type (User)")
		}
		if slices.Contains(barred, f) {
			return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 2018247, message: "(#100) Insufficient permission to access user profile."}
		}
	}
	key, known := personKey{p.id, psid}, false
	var shown *Profile
	g.people.with(key, func(people map[personKey]*person) {
		if who := people[key]; who != nil {
			known, shown = true, who.profile
		}
	})
	switch {
	case !known:
		return nil, errNoPerson()
	case shown == nil:
		return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 2018218, message: "(#100) No profile available for this user."}
	}
	for _, f := range fields {
		out[f] = map[string]any{"first_name": shown.FirstName, "last_name": shown.LastName, "name": shown.FirstName + " " + shown.LastName,
			"locale": shown.Locale, "timezone": shown.TimeZone, "gender": "", "profile_pic": ""}[f]
	}
	return out, nil
}

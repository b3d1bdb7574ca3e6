package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Template is a utility template of a Page.
type Template struct {
	ID, Name, Language, Category string
	Status                       string // in Meta's words: APPROVED, PENDING, REJECTED, …; in lower case too
	Components                   json.RawMessage
}

// templates are those of all Pages, by Graph id of the Page.
type templates struct {
	mu   sync.Mutex
	of   map[string][]*Template
	slow bool // new ones wait for ReviewTemplate
}

func (t *templates) find(page, name, language string) *Template {
	for _, x := range t.of[page] {
		if x.Name == name && x.Language == language {
			return x
		}
	}
	return nil
}

// AddTemplate makes a utility template known on a Page.
func (s *Simulator) AddTemplate(page string, t Template) {
	s.graph.templates.mu.Lock()
	defer s.graph.templates.mu.Unlock()
	s.graph.templates.add(page, t)
}

func (t *templates) add(page string, x Template) *Template {
	x.ID, x.Status = newID(), strings.ToUpper(x.Status)
	if x.Category == "" {
		x.Category = "UTILITY"
	}
	t.of[page] = append(t.of[page], &x)
	return &x
}

// SlowReview lets new templates wait for ReviewTemplate; by default they are
// approved at once.
func (s *Simulator) SlowReview() {
	s.graph.templates.mu.Lock()
	defer s.graph.templates.mu.Unlock()
	s.graph.templates.slow = true
}

// ReviewTemplate gives a template another status and tells by webhook.
func (s *Simulator) ReviewTemplate(ctx context.Context, page, name, language, status, reason string) error {
	s.graph.templates.mu.Lock()
	t := s.graph.templates.find(page, name, language)
	if t != nil {
		t.Status = status
	}
	s.graph.templates.mu.Unlock()
	if t == nil {
		return ErrNothingToTap
	}
	body, err := json.Marshal(map[string]any{"object": "page", "entry": []any{map[string]any{"id": page, "time": s.clock().UnixMilli(), "changes": []any{
		map[string]any{"field": "message_template_status_update", "value": map[string]any{"event": status, "message_template_id": t.ID,
			"message_template_name": name, "message_template_language": language, "reason": reason}}}}}})
	if err != nil {
		return err
	}
	if s.CallbackURL() == "" {
		return errNoCallbackURL
	}
	if err := s.postOnce(ctx, &callback{provider: Graph, url: s.CallbackURL() + "/webhooks/messenger", header: s.sign(body), body: body}); err != nil {
		return err
	}
	return nil
}

// utilityPart is a component of a utility message.
type utilityPart struct {
	Type       string `json:"type"`
	Parameters []struct {
		Type    string `json:"type"`
		Name    string `json:"parameter_name"`
		Text    string `json:"text"`
		Payload string `json:"payload"`
	} `json:"parameters"`
}

// approved tells whether a utility message fits a template that is approved.
func (g *graph) approved(page string, u *utility) *graphError {
	if slices.Contains(g.s.cfg.UtilityTemplates, u.Name+"/"+u.Language.Code) {
		return nil
	}
	g.templates.mu.Lock()
	defer g.templates.mu.Unlock()
	t := g.templates.find(page, u.Name, u.Language.Code)
	if t == nil || t.Status != "APPROVED" {
		return invalidParam("The utility template does not exist or is not approved")
	}
	return u.fits(t.form())
}

// form is what a template has to be filled with.
type templateForm struct {
	holes     []string
	postbacks int
}

var hole = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func (t *Template) form() (f templateForm) {
	var parts []struct {
		Type, Text string
		Buttons    []struct{ Type string }
	}
	_ = json.Unmarshal(t.Components, &parts) // checked when it was made
	for _, p := range parts {
		if strings.EqualFold(p.Type, "body") {
			for _, m := range hole.FindAllStringSubmatch(p.Text, -1) {
				f.holes = append(f.holes, m[1])
			}
		}
		for _, b := range p.Buttons {
			if strings.EqualFold(b.Type, "postback") {
				f.postbacks++
			}
		}
	}
	return f
}

func (u *utility) fits(f templateForm) *graphError {
	filled, taps := 0, 0
	for _, part := range u.Components {
		for _, p := range part.Parameters {
			switch {
			case part.Type == "body" && p.Type == "text" && p.Text != "" && (p.Name == "" || slices.Contains(f.holes, p.Name)):
				filled++
			case part.Type == "buttons" && p.Type == "POSTBACK" && p.Payload != "":
				taps++
			default:
				return invalidParam("A component of the utility message does not fit its template")
			}
		}
	}
	if filled != len(f.holes) || taps != f.postbacks {
		return invalidParam("Number of parameters does not match the expected number of params")
	}
	return nil
}

// makeTemplate is POST /{page-id}/message_templates.
func (g *graph) makeTemplate(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	var in struct {
		Name, Language, Category string
		Components               json.RawMessage
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil {
		invalidParam("The request body is not JSON of the expected form").answer(w)
		return
	}
	t := Template{Name: in.Name, Language: in.Language, Category: in.Category, Components: in.Components, Status: "APPROVED"}
	g.templates.mu.Lock()
	defer g.templates.mu.Unlock()
	if fail := g.templates.refuse(p.id, &t); fail != nil {
		fail.answer(w)
		return
	}
	if g.templates.slow {
		t.Status = "PENDING"
	}
	made := g.templates.add(p.id, t)
	answerJSON(w, http.StatusOK, map[string]string{"id": made.ID, "status": made.Status, "category": made.Category})
}

var templateName = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)

func (t *templates) refuse(page string, x *Template) *graphError {
	switch {
	case !templateName.MatchString(x.Name):
		return invalidParam("Param name must be lower case letters, digits and underscores")
	case x.Language == "":
		return invalidParam("Param language must be given")
	case x.Category != "UTILITY":
		return invalidParam("Param category must be one of {UTILITY}")
	case t.find(page, x.Name, x.Language) != nil:
		return &graphError{status: http.StatusBadRequest, code: 100, subcode: 2388023, message: "(#100) A template with this name and language exists already."}
	}
	return x.checkComponents()
}

func (t *Template) checkComponents() *graphError {
	var parts []struct {
		Type, Text string
		Example    json.RawMessage
		Buttons    []struct{ Type, Text, URL, Phone string }
	}
	if json.Unmarshal(t.Components, &parts) != nil {
		return invalidParam("Param components must be an array")
	}
	bodies := 0
	for _, p := range parts {
		switch p.Type {
		case "BODY":
			bodies++
			if p.Text == "" || hole.MatchString(p.Text) && len(p.Example) == 0 {
				return invalidParam("A body needs a text, and an example for its parameters")
			}
		case "BUTTONS":
			if len(p.Buttons) < 1 || len(p.Buttons) > maxButtons {
				return invalidParam("Param buttons must have 1 to %d elements", maxButtons)
			}
		}
	}
	if bodies != 1 {
		return invalidParam("Param components must have one BODY")
	}
	return nil
}

// listTemplates is GET /{page-id}/message_templates.
func (g *graph) listTemplates(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	limit, after, fail := paging(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	g.templates.mu.Lock()
	defer g.templates.mu.Unlock()
	var data []any
	for _, t := range g.templates.of[p.id] {
		data = append(data, map[string]any{"id": t.ID, "name": t.Name, "language": t.Language, "category": t.Category, "status": t.Status, "components": t.Components})
	}
	answerPart(w, data, limit, after)
}

package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PageSetup is how Meta's side of a Page is set up, where that is not the usual.
type PageSetup struct {
	Scopes       []string  // of its access token; nil are those that a bot needs
	Expires      time.Time // of its access token; zero is never
	Revoked      bool      // the access token is no good any more
	Denied       []string  // webhook fields that the app lacks a permission for
	NoGetStarted bool      // the button is not there until a bot sets it
}

// SetUpPage changes how a Page is set up. One that is not known stays so.
func (s *Simulator) SetUpPage(id string, setup PageSetup) {
	p := s.graph.pages.Load().byID[id]
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setup = setup
	if setup.NoGetStarted {
		p.getStarted = ""
	}
}

// Subscription is what fields of a Page's webhook the app has subscribed to.
func (s *Simulator) Subscription(id string) []string {
	p := s.graph.pages.Load().byID[id]
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.fields)
}

// SetSubscription changes them, as a person may in the app's dashboard.
func (s *Simulator) SetSubscription(id string, fields ...string) {
	if p := s.graph.pages.Load().byID[id]; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fields = fields
	}
}

func (g *graph) adminRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /graph/{version}/debug_token", versioned(g.debugToken))
	mux.HandleFunc("GET /graph/{version}/{page}/subscribed_apps", versioned(g.onPage(g.subscribed)))
	mux.HandleFunc("POST /graph/{version}/{page}/subscribed_apps", versioned(g.onPage(g.subscribe)))
	mux.HandleFunc("DELETE /graph/{version}/{page}/subscribed_apps", versioned(g.onPage(g.unsubscribe)))
	mux.HandleFunc("GET /graph/{version}/{page}/messenger_profile", versioned(g.onPage(g.profile)))
	mux.HandleFunc("POST /graph/{version}/{page}/messenger_profile", versioned(g.onPage(g.setProfile)))
}

// onPage serves a request that speaks for a Page, which is locked meanwhile.
func (g *graph) onPage(h func(w http.ResponseWriter, r *http.Request, p *page)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := g.pageOf(w, r)
		if p == nil {
			return
		}
		percent := strconv.Itoa(g.desk.faults.Load().Usage)
		w.Header()["X-Page-Usage"] = []string{`{"call_count":` + percent + `,"total_cputime":0,"total_time":0}`}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.setup.Revoked {
			errToken().answer(w)
			return
		}
		h(w, r, p)
	}
}

// subscribed is GET /{page-id}/subscribed_apps.
func (g *graph) subscribed(w http.ResponseWriter, _ *http.Request, p *page) {
	data := []map[string]any{}
	if len(p.fields) > 0 {
		data = append(data, map[string]any{"id": g.s.cfg.AppID, "name": "Beckon", "subscribed_fields": p.fields})
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

// subscribe is POST /{page-id}/subscribed_apps. Events flow whether or not a
// Page is subscribed; only the answer of subscribed tells.
func (g *graph) subscribe(w http.ResponseWriter, r *http.Request, p *page) {
	asked := r.FormValue("subscribed_fields")
	if asked == "" {
		invalidParam("Param subscribed_fields[0] must be given").answer(w)
		return
	}
	fields := strings.Split(asked, ",")
	for i, f := range fields {
		if !slices.Contains(webhookFields(), f) {
			invalidParam("Param subscribed_fields[%d] must be one of {%s}", i, strings.Join(webhookFields(), ", ")).answer(w)
			return
		}
		if slices.Contains(p.setup.Denied, f) {
			(&graphError{status: http.StatusBadRequest, code: 200, message: "(#200) To subscribe to this field, one of these permissions is needed"}).answer(w)
			return
		}
	}
	p.fields = fields
	answerJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// webhookFields are those of a Page that this Graph knows; the real one has more.
func webhookFields() []string {
	return []string{"messages", "messaging_postbacks", "messaging_optins", "messaging_optouts", "messaging_referrals", "message_deliveries", "message_reads",
		"message_echoes", "message_reactions", "messaging_policy_enforcement", "standby", "messaging_handovers", "message_template_status_update", "feed"}
}

// unsubscribe is DELETE /{page-id}/subscribed_apps.
func (g *graph) unsubscribe(w http.ResponseWriter, _ *http.Request, p *page) {
	p.fields = nil
	answerJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// profile is GET /me/messenger_profile; of the profile there is only Get Started
// here.
func (g *graph) profile(w http.ResponseWriter, r *http.Request, p *page) {
	if r.URL.Query().Get("fields") != "get_started" {
		invalidParam("Param fields must be get_started").answer(w)
		return
	}
	data := []map[string]any{}
	if p.getStarted != "" {
		data = append(data, map[string]any{"get_started": map[string]string{"payload": p.getStarted}})
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

// setProfile is POST /me/messenger_profile.
func (g *graph) setProfile(w http.ResponseWriter, r *http.Request, p *page) {
	var profile struct {
		GetStarted struct {
			Payload string `json:"payload"`
		} `json:"get_started"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&profile); err != nil {
		invalidParam("The request body is not JSON of the expected form").answer(w)
		return
	}
	if payload := profile.GetStarted.Payload; payload != "" {
		p.getStarted = payload
	}
	answerJSON(w, http.StatusOK, map[string]string{"result": "success"})
}

// debugToken is GET /debug_token: whether a Page token is good. It is asked by the
// app, or by the Page itself.
func (g *graph) debugToken(w http.ResponseWriter, r *http.Request) {
	if fail := g.mayInspect(r); fail != nil {
		fail.answer(w)
		return
	}
	data := map[string]any{"app_id": g.s.cfg.AppID, "is_valid": false, "type": "PAGE", "scopes": []string{}}
	if p := g.pages.Load().byToken[r.URL.Query().Get("input_token")]; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		data["is_valid"], data["profile_id"], data["expires_at"], data["scopes"] = !p.setup.Revoked, p.id, 0, p.setup.Scopes
		if p.setup.Scopes == nil {
			data["scopes"] = []string{"pages_messaging", "pages_manage_metadata", "pages_show_list"}
		}
		if !p.setup.Expires.IsZero() {
			data["expires_at"] = p.setup.Expires.Unix()
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

func (g *graph) mayInspect(r *http.Request) *graphError {
	if r.URL.Query().Get("input_token") == "" {
		return invalidParam("The parameter input_token is required.")
	}
	by := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	app := g.s.cfg.AppID + "|" + g.s.cfg.AppSecret
	switch p := g.pages.Load().byToken[by]; {
	case by == app && g.s.cfg.AppSecret != "":
	case p == nil:
		return errToken()
	}
	if !same(proof(g.s.cfg.AppSecret, by), r.URL.Query().Get("appsecret_proof")) {
		return errProof()
	}
	return nil
}

package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// parseMessage reads a message object that was accepted before.
func parseMessage(raw json.RawMessage) (*graphMessage, error) {
	m := new(graphMessage)
	return m, json.Unmarshal(raw, m)
}

// pageOf answers the error itself when the request may not speak for the Page.
func (g *graph) pageOf(w http.ResponseWriter, r *http.Request) *page {
	p, fail := g.authorize(r, "")
	if fail != nil {
		fail.answer(w)
		return nil
	}
	return p
}

// showPage is GET /{page-id}.
func (g *graph) showPage(w http.ResponseWriter, r *http.Request) {
	if p := g.pageOf(w, r); p != nil {
		answerJSON(w, http.StatusOK, map[string]string{"id": p.id, "name": "Page " + p.id, "username": "page." + p.id})
	}
}

// subscribed is GET /{page-id}/subscribed_apps.
func (g *graph) subscribed(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	data := []map[string]any{}
	if len(p.fields) > 0 {
		data = append(data, map[string]any{"id": g.s.cfg.AppID, "name": "Beckon", "subscribed_fields": p.fields})
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

// subscribe is POST /{page-id}/subscribed_apps. Events flow whether or not a
// Page is subscribed; only the answer of subscribed tells.
func (g *graph) subscribe(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	fields := r.FormValue("subscribed_fields")
	if fields == "" {
		invalidParam("Param subscribed_fields[0] must be given").answer(w)
		return
	}
	p.mu.Lock()
	p.fields = strings.Split(fields, ",")
	p.mu.Unlock()
	answerJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// setProfile is POST /me/messenger_profile; of the profile only Get Started
// has an effect here.
func (g *graph) setProfile(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
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
		p.mu.Lock()
		p.getStarted = payload
		p.mu.Unlock()
	}
	answerJSON(w, http.StatusOK, map[string]string{"result": "success"})
}

// getStartedPayload is what the Get Started button of a Page sends.
func (g *graph) getStartedPayload(id string) string {
	p := g.pages.Load().byID[id]
	if p == nil {
		return "GET_STARTED"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.getStarted
}

// debugToken is GET /debug_token: whether a Page token is good.
func (g *graph) debugToken(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("input_token")
	p := g.pages.Load().byToken[token]
	data := map[string]any{"app_id": g.s.cfg.AppID, "is_valid": p != nil, "type": "PAGE"}
	if p != nil {
		data["profile_id"] = p.id
		data["expires_at"] = 0
		data["scopes"] = []string{"pages_messaging", "pages_manage_metadata"}
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

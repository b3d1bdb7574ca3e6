package simulator

import (
	"encoding/json"
	"net/http"
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

package simulator

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// identities are the PSIDs of people who used Facebook Login with the app, by
// the user id that they have there.
type identities struct {
	mu   sync.Mutex
	byID map[string]map[string]string // user id, Page, PSID
}

// Identify says that a user of Facebook Login is known to a Page by a PSID.
func (s *Simulator) Identify(userID, page, psid string) {
	ids := &s.graph.identities
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if ids.byID == nil {
		ids.byID = map[string]map[string]string{}
	}
	if ids.byID[userID] == nil {
		ids.byID[userID] = map[string]string{}
	}
	ids.byID[userID][page] = psid
}

func (ids *identities) of(userID string) map[string]string {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	return maps.Clone(ids.byID[userID])
}

// idsForPages is GET /{user-id}/ids_for_pages, which only the app itself may ask.
func (g *graph) idsForPages(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if g.s.cfg.AppID == "" || token != g.s.cfg.AppID+"|"+g.s.cfg.AppSecret {
		errToken().answer(w)
		return
	}
	if !same(proof(g.s.cfg.AppSecret, token), r.URL.Query().Get("appsecret_proof")) {
		errProof().answer(w)
		return
	}
	found := g.identities.of(r.PathValue("page"))
	data := []any{}
	for _, page := range slices.Sorted(maps.Keys(found)) {
		data = append(data, map[string]any{"id": found[page], "page": map[string]string{"id": page, "name": "Page " + page}})
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": data})
}

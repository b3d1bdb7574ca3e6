package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// PageInbox is the app behind the inbox of every Page, where humans write.
const PageInbox = "263902037430900"

func errElsewhere() *graphError {
	return &graphError{status: http.StatusBadRequest, code: 10, subcode: 2018300,
		message: "(#10) Message failed to send because another app is controlling this thread now."}
}

func (g *graph) threadRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /graph/{version}/{page}/pass_thread_control", versioned(g.passThread))
	mux.HandleFunc("POST /graph/{version}/{page}/take_thread_control", versioned(g.takeThread))
	mux.HandleFunc("POST /graph/{version}/{page}/request_thread_control", versioned(g.requestThread))
	mux.HandleFunc("GET /graph/{version}/{page}/thread_owner", versioned(g.threadOwner))
	mux.HandleFunc("GET /graph/{version}/{page}/ids_for_pages", versioned(g.idsForPages))
}

// handover is the body of a hand-over call.
type handover struct {
	Recipient map[string]string `json:"recipient"`
	Target    json.Number       `json:"target_app_id"`
	Metadata  string            `json:"metadata"`
}

func readHandover(r *http.Request) (h handover, fail *graphError) {
	dec := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&h); {
	case err != nil:
		return h, invalidParam("The request body is not JSON of the expected form")
	case len(h.Recipient) != 1 || h.Recipient["id"] == "":
		return h, invalidParam("Param recipient must name one person by id")
	case utf8.RuneCountInString(h.Metadata) > maxMetadata:
		return h, invalidParam("Param metadata must be at most %d characters long", maxMetadata)
	}
	return h, nil
}

// move answers a hand-over call: decide says whose the thread is afterwards.
func (g *graph) move(w http.ResponseWriter, r *http.Request, decide func(holder string, h handover) (string, *graphError)) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	h, fail := readHandover(r)
	if fail == nil {
		fail = errNoPerson()
		g.people.with(personKey{p.id, h.Recipient["id"]}, func(people map[personKey]*person) {
			if who := people[personKey{p.id, h.Recipient["id"]}]; who != nil {
				var to string
				if to, fail = decide(who.holder, h); fail == nil {
					who.holder = to
				}
			}
		})
	}
	if fail != nil {
		fail.answer(w)
		return
	}
	answerJSON(w, http.StatusOK, map[string]bool{"success": true})
}

// passThread is POST /{page-id}/pass_thread_control.
func (g *graph) passThread(w http.ResponseWriter, r *http.Request) {
	g.move(w, r, func(holder string, h handover) (string, *graphError) {
		target := h.Target.String()
		switch _, err := strconv.ParseUint(target, 10, 64); {
		case err != nil:
			return "", invalidParam("Param target_app_id must be the id of an app")
		case holder != "":
			return "", errElsewhere()
		}
		return g.other(target), nil
	})
}

// takeThread is POST /{page-id}/take_thread_control. The app is the Page's first.
func (g *graph) takeThread(w http.ResponseWriter, r *http.Request) {
	g.move(w, r, func(_ string, h handover) (string, *graphError) {
		if h.Target != "" {
			return "", invalidParam("Unexpected param target_app_id")
		}
		return "", nil
	})
}

// requestThread is POST /{page-id}/request_thread_control: the holder is asked,
// and nothing more.
func (g *graph) requestThread(w http.ResponseWriter, r *http.Request) {
	g.move(w, r, func(holder string, h handover) (string, *graphError) {
		if h.Target != "" {
			return "", invalidParam("Unexpected param target_app_id")
		}
		return holder, nil
	})
}

// threadOwner is GET /{page-id}/thread_owner.
func (g *graph) threadOwner(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	key := personKey{p.id, r.URL.Query().Get("recipient")}
	owner, known := "", false
	g.people.with(key, func(people map[personKey]*person) {
		if who := people[key]; who != nil {
			owner, known = who.holder, true
		}
	})
	if !known {
		errNoPerson().answer(w)
		return
	}
	if owner == "" {
		owner = g.s.cfg.AppID
	}
	answerJSON(w, http.StatusOK, map[string]any{"data": []any{map[string]any{"thread_owner": map[string]string{"app_id": owner}}}})
}

// other is the holder of a thread as person keeps it: "" for the app itself.
func (g *graph) other(app string) string {
	if app == g.s.cfg.AppID {
		return ""
	}
	return app
}

// HandOver lets another app take a person's thread, or give it back when app is
// the simulator's own, and posts the webhook about it. While another app holds
// it, what the person does is told in standby and messages are refused.
func (s *Simulator) HandOver(ctx context.Context, page, psid, app string) error {
	s.graph.person(personKey{page, psid}, func(p *person) { p.holder = s.graph.other(app) })
	return s.PostEvents(ctx, []Event{{Kind: HandedOver, Page: page, PSID: psid, App: app}})
}

// appendHandover writes what the app is told: that it lost the thread, or got it.
func (s *Simulator) appendHandover(b []byte, app string) []byte {
	if app == s.cfg.AppID {
		b = appendField(b, `"pass_thread_control":{"previous_owner_app_id":`, PageInbox)
	} else {
		b = appendField(b, `"take_thread_control":{"previous_owner_app_id":`, s.cfg.AppID)
	}
	return appendField(b, `,"new_owner_app_id":`, app)
}

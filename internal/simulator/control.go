package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// controlRoutes serves what another process needs to steer the stand-ins.
func (s *Simulator) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, s.Counts())
	})
	mux.HandleFunc("DELETE /counts", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /recipients", func(w http.ResponseWriter, _ *http.Request) {
		all := make(map[Provider]map[string]int)
		for _, p := range Providers() {
			all[p] = s.AcceptedBy(p)
		}
		answerJSON(w, http.StatusOK, all)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, s.allFaults())
	})
	mux.HandleFunc("PUT /faults", s.putFaults)
	mux.HandleFunc("POST /people", s.postPeople)
	mux.HandleFunc("POST /phone", s.postPhone)
	mux.HandleFunc("GET /inbox", s.getInbox)
}

func (s *Simulator) allFaults() map[Provider]Faults {
	all := make(map[Provider]Faults, len(s.desks))
	for p := range s.desks {
		all[p] = s.Faults(p)
	}
	return all
}

// putFaults replaces the faults of the providers that are named.
func (s *Simulator) putFaults(w http.ResponseWriter, r *http.Request) {
	var all map[Provider]Faults
	if !readControl(w, r, &all) {
		return
	}
	for p := range all {
		if s.desks[p] == nil {
			http.Error(w, "no such provider", http.StatusUnprocessableEntity)
			return
		}
	}
	for p, f := range all {
		s.SetFaults(p, f)
	}
	answerJSON(w, http.StatusOK, s.allFaults())
}

func readControl(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// postPeople makes psid-1 … psid-n known, and grants each so many tokens; the
// names are predictable, see AddPeople and GrantToken.
func (s *Simulator) postPeople(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Page   string `json:"page"`
		N      int    `json:"n"`
		Tokens int    `json:"tokens"`
		Closed bool   `json:"closed"` // their windows are closed
	}
	if !readControl(w, r, &ask) {
		return
	}
	for _, psid := range s.AddPeople(ask.Page, ask.N) {
		for range ask.Tokens {
			s.GrantToken(ask.Page, psid)
		}
		if ask.Closed {
			s.CloseWindow(ask.Page, psid)
		}
	}
	answerJSON(w, http.StatusCreated, map[string]int{"people": ask.N, "tokens": ask.N * ask.Tokens})
}

// phoneAct is what a person does, asked for from outside.
type phoneAct struct {
	Do      string `json:"do"` // say, quick_reply, button, get_started, open, notify_me, get_updates, stop_updates, resume_updates, react, read, block, unblock, text, unsubscribe
	Page    string `json:"page"`
	PSID    string `json:"psid"`
	Text    string `json:"text"`    // for say, react (the emoji) and text
	Payload string `json:"payload"` // for quick_reply and button; the token for stop_updates and resume_updates
	Ref     string `json:"ref"`     // for get_started and open
	MID     string `json:"mid"`     // for react
	From    string `json:"from"`    // for text (the number) and unsubscribe (the address)
}

var errNoSuchAct = errors.New("no such act")

// postPhone lets a person act: 204, 409 when there is nothing to tap, 422 for an
// act that is not known, 502 when the webhook was not acknowledged.
func (s *Simulator) postPhone(w http.ResponseWriter, r *http.Request) {
	var act phoneAct
	if !readControl(w, r, &act) {
		return
	}
	err := s.perform(r.Context(), &act)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrNothingToTap):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, errNoSuchAct):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (s *Simulator) perform(ctx context.Context, a *phoneAct) error {
	switch a.Do {
	case "say":
		return s.Say(ctx, a.Page, a.PSID, a.Text)
	case "quick_reply":
		return s.TapQuickReply(ctx, a.Page, a.PSID, a.Payload)
	case "button":
		return s.TapPostback(ctx, a.Page, a.PSID, a.Payload)
	case "get_started":
		return s.GetStarted(ctx, a.Page, a.PSID, a.Ref)
	case "open":
		return s.Open(ctx, a.Page, a.PSID, a.Ref)
	case "notify_me":
		_, err := s.TapNotifyMe(ctx, a.Page, a.PSID)
		return err
	case "get_updates":
		_, err := s.TapGetUpdates(ctx, a.Page, a.PSID)
		return err
	case "stop_updates":
		return s.StopRecurring(ctx, a.Payload)
	case "resume_updates":
		return s.ResumeRecurring(ctx, a.Payload)
	case "react":
		return s.React(ctx, a.Page, a.PSID, a.MID, a.Text)
	case "read":
		return s.Read(ctx, a.Page, a.PSID)
	case "block":
		s.Block(a.Page, a.PSID)
		return nil
	case "unblock":
		s.Unblock(a.Page, a.PSID)
		return nil
	case "text":
		return s.Text(ctx, a.From, a.Text)
	case "unsubscribe":
		return s.Unsubscribe(ctx, a.From)
	}
	return errNoSuchAct
}

// getInbox shows what a recipient got: ?page=&psid=, ?number= or ?email=.
func (s *Simulator) getInbox(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Get("psid") != "":
		answerJSON(w, http.StatusOK, s.Received(q.Get("page"), q.Get("psid")))
	case q.Get("number") != "":
		answerJSON(w, http.StatusOK, s.Texts(q.Get("number")))
	case q.Get("email") != "":
		answerJSON(w, http.StatusOK, s.Mail(q.Get("email")))
	default:
		http.Error(w, "name a psid, a number or an email", http.StatusBadRequest)
	}
}

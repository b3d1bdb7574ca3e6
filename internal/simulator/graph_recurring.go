package simulator

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	permitLife    = 180 * 24 * time.Hour
	permitRest    = 48 * time.Hour // a recurring token is not taken twice in this time
	byRecurring   = "notification_messages_token"
	askRecurring  = "notification_messages"
	defaultTitle  = "Updates and promotions"
	maxListed     = 100
	defaultListed = 25
)

// permit is a recurring token somebody gave.
type permit struct {
	key                        personKey
	token, title, payload      string
	created, expires, eligible time.Time
	stopped                    bool
}

// permits are the recurring tokens of all Pages, oldest first.
type permits struct {
	mu      sync.Mutex
	list    []*permit
	byToken map[string]*permit
}

// invitation is a request for a recurring token that is not answered yet.
type invitation struct{ title, payload string }

func errPermit(code, sub int, message string) *graphError {
	return &graphError{status: http.StatusBadRequest, code: code, subcode: sub, message: message}
}

// holderOf is who gave a recurring token that may be used now.
func (g *graph) holderOf(page *page, token string, now time.Time) (personKey, *graphError) {
	g.permits.mu.Lock()
	defer g.permits.mu.Unlock()
	switch p := g.permits.byToken[token]; {
	case p == nil || p.key.page != page.id:
		return personKey{}, invalidParam("The notification_messages_token is invalid")
	case p.stopped:
		return personKey{}, errPermit(10, 1893015, "(#10) The person has stopped these messages.")
	case !now.Before(p.expires):
		return personKey{}, invalidParam("The notification_messages_token has expired")
	case now.Before(p.eligible):
		return personKey{}, errPermit(4, 2018354, "(#4) This token was used in the last 48 hours.")
	default:
		return p.key, nil
	}
}

// rest puts a recurring token to rest; of two sends at once only one succeeds.
func (g *graph) rest(token string, now time.Time) *graphError {
	g.permits.mu.Lock()
	defer g.permits.mu.Unlock()
	p := g.permits.byToken[token]
	if now.Before(p.eligible) {
		return errPermit(4, 2018354, "(#4) This token was used in the last 48 hours.")
	}
	p.eligible = now.Add(permitRest)
	return nil
}

// checkRecurring is about the request for a recurring token.
func (p *templatePayload) checkRecurring() *graphError {
	if p.Title != "" {
		if e := within("title", p.Title, maxRequestTitle); e != nil {
			return e
		}
	}
	if p.CTA != "" && !slices.Contains([]string{"ALLOW", "GET", "GET_UPDATES", "OPT_IN", "SIGN_UP"}, p.CTA) {
		return invalidParam("Param notification_messages_cta_text must be one of {ALLOW, GET, GET_UPDATES, OPT_IN, SIGN_UP}")
	}
	return within("payload", p.Payload, maxPayload)
}

func invited(m *graphMessage) (in invitation, yes bool) {
	if m.Attachment == nil || m.Attachment.Payload.TemplateType != askRecurring {
		return in, false
	}
	return invitation{cmp.Or(m.Attachment.Payload.Title, defaultTitle), m.Attachment.Payload.Payload}, true
}

// TapGetUpdates answers the last request for a recurring token that the person
// has not answered, and returns the token that the webhook carried.
func (s *Simulator) TapGetUpdates(ctx context.Context, page, psid string) (token string, err error) {
	key := personKey{page, psid}
	var in invitation
	found := false
	s.graph.people.with(key, func(people map[personKey]*person) {
		if p := people[key]; p != nil && len(p.invited) > 0 {
			last := len(p.invited) - 1
			in, found = p.invited[last], true
			p.invited = p.invited[:last]
		}
	})
	if !found {
		return "", ErrNothingToTap
	}
	p := s.graph.addPermit(key, "nmt_"+newID(), in)
	return p.token, s.PostEvents(ctx, []Event{p.event(GaveRecurring)})
}

// GrantRecurring gives a person a recurring token with no webhook. The n-th of
// all is always nmt-<page>-<psid>-<n>.
func (s *Simulator) GrantRecurring(page, psid string) string {
	s.graph.permits.mu.Lock()
	n := len(s.graph.permits.list) + 1
	s.graph.permits.mu.Unlock()
	token := "nmt-" + page + "-" + psid + "-" + strconv.Itoa(n)
	s.graph.addPermit(personKey{page, psid}, token, invitation{defaultTitle, ""})
	return token
}

func (g *graph) addPermit(key personKey, token string, in invitation) *permit {
	now := g.s.clock().UTC()
	p := &permit{key: key, token: token, title: in.title, payload: in.payload, created: now, expires: now.Add(permitLife), eligible: now}
	g.person(key, func(*person) {})
	g.permits.mu.Lock()
	defer g.permits.mu.Unlock()
	g.permits.list = append(g.permits.list, p)
	g.permits.byToken[token] = p
	return p
}

// StopRecurring lets a person stop the messages of a recurring token, and
// ResumeRecurring take them up again. The webhook tells.
func (s *Simulator) StopRecurring(ctx context.Context, token string) error {
	return s.turnRecurring(ctx, token, true)
}

// ResumeRecurring takes StopRecurring back.
func (s *Simulator) ResumeRecurring(ctx context.Context, token string) error {
	return s.turnRecurring(ctx, token, false)
}

func (s *Simulator) turnRecurring(ctx context.Context, token string, stop bool) error {
	s.graph.permits.mu.Lock()
	p := s.graph.permits.byToken[token]
	if p != nil {
		p.stopped = stop
	}
	s.graph.permits.mu.Unlock()
	if p == nil {
		return ErrNothingToTap
	}
	kind := ResumedRecurring
	if stop {
		kind = EndedRecurring
	}
	return s.PostEvents(ctx, []Event{p.event(kind)})
}

func (p *permit) event(kind EventKind) Event {
	return Event{Kind: kind, Page: p.key.page, PSID: p.key.psid, Text: p.title, Payload: p.payload, Token: p.token, Expires: p.expires}
}

// appendRecurring writes the part of an event that is about a recurring token.
func appendRecurring(b []byte, e *Event) []byte {
	b = appendField(b, `"optin":{"type":"notification_messages","payload":`, e.Payload)
	b = appendField(b, `,"title":`, e.Text)
	b = appendField(b, `,"notification_messages_token":`, e.Token)
	b = append(b, `,"token_expiry_timestamp":`...)
	b = strconv.AppendInt(b, e.Expires.UnixMilli(), 10)
	b = append(b, `,"notification_messages_timezone":"UTC","user_token_status":"NOT_REFRESHED"`...)
	switch e.Kind {
	case EndedRecurring: // Meta's reference has a space, its events an underscore
		b = append(b, `,"notification_messages_status":"STOP_NOTIFICATIONS"`...)
	case ResumedRecurring:
		b = append(b, `,"notification_messages_status":"RESUME NOTIFICATIONS"`...)
	}
	return b
}

// listPermits is GET /{page-id}/notification_message_tokens.
func (g *graph) listPermits(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	limit, after, fail := paging(r)
	if fail != nil {
		fail.answer(w)
		return
	}
	g.permits.mu.Lock()
	defer g.permits.mu.Unlock()
	var data []any
	for _, x := range g.permits.list {
		if x.key.page == p.id && !x.stopped && g.s.clock().Before(x.expires) {
			data = append(data, map[string]any{
				byRecurring: x.token, "recipient_id": x.key.psid, "creation_timestamp": x.created.UnixMilli(), "token_expiry_timestamp": x.expires.UnixMilli(),
				"user_token_status": "NOT_REFRESHED", "topic_title": x.title, "notification_messages_timezone": "UTC", "next_eligible_time": x.eligible.UnixMilli(),
			})
		}
	}
	answerPart(w, data, limit, after)
}

// laneRoutes are the Page's edges behind the lanes recurring and utility.
func (g *graph) laneRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /graph/{version}/{page}/notification_message_tokens", versioned(g.listPermits))
	mux.HandleFunc("GET /graph/{version}/{page}/message_templates", versioned(g.listTemplates))
	mux.HandleFunc("POST /graph/{version}/{page}/message_templates", versioned(g.makeTemplate))
}

// paging reads what part of a list is wanted: after is a number here.
func paging(r *http.Request) (limit, after int, fail *graphError) {
	limit = defaultListed
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxListed {
			return 0, 0, invalidParam("Param limit must be between 1 and %d", maxListed)
		}
		limit = n
	}
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, 0, invalidParam("Param after is not a cursor")
		}
		after = n
	}
	return limit, after, nil
}

// answerPart answers a part of a list as Graph does: with a cursor, and with a
// next page only where there is more.
func answerPart(w http.ResponseWriter, data []any, limit, after int) {
	end := min(after+limit, len(data))
	part := append([]any{}, data[min(after, len(data)):end]...)
	out := map[string]any{"data": part}
	if len(part) > 0 {
		where := map[string]any{"cursors": map[string]string{"after": strconv.Itoa(end)}}
		if end < len(data) {
			where["next"] = "https://graph.facebook.com/next"
		}
		out["paging"] = where
	}
	answerJSON(w, http.StatusOK, out)
}

package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const maxMailBytes = 30 << 20

// mailer is the stand-in for SendGrid's mail/send.
type mailer struct {
	s        *Simulator
	desk     *desk
	bearer   string // the Authorization header that is right; "" checks none
	mails    *table[string, []Mail]
	receipts *outbox[mailEvent]
	account  atomic.Pointer[SendGridAccount] // nil: all is well
	lists    mailLists
}

// Mail is what one recipient got, with the substitutions applied.
type Mail struct {
	MessageID           string // X-Message-Id of the request
	To, From, ReplyTo   string
	Subject, Text, HTML string
	Headers, CustomArgs map[string]string
	At                  time.Time
	Event               string // how it ends: delivered, bounce, dropped, spamreport
}

func newMailer(s *Simulator) *mailer {
	m := &mailer{s: s, desk: s.desks[SendGrid], mails: newTable[string, []Mail]()}
	if s.cfg.SendGridKey != "" {
		m.bearer = "Bearer " + s.cfg.SendGridKey
	}
	m.receipts = newOutbox(maxMailEvents, s.cfg.Receipts.Workers, s.cfg.Receipts.Linger, m.postEvents)
	return m
}

func (m *mailer) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /sendgrid/v3/mail/send", m.s.send(SendGrid, maxMailBytes, m.strike, m.send))
	m.accountRoutes(mux)
	m.listRoutes(mux)
}

// mailError is one entry of SendGrid's errors.
type mailError struct {
	Message string  `json:"message"`
	Field   *string `json:"field"`
	Help    *string `json:"help"`
}

// wrong says what is wrong with which field; an empty field is null.
func wrong(field, message string) *mailError {
	e := &mailError{Message: message}
	if field != "" {
		e.Field = &field
	}
	return e
}

func answerMailError(w http.ResponseWriter, status int, e *mailError) {
	answerJSON(w, status, map[string][]*mailError{"errors": {e}})
}

func (m *mailer) refuse(c *call, status int, e *mailError) {
	c.desk.refuse(strconv.Itoa(status))
	answerMailError(c.w, status, e)
}

// strike answers for a fault before acceptance.
func (m *mailer) strike(c *call, e early) {
	if e == broken {
		m.refuse(c, http.StatusInternalServerError, wrong("", "internal server error"))
		return
	}
	reset := m.s.clock().Add(max(c.faults.RetryAfter, time.Second)).Unix()
	h := c.w.Header()
	h.Set("X-RateLimit-Limit", "600")
	h.Set("X-RateLimit-Remaining", "0")
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset, 10))
	m.refuse(c, http.StatusTooManyRequests, wrong("", "too many requests"))
}

func (m *mailer) authorized(r *http.Request) bool {
	return same(m.bearer, r.Header.Get("Authorization"))
}

func errMailKey() *mailError {
	return wrong("", "The provided authorization grant is invalid, expired, or revoked")
}

// send is POST /v3/mail/send.
func (m *mailer) send(c *call) {
	if !m.authorized(c.r) {
		m.refuse(c, http.StatusUnauthorized, errMailKey())
		return
	}
	var req mailRequest
	if err := json.Unmarshal(c.body, &req); err != nil {
		m.refuse(c, http.StatusBadRequest, wrong(badField(err), "Bad Request"))
		return
	}
	if e := req.check(m.s.clock()); e != nil {
		m.refuse(c, http.StatusBadRequest, e)
		return
	}
	if e := m.invalid(&req); e != nil {
		m.refuse(c, http.StatusBadRequest, e)
		return
	}
	if status := m.turnedDown(&req); status != 0 {
		m.refuse(c, status, wrong("", "Refused on request of the simulation."))
		return
	}
	if req.MailSettings.Sandbox.Enable {
		c.w.WriteHeader(http.StatusOK)
		return
	}
	id := m.accept(c, &req)
	answer, falsely := m.s.late(c)
	if falsely {
		answerMailError(c.w, http.StatusInternalServerError, wrong("", "internal server error"))
	}
	if answer {
		c.w.Header().Set("X-Message-Id", id)
		c.w.WriteHeader(http.StatusAccepted)
	}
}

// badField is the field of the wrong JSON type, where the decoder knows it.
func badField(err error) string {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return wrongType.Field
	}
	return ""
}

// invalid names the first recipient whose address Refuse has taken as none.
func (m *mailer) invalid(req *mailRequest) *mailError {
	for i := range req.Personalizations {
		if m.desk.fate(req.Personalizations[i].To[0].Email) == "invalid" {
			return wrong("personalizations."+strconv.Itoa(i)+".to.0.email", "Does not contain a valid address.")
		}
	}
	return nil
}

// turnedDown is the status that Refuse asks for, if it asks for one.
func (m *mailer) turnedDown(req *mailRequest) int {
	for i := range req.Personalizations {
		status, err := strconv.Atoi(m.desk.fate(req.Personalizations[i].To[0].Email))
		if err == nil && status >= 400 && status < 600 {
			return status
		}
	}
	return 0
}

// accept takes every personalization as one mail.
func (m *mailer) accept(c *call, req *mailRequest) (id string) {
	id = newID()[:22]
	now := m.s.clock().UTC()
	tell := m.s.receipts()
	for i := range req.Personalizations {
		p := &req.Personalizations[i]
		to := p.To[0].Email
		end := m.end(c, to)
		c.desk.accept(to)
		if !m.s.cfg.Lean {
			mail := req.render(p)
			mail.MessageID, mail.At, mail.Event = id, now, end
			m.mails.with(to, func(all map[string][]Mail) { all[to] = append(all[to], mail) })
		}
		if tell {
			m.queueEvents(c, mailEvent{email: to, at: now.Unix(), messageID: id, place: i, args: req.args(p)}, end)
		}
	}
	return id
}

// end is what becomes of a mail: by what Refuse asked for, by a magic local
// part (bounce@, blocked@, dropped@, unsubscribed@, spamreport@, also with
// +anything), by chance, or delivered.
func (m *mailer) end(c *call, to string) string {
	if fate := m.desk.fate(to); isMailEnd(fate) {
		return fate
	}
	local, _, _ := strings.Cut(to, "@")
	local, _, _ = strings.Cut(local, "+")
	if isMailEnd(local) {
		return local
	}
	if c.desk.dice.hit(c.faults.RefuseRate) {
		return "bounce"
	}
	return "delivered"
}

func isMailEnd(word string) bool {
	switch word {
	case "bounce", "blocked", "dropped", "unsubscribed", "spamreport":
		return true
	}
	return false
}

// Mail returns what an address got, oldest first; nothing when lean.
func (s *Simulator) Mail(to string) []Mail {
	var got []Mail
	s.mail.mails.with(to, func(all map[string][]Mail) { got = append(got, all[to]...) })
	return got
}

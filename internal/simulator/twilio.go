package simulator

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const twilioVersion = "2010-04-01"

// twilio is the stand-in for Twilio's Messages.
type twilio struct {
	s        *Simulator
	desk     *desk
	basic    string // the Authorization header that is right; "" checks none
	texts    *table[string, []*SMS]
	optedOut *table[string, bool]
	receipts *outbox[smsStatus]
	order    atomic.Int64
	account  atomic.Pointer[TwilioAccount] // nil: all is well
}

// SMS is a text that was accepted.
type SMS struct {
	SID, To, From, Service, Body, StatusCallback string
	Status                                       string // as it ended: delivered, undelivered
	ErrorCode                                    int
	Segments                                     int
	Created                                      time.Time
	order                                        int64
}

func newTwilio(s *Simulator) *twilio {
	t := &twilio{
		s: s, desk: s.desks[Twilio],
		texts: newTable[string, []*SMS](), optedOut: newTable[string, bool](),
	}
	if sid := s.cfg.TwilioAccountSID; sid != "" {
		t.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(sid+":"+s.cfg.TwilioAuthToken))
	}
	t.receipts = newOutbox(1, 8*s.cfg.Receipts.Workers, s.cfg.Receipts.Linger, t.postStatus)
	return t
}

func (t *twilio) routes(mux *http.ServeMux) {
	const account = "/twilio/" + twilioVersion + "/Accounts/{account}"
	mux.HandleFunc("POST "+account+"/Messages.json", t.s.send(Twilio, 1<<20, t.strike, t.create))
	mux.HandleFunc("GET "+account+"/Messages.json", t.list)
	t.accountRoutes(mux)
}

// twilioError is an answer of Twilio that is not a success.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func smsError(status, code int, message string) *twilioError {
	return &twilioError{
		Code: code, Message: message, Status: status,
		MoreInfo: "https://www.twilio.com/docs/errors/" + strconv.Itoa(code),
	}
}

func (e *twilioError) write(c *call) {
	c.desk.refuse(strconv.Itoa(e.Code))
	e.answer(c.w)
}

func (e *twilioError) answer(w http.ResponseWriter) { answerJSON(w, e.Status, e) }

// strike answers for a fault before acceptance. Server errors come as JSON and
// as a proxy's HTML by turns, as they do from the real one.
func (t *twilio) strike(c *call, e early) {
	if e == throttled {
		if sec := int(c.faults.RetryAfter / time.Second); sec > 0 {
			c.w.Header().Set("Retry-After", strconv.Itoa(sec))
		}
		smsError(http.StatusTooManyRequests, 20429, "Too Many Requests").write(c)
		return
	}
	if c.desk.dice.next()&1 == 0 {
		smsError(http.StatusInternalServerError, 20500, "An internal server error has occurred").write(c)
		return
	}
	c.desk.refuse("503")
	c.w.Header().Set("Content-Type", "text/html")
	c.w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(c.w, "<html><body><h1>503 Service Unavailable</h1></body></html>")
}

// authorize checks the credentials and the account in the path.
func (t *twilio) authorize(r *http.Request, account string) *twilioError {
	if !same(t.basic, r.Header.Get("Authorization")) {
		return smsError(http.StatusUnauthorized, 20003, "Authenticate")
	}
	if sid := t.s.cfg.TwilioAccountSID; sid != "" && account != sid {
		return smsError(http.StatusNotFound, 20404, "The requested resource was not found")
	}
	return nil
}

// create is POST Messages.json.
func (t *twilio) create(c *call) {
	if e := t.authorize(c.r, c.r.PathValue("account")); e != nil {
		e.write(c)
		return
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		smsError(http.StatusBadRequest, 20001, "The form cannot be read").write(c)
		return
	}
	m, fail := t.read(form)
	if fail == nil {
		fail = t.turnedDown(c, m)
	}
	if fail != nil {
		fail.write(c)
		return
	}
	t.accept(c, m)
	answer, falsely := t.s.late(c)
	if falsely {
		smsError(http.StatusInternalServerError, 20500, "An internal server error has occurred").answer(c.w)
	}
	if answer {
		answerJSON(c.w, http.StatusCreated, m.first(c.r.PathValue("account")))
	}
}

// accept gives the text its id and its end, keeps it and queues its callbacks.
func (t *twilio) accept(c *call, m *SMS) {
	m.SID = "SM" + newID()
	m.Created = t.s.clock().UTC()
	m.order = t.order.Add(1)
	m.Segments = segments(m.Body)
	m.Status = "delivered"
	if m.ErrorCode == 0 && c.desk.dice.hit(c.faults.RefuseRate) {
		m.ErrorCode = 30005
	}
	if m.ErrorCode != 0 {
		m.Status = "undelivered"
	}
	if !t.s.cfg.Lean {
		t.texts.with(m.To, func(all map[string][]*SMS) { all[m.To] = append(all[m.To], m) })
	}
	c.desk.accept(m.To)
	c.desk.segments.Add(int64(m.Segments))
	t.queueReceipts(c, m)
}

// Texts returns what a number got, oldest first; nothing when lean.
func (s *Simulator) Texts(to string) []SMS {
	var got []SMS
	s.twilio.texts.with(to, func(all map[string][]*SMS) {
		for _, m := range all[to] {
			got = append(got, *m)
		}
	})
	return got
}

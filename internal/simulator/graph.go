package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// windowLength is how long after a person's action the Page may write freely.
const windowLength = 24 * time.Hour

// graph is the stand-in for Meta's Graph API.
type graph struct {
	s        *Simulator
	desk     *desk
	people   *table[personKey, *person]
	tokens   *table[string, *grant]
	receipts *outbox[Event]

	permits    permits
	templates  templates
	identities identities

	pagesMu sync.Mutex // for writers of pages
	pages   atomic.Pointer[pageSet]
}

// pageSet is replaced as a whole, so that sends read it without a lock.
type pageSet struct {
	byID    map[string]*page
	byToken map[string]*page
}

// page is one Facebook Page with what is set up on it.
type page struct {
	id, token, proof string

	mu         sync.Mutex
	fields     []string // webhook fields subscribed to
	getStarted string   // payload of the Get Started button
	setup      PageSetup
	uploads    []string // ids of its reusable attachments
	barred     []string // fields of profiles that the app may not read
}

func newGraph(s *Simulator) *graph {
	g := &graph{
		s: s, desk: s.desks[Graph],
		people: newTable[personKey, *person](), tokens: newTable[string, *grant](),
		permits: permits{byToken: map[string]*permit{}}, templates: templates{of: map[string][]*Template{}},
	}
	g.receipts = newOutbox(maxEntries, s.cfg.Receipts.Workers, s.cfg.Receipts.Linger, g.postReceipts)
	g.pages.Store(&pageSet{byID: map[string]*page{}, byToken: map[string]*page{}})
	for id, token := range s.cfg.Pages {
		g.addPage(id, token)
	}
	return g
}

// AddPage makes a Page known, or gives a known one another access token.
func (s *Simulator) AddPage(id, token string) { s.graph.addPage(id, token) }

func (g *graph) addPage(id, token string) {
	g.pagesMu.Lock()
	defer g.pagesMu.Unlock()
	old := g.pages.Load()
	next := &pageSet{byID: maps.Clone(old.byID), byToken: maps.Clone(old.byToken)}
	if p := old.byID[id]; p != nil {
		delete(next.byToken, p.token)
	}
	p := &page{id: id, token: token, proof: proof(g.s.cfg.AppSecret, token), getStarted: "GET_STARTED"}
	next.byID[id], next.byToken[token] = p, p
	g.pages.Store(next)
}

// proof is Meta's appsecret_proof; "" without a secret.
func proof(secret, token string) string {
	if secret == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

func (g *graph) routes(mux *http.ServeMux) {
	send := g.s.send(Graph, 1<<20, g.strike, g.send)
	mux.HandleFunc("POST /graph/{version}/{page}/messages", versioned(send))
	mux.HandleFunc("GET /graph/{version}/{page}", versioned(g.showNode))
	g.adminRoutes(mux)
	mux.HandleFunc("POST /graph/{version}/{page}/message_attachments", versioned(g.upload))
	g.threadRoutes(mux)
	g.laneRoutes(mux)
	mux.HandleFunc("/graph/", func(w http.ResponseWriter, _ *http.Request) { errPath().answer(w) })
}

func errPath() *graphError {
	return &graphError{status: http.StatusNotFound, code: 2500, message: "Unknown path components"}
}

// versioned lets only paths such as /v25.0/… through.
func versioned(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		major, ok := strings.CutPrefix(r.PathValue("version"), "v")
		major, minor, dotted := strings.Cut(major, ".")
		if _, err := strconv.Atoi(major); !ok || err != nil || !dotted || minor != "0" {
			errPath().answer(w)
			return
		}
		h(w, r)
	}
}

// strike answers for a fault before acceptance.
func (g *graph) strike(c *call, e early) {
	if e == throttled {
		if sec := int(c.faults.RetryAfter / time.Second); sec > 0 {
			c.w.Header().Set("Retry-After", strconv.Itoa(sec))
		}
		errThrottled(c.desk.dice.next()&1 == 0).write(c)
		return
	}
	errBroken().write(c)
}

// send is the Send API.
func (g *graph) send(c *call) {
	var m sendRequest
	if err := json.Unmarshal(c.body, &m); err != nil {
		invalidParam("The request body is not JSON of the expected form").write(c)
		return
	}
	p, fail := g.authorize(c.r, m.AccessToken)
	if fail == nil {
		fail = m.check()
	}
	if fail == nil {
		fail = p.owns(m.Message)
	}
	if fail != nil {
		fail.write(c)
		return
	}
	usage(c, p)
	mid, psid, fail := g.accept(c, p, &m)
	if fail != nil {
		fail.write(c)
		return
	}
	c.desk.accept(psid)
	answer, falsely := g.s.late(c)
	if falsely {
		errFalse().answer(c.w)
	}
	if answer {
		writeSent(c.w, psid, mid)
	}
}

func writeSent(w http.ResponseWriter, psid, mid string) {
	w.Header()["Content-Type"] = []string{"application/json; charset=UTF-8"}
	b := make([]byte, 0, 128)
	b = append(b, `{"recipient_id":`...)
	b = appendString(b, psid)
	b = append(b, `,"message_id":`...)
	b = appendString(b, mid)
	_, _ = w.Write(append(b, '}'))
}

// authorize finds the Page that a request speaks for, by path and token.
func (g *graph) authorize(r *http.Request, inBody string) (*page, *graphError) {
	query := r.URL.Query()
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		token = query.Get("access_token")
	}
	if token == "" {
		token = inBody
	}
	p := g.pages.Load().byToken[token]
	if p == nil || token == "" {
		return nil, errToken()
	}
	if !same(p.proof, query.Get("appsecret_proof")) {
		return nil, errProof()
	}
	if id := r.PathValue("page"); id != "me" && id != p.id {
		return nil, &graphError{status: http.StatusBadRequest, code: 100, subcode: 33,
			message: "Unsupported post request. Object does not exist or cannot be loaded due to missing permissions"}
	}
	return p, nil
}

// usage tells how much of its quota the Page has used.
func usage(c *call, p *page) {
	percent := c.faults.Usage
	regain := 0
	if percent >= 100 {
		regain = 1
	}
	n := strconv.Itoa(percent)
	c.w.Header()["X-Business-Use-Case-Usage"] = []string{`{"` + p.id + `":[{"type":"messenger","call_count":` + n +
		`,"total_cputime":` + n + `,"total_time":` + n + `,"estimated_time_to_regain_access":` + strconv.Itoa(regain) + `}]}`}
}

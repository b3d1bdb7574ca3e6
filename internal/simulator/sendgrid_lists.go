package simulator

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mailLists are SendGrid's suppression lists.
type mailLists struct {
	mu     sync.Mutex
	lists  map[string][]Suppressed // by name, oldest first
	calls  int
	refuse refusalOf
}

// Suppressed is somebody on one of SendGrid's lists.
type Suppressed struct {
	Email   string
	Created time.Time
}

// refusalOf is what the next so many calls are answered with.
type refusalOf struct {
	calls, status int
	after         time.Duration
}

// The lists: these, and "group/" with the number of an unsubscribe group.
func isMailList(name string) bool {
	switch name {
	case "bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes":
		return true
	}
	return strings.HasPrefix(name, "group/")
}

// Suppress puts people onto one of SendGrid's lists: bounces, blocks,
// spam_reports, invalid_emails, unsubscribes, or a group's, "group/17". Who is on
// it already stays. Another name is an error of the test, and panics.
func (s *Simulator) Suppress(list string, people ...Suppressed) {
	if !isMailList(list) {
		panic("simulator: no list " + list)
	}
	l := &s.mail.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(list, people)
}

func (l *mailLists) add(list string, people []Suppressed) {
	if l.lists == nil {
		l.lists = map[string][]Suppressed{}
	}
	there := make(map[string]bool, len(l.lists[list]))
	for _, p := range l.lists[list] {
		there[strings.ToLower(p.Email)] = true
	}
	for _, p := range people {
		if !there[strings.ToLower(p.Email)] {
			there[strings.ToLower(p.Email)] = true
			l.lists[list] = append(l.lists[list], p)
		}
	}
	slices.SortStableFunc(l.lists[list], func(a, b Suppressed) int { return a.Created.Compare(b.Created) })
}

// Unsuppress takes somebody off one of SendGrid's lists, and reports whether they
// were on it.
func (s *Simulator) Unsuppress(list, email string) bool {
	l := &s.mail.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.lists[list])
	l.lists[list] = slices.DeleteFunc(l.lists[list], func(p Suppressed) bool { return strings.EqualFold(p.Email, email) })
	return len(l.lists[list]) < before
}

// SuppressedOn returns the addresses on one of SendGrid's lists, oldest first.
func (s *Simulator) SuppressedOn(list string) []string {
	l := &s.mail.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []string{}
	for _, p := range l.lists[list] {
		out = append(out, p.Email)
	}
	return out
}

// RefuseLists has the next so many calls about lists answered with a status; a 429
// says that the next may come after the time given.
func (s *Simulator) RefuseLists(calls, status int, after time.Duration) {
	l := &s.mail.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refusalOf{calls, status, after}
}

// ListCalls is how many calls about lists there were.
func (s *Simulator) ListCalls() int {
	l := &s.mail.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

func (m *mailer) listRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sendgrid/v3/suppression/{list}", m.allowed("suppression.read", m.counted(m.showList)))
	mux.HandleFunc("GET /sendgrid/v3/asm/suppressions", m.allowed("asm.groups.suppressions.read", m.counted(m.showGroups)))
	mux.HandleFunc("POST /sendgrid/v3/asm/suppressions/global", m.allowed("asm.suppressions.global.create", m.counted(m.addGlobal)))
	mux.HandleFunc("DELETE /sendgrid/v3/asm/suppressions/global/{email}", m.allowed("asm.suppressions.global.delete", m.counted(m.dropGlobal)))
}

// counted counts a call, and answers those that RefuseLists wants refused.
func (m *mailer) counted(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if e := m.lists.next(); e.status != 0 {
			if e.after > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(e.after/time.Second)))
				w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(m.s.clock().Add(e.after).Unix(), 10))
			}
			answerMailError(w, e.status, wrong("", "not now"))
			return
		}
		h(w, r)
	}
}

func (l *mailLists) next() refusalOf {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.refuse.calls == 0 {
		return refusalOf{}
	}
	l.refuse.calls--
	return l.refuse
}

const mostListed = 500

// listQuery is what part of a list is asked for.
type listQuery struct {
	from, until   int64
	limit, offset int
}

// readListQuery refuses what the real one refuses.
func readListQuery(q url.Values) (l listQuery, bad string) {
	l = listQuery{until: 1 << 40, limit: mostListed}
	for name := range q {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if name != "email" && (err != nil || n < 0) {
			return l, name
		}
		switch name {
		case "start_time":
			l.from = n
		case "end_time":
			l.until = n
		case "limit":
			l.limit = int(n)
		case "offset":
			l.offset = int(n)
		}
	}
	if l.limit < 1 || l.limit > mostListed {
		return l, "limit"
	}
	return l, ""
}

// showList is GET /v3/suppression/{list}, newest first.
func (m *mailer) showList(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("list")
	if !isMailList(name) {
		answerMailError(w, http.StatusNotFound, wrong("", "not found"))
		return
	}
	q, bad := readListQuery(r.URL.Query())
	if bad != "" {
		answerMailError(w, http.StatusBadRequest, wrong(bad, "is not valid"))
		return
	}
	page := []map[string]any{}
	for _, p := range m.lists.part(name, q) {
		one := map[string]any{"created": p.Created.Unix(), "email": p.Email}
		switch name {
		case "bounces", "blocks":
			one["reason"], one["status"] = "550 5.1.1 <"+p.Email+">: no such user", "5.1.1"
		case "invalid_emails":
			one["reason"] = "Mail domain mentioned in email address is unknown"
		case "spam_reports":
			one["ip"] = "192.0.2.7"
		}
		page = append(page, one)
	}
	answerJSON(w, http.StatusOK, page)
}

// part is a page of a list.
func (l *mailLists) part(name string, q listQuery) []Suppressed {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.lists[name]
	first := lowerBound(all, q.from)
	last := lowerBound(all, q.until+1) - q.offset
	page := slices.Clone(all[min(max(first, last-q.limit), len(all)):max(last, first)])
	slices.Reverse(page)
	return page
}

// lowerBound is the place of the first who came at that second or later.
func lowerBound(all []Suppressed, second int64) int {
	at, _ := slices.BinarySearchFunc(all, second, func(p Suppressed, second int64) int {
		if p.Created.Unix() < second {
			return -1
		}
		return 1
	})
	return at
}

// showGroups is GET /v3/asm/suppressions: who is in which group, all at once.
func (m *mailer) showGroups(w http.ResponseWriter, _ *http.Request) {
	l := &m.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(l.lists)) {
		people := l.lists[name]
		id, err := strconv.Atoi(strings.TrimPrefix(name, "group/"))
		for _, p := range people {
			if err == nil {
				all = append(all, map[string]any{"email": p.Email, "group_id": id, "group_name": "News", "created_at": p.Created.Unix()})
			}
		}
	}
	answerJSON(w, http.StatusOK, all)
}

// addGlobal is POST /v3/asm/suppressions/global.
func (m *mailer) addGlobal(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Emails []string `json:"recipient_emails"`
	}
	dec := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil || len(ask.Emails) == 0 {
		answerMailError(w, http.StatusBadRequest, wrong("recipient_emails", "is required"))
		return
	}
	var people []Suppressed
	for _, email := range ask.Emails {
		if !isMailAddress(email) {
			answerMailError(w, http.StatusBadRequest, wrong("recipient_emails", email+" is not a valid email address"))
			return
		}
		people = append(people, Suppressed{Email: email, Created: m.s.clock()})
	}
	m.s.Suppress("unsubscribes", people...)
	answerJSON(w, http.StatusCreated, map[string][]string{"recipient_emails": ask.Emails})
}

// dropGlobal is DELETE /v3/asm/suppressions/global/{email}.
func (m *mailer) dropGlobal(w http.ResponseWriter, r *http.Request) {
	if !m.s.Unsuppress("unsubscribes", r.PathValue("email")) {
		answerMailError(w, http.StatusNotFound, wrong("", "resource not found"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

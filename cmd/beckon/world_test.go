package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db/dbtest"
	"beckon/internal/simulator"
)

const (
	testKey    = "bk_test_0123456789abcdef0123456789abcdef"
	testSecret = "test-secret-0123456789abcdef-0123456789"
)

// onBoth runs a test once on each engine, with the settings that name a
// migrated database of its own.
func onBoth(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, onSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, onPostgres(t))
	})
}

func onSQLite(t *testing.T) string   { return "BECKON_DATA_DIR=" + t.TempDir() }
func onPostgres(t *testing.T) string { return "BECKON_DATABASE_URL=" + dbtest.PostgresURL(t) }

// world is everything around the program: stand-ins for the providers, and an
// address that stays the same while nodes behind it come and go.
type world struct {
	sim      *simulator.Simulator
	settings []string
	logs     *journal
	gate     *httptest.Server
	node     atomic.Pointer[url.URL] // where the gate leads
	page     string
	hidden   []string // what no log line may hold
}

// newWorld opens stand-ins and the gate. change may be nil.
func newWorld(t *testing.T, database string, change func(*simulator.Config)) *world {
	t.Helper()
	w := &world{logs: &journal{}}
	w.gate = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", w.node.Load().Host },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(w.gate.Close)
	w.node.Store(&url.URL{Host: "127.0.0.1:1"}) // nobody is there yet
	c := simulator.Config{AppSecret: "app-secret-of-the-test", VerifyToken: "verify-token-of-the-test", Pages: map[string]string{simulatorPage: "page-token-of-the-test"},
		TwilioAccountSID: simulatorSID, TwilioAuthToken: "twiliotokenofthetest", SendGridKey: "SG.key-of-the-test", CallbackURL: w.gate.URL,
		Receipts: simulator.Receipts{ReadShare: 1, Retries: 100}} // receipts wait for the program, as long as a stop may take
	if change != nil {
		change(&c)
	}
	w.sim = simulator.New(c)
	l := listen(t)
	background(t, func(ctx context.Context) error { return w.sim.Serve(ctx, l) })
	w.hidden = []string{c.AppSecret, c.VerifyToken, "page-token-of-the-test", c.TwilioAuthToken, c.SendGridKey, testKey, testSecret, "beckon@127.0.0.1"}
	w.settings = append(standInSettings(w.sim, c, "http://"+l.Addr().String()), database, "BECKON_PUBLIC_URL="+w.gate.URL, "BECKON_SECRET_KEY="+testSecret,
		"BECKON_BOOTSTRAP_KEY="+testKey, "BECKON_LOG_FORMAT=json", "BECKON_LOG_LEVEL=debug", "BECKON_DEFAULT_REGION=GB", "BECKON_ADDR=127.0.0.1:0")
	return w
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// background runs something until the test ends, when it must end well.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
	})
}

// serving is a world with the program in it, wired and running as it is in
// production, with a page and a topic. At the end its log is read for what must
// not be in it.
func serving(t *testing.T, database string) *world {
	t.Helper()
	w, _ := servingApp(t, database, nil)
	return w
}

// servingApp is serving with the program in hand. change may be nil.
func servingApp(t *testing.T, database string, change func(*simulator.Config)) (*world, *app) {
	t.Helper()
	w := newWorld(t, database, change)
	t.Cleanup(func() { w.logs.holdsNone(t, w.hidden) })
	c, err := readConfig(w.environ)
	require.NoError(t, err)
	a, err := newApp(t.Context(), c, newLogger(c, w.logs))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.close()) })
	require.NoError(t, a.db.Migrate(t.Context()))
	require.NoError(t, a.bootstrap(t.Context()))
	l := listen(t)
	background(t, func(ctx context.Context) error { return a.run(ctx, l) })
	w.leadTo(l.Addr().String())
	w.open(t)
	return w, a
}

func (w *world) environ() []string     { return w.settings }
func (w *world) leadTo(address string) { w.node.Store(&url.URL{Host: address}) }

// open makes the page and the topic.
func (w *world) open(t *testing.T) {
	t.Helper()
	w.page = ask[struct{ ID string }](t, w, 201, "POST", "/v1/pages", map[string]any{"facebook_page_id": simulatorPage, "name": "Northern Courses",
		"username": "northerncourses", "access_token": "page-token-of-the-test"}).ID
	ask[any](t, w, 201, "POST", "/v1/topics", map[string]any{"slug": "courses", "title": "New courses in your town"})
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes a call of the API. Its error says that there was no answer.
func (w *world) call(ctx context.Context, method, path, kind string, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.gate.URL+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := w.gate.Client().Transport.RoundTrip(req) // follows no redirect
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// ask makes a call that must be answered with the status, and reads the answer.
func ask[T any](t require.TestingT, w *world, status int, method, path string, value any) (out T) {
	var body io.Reader
	kind := ""
	switch v := value.(type) {
	case nil:
	case file:
		body, kind = strings.NewReader(v.text), v.kind
	default:
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		body, kind = bytes.NewReader(raw), "application/json"
	}
	got, err := w.call(context.Background(), method, path, kind, body)
	require.NoError(t, err)
	require.Equal(t, status, got.status, "%s %s: %s", method, path, got.body)
	if got.body != "" {
		require.NoError(t, json.Unmarshal([]byte(got.body), &out), "%s %s: %s", method, path, got.body)
	}
	return out
}

// file is a body that is not JSON.
type file struct{ kind, text string }

const (
	ndjson = "application/x-ndjson"
	csv    = "text/csv"
)

// imported posts a file and waits until it is worked.
func (w *world) imported(t *testing.T, f file) importAnswer {
	t.Helper()
	id := ask[importAnswer](t, w, 202, "POST", "/v1/contacts/import?page_id="+w.page, f).ID
	return w.importDone(t, id)
}

func (w *world) importDone(t *testing.T, id string) (out importAnswer) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		out = ask[importAnswer](c, w, 200, "GET", "/v1/imports/"+id, nil)
		require.Equal(c, "finished", out.State, out.Problem)
	})
	return out
}

// list reads a list to its end.
func list[T any](t require.TestingT, w *world, path string) (all []T) {
	next := ""
	for {
		page := ask[struct {
			Data []T
			Next *string `json:"next_cursor"`
		}](t, w, 200, "GET", path+"?limit=200"+next, nil)
		all = append(all, page.Data...)
		if page.Next == nil {
			return all
		}
		next = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// eventually waits for something that happens by itself soon.
func eventually(t *testing.T, check func(c *assert.CollectT)) {
	t.Helper()
	require.EventuallyWithT(t, check, 2*time.Minute, 20*time.Millisecond)
}

// journal keeps log lines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines are the lines that say msg.
func (j *journal) lines(t require.TestingT, msg string) (out []map[string]any) {
	for line := range strings.Lines(j.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), "a log line is not JSON: %s", line)
		if msg == "" || fields["msg"] == msg {
			out = append(out, fields)
		}
	}
	return out
}

func (j *journal) holdsNone(t *testing.T, hidden []string) {
	t.Helper()
	text := j.String()
	assert.NotEmpty(t, text)
	for _, h := range hidden {
		if at := strings.Index(text, h); at >= 0 {
			start := strings.LastIndexByte(text[:at], '\n') + 1
			line, _, _ := strings.Cut(text[start:], "\n")
			assert.Fail(t, "a log line holds what it must not", "%q in %s", h, line)
		}
	}
}

// campaign drafts a campaign on the lanes and starts it.
func (w *world) campaign(t *testing.T, lanes ...string) string {
	t.Helper()
	c := courses(w.page, &season{name: "spring"})
	delete(c, "follow_up") // the conversation is another bot's
	c["topic"], c["route"] = "courses", lanes
	id := ask[struct{ ID string }](t, w, 201, "POST", "/v1/campaigns", c).ID
	ask[any](t, w, 202, "POST", "/v1/campaigns/"+id+"/start", nil)
	return id
}

func (w *world) report(t require.TestingT, campaign string) *reportAnswer {
	r := ask[reportAnswer](t, w, 200, "GET", "/v1/campaigns/"+campaign+"/report", nil)
	require.Equal(t, r.Audience, r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total, "the report does not add up")
	return &r
}

func (w *world) deliveries(t require.TestingT, campaign string) []deliveryAnswer {
	return list[deliveryAnswer](t, w, "/v1/campaigns/"+campaign+"/deliveries")
}

// crowd is people to import: so many for each lane, and so many for none.
type crowd struct{ window, oneTime, sms, email, nobody int }

// NDJSON makes the people known to the stand-ins and returns them as a file.
// Those of the window are to write to the page yet: see world.chat.
func (c crowd) file(w *world) file {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for i := range c.window {
		line(`{"external_id":"w%d","messenger":[{"page_id":%q,"psid":%q}]}`, i, w.page, psid("w", i))
	}
	for i := range c.oneTime {
		token := w.sim.GrantToken(simulatorPage, psid("t", i))
		w.sim.CloseWindow(simulatorPage, psid("t", i))
		w.hidden = append(w.hidden, token)
		line(`{"external_id":"t%d","messenger":[{"page_id":%q,"psid":%q}],"tokens":[{"page_id":%q,"topic":"courses","token":%q,"granted_at":%q}]}`,
			i, w.page, psid("t", i), w.page, token, time.Now().AddDate(0, -1, 0).Format(time.RFC3339))
	}
	for i := range c.sms {
		line(`{"external_id":"s%d","phone":%q,"consents":{"sms":{"status":"subscribed"}}}`, i, phone(i))
	}
	for i := range c.email {
		line(`{"external_id":"e%d","email":%q,"consents":{"email":{"status":"subscribed"}}}`, i, address(i))
	}
	for i := range c.nobody {
		line(`{"external_id":"n%d","first_name":"Nobody"}`, i)
	}
	w.hidden = append(w.hidden, "secretpsid", "+4477009", "@hidden.example.com")
	return file{ndjson, b.String()}
}

func (c crowd) size() int { return c.window + c.oneTime + c.sms + c.email + c.nobody }

func psid(kind string, i int) string { return fmt.Sprintf("secretpsid-%s-%d", kind, i) }
func phone(i int) string             { return fmt.Sprintf("+4477009%05d", i) }
func address(i int) string           { return fmt.Sprintf("person%d@hidden.example.com", i) }

// chat lets everybody of the window write to the page, and waits until that is
// known.
func (w *world) chat(t *testing.T, c crowd) {
	t.Helper()
	var events []simulator.Event
	for i := range c.window {
		events = append(events, simulator.Event{Kind: simulator.Said, Page: simulatorPage, PSID: psid("w", i), Text: "Hello"})
	}
	require.NoError(t, w.sim.PostEvents(t.Context(), events))
	eventually(t, func(ct *assert.CollectT) {
		open := 0
		for _, p := range list[contactAnswer](ct, w, "/v1/contacts") {
			if p.inWindow() {
				open++
			}
		}
		require.Equal(ct, c.window, open)
	})
}

// sentTo says how many messages each recipient took, over all providers.
func (w *world) sentTo() map[string]int {
	all := map[string]int{}
	for _, p := range simulator.Providers() {
		for to, n := range w.sim.AcceptedBy(p) {
			all[to] += n
		}
	}
	return all
}

// addressed says where each delivery with one of the states went.
func (w *world) addressed(t require.TestingT, campaign string, states ...string) map[string]int {
	people := map[string]contactAnswer{}
	for _, p := range list[contactAnswer](t, w, "/v1/contacts") {
		people[p.ID] = p
	}
	out := map[string]int{}
	for _, d := range w.deliveries(t, campaign) {
		p := people[d.ContactID]
		if !strings.Contains(strings.Join(states, " "), d.State) {
			continue
		}
		switch d.Lane {
		case "sms":
			out[p.Phone]++
		case "email":
			out[p.Email]++
		default:
			require.Len(t, p.Messenger, 1)
			out[p.Messenger[0].PSID]++
		}
	}
	return out
}

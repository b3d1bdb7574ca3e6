package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testPage    = "1001"
	testToken   = "page-token"
	testSecret  = "app-secret"
	testAccount = "AC00000000000000000000000000000000"
	testAuth    = "0123456789abcdef"
	testKey     = "SG.key"
	testService = "MG00000000000000000000000000000000"
)

// bot is the side that callbacks go to.
type bot struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	echo   string // answers the body of GETs; "" the challenge
	calls  []botCall
}

type botCall struct {
	path   string
	header http.Header
	body   []byte
}

func newBot(t testing.TB) *bot {
	b := &bot{status: http.StatusOK}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, botCall{r.URL.RequestURI(), r.Header, body})
	w.WriteHeader(b.status)
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, b.echo+r.URL.Query().Get("hub.challenge"))
	}
}

func (b *bot) answer(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// take returns the calls so far and forgets them.
func (b *bot) take() []botCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

// clock is a clock that stands still until told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bundle is a simulator behind HTTP, with a bot to call back.
type bundle struct {
	sim   *Simulator
	bot   *bot
	clock *clock
	url   string
}

func setup(t testing.TB, change ...func(*Config)) *bundle {
	b := &bundle{bot: newBot(t), clock: &clock{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}}
	cfg := Config{
		AppSecret: testSecret, VerifyToken: "verify", Pages: map[string]string{testPage: testToken, "1002": "other-token"},
		UtilityTemplates: []string{"visit/en"}, TwilioAccountSID: testAccount, TwilioAuthToken: testAuth,
		SendGridKey: testKey, CallbackURL: b.bot.URL, Clock: b.clock.Now, Seed: 7,
		Receipts: Receipts{Backoff: time.Microsecond, Linger: time.Millisecond},
	}
	for _, f := range change {
		f(&cfg)
	}
	b.sim = New(cfg)
	srv := httptest.NewServer(b.sim.Handler())
	b.url = srv.URL
	t.Cleanup(srv.Close)
	t.Cleanup(b.sim.Close)
	return b
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (b *bundle) do(t testing.TB, req *http.Request) reply {
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return reply{res.StatusCode, res.Header, string(body)}
}

func (b *bundle) request(t testing.TB, method, path, body string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	return req
}

func (b *bundle) get(t testing.TB, path string) reply {
	return b.do(t, b.request(t, http.MethodGet, path, ""))
}

// graphRequest is a send with the right credentials.
func (b *bundle) graphRequest(t testing.TB, body string) *http.Request {
	req := b.request(t, http.MethodPost, "/graph/v25.0/"+testPage+"/messages?appsecret_proof="+proof(testSecret, testToken), body)
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (b *bundle) graph(t testing.TB, body string) reply { return b.do(t, b.graphRequest(t, body)) }

// code is "code/subcode" of a Graph error.
func (r reply) code(t testing.TB) string {
	var e struct {
		Error struct {
			Code         int    `json:"code"`
			ErrorSubcode int    `json:"error_subcode"`
			FBTraceID    string `json:"fbtrace_id"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &e), r.body)
	require.NotEmpty(t, e.Error.FBTraceID)
	return (&graphError{code: e.Error.Code, subcode: e.Error.ErrorSubcode}).name()
}

func toPSID(psid, message string) string {
	return `{"recipient":{"id":"` + psid + `"},"messaging_type":"UPDATE","message":` + message + `}`
}

func toToken(token string) string {
	return `{"recipient":{"one_time_notif_token":"` + token + `"},"message":{"text":"back"}}`
}

// twilio sends a text; form holds what differs from a good one.
func (b *bundle) twilio(t testing.TB, change url.Values) reply {
	form := url.Values{"To": {"+14155550100"}, "MessagingServiceSid": {testService}, "Body": {"hi"}}
	for k, v := range change {
		form[k] = v
	}
	return b.do(t, b.twilioRequest(t, http.MethodPost, "/Messages.json", form.Encode()))
}

func (b *bundle) twilioRequest(t testing.TB, method, path, body string) *http.Request {
	req := b.request(t, method, "/twilio/2010-04-01/Accounts/"+testAccount+path, body)
	req.SetBasicAuth(testAccount, testAuth)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func (b *bundle) sendgrid(t testing.TB, body string) reply {
	req := b.request(t, http.MethodPost, "/sendgrid/v3/mail/send", body)
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", "application/json")
	return b.do(t, req)
}

// mailTo is a good request to these addresses.
func mailTo(addresses ...string) string {
	var to []string
	for _, a := range addresses {
		to = append(to, `{"to":[{"email":"`+a+`"}],"substitutions":{"%%n%%":"Ann"},"custom_args":{"rr_d":"17"}}`)
	}
	return `{"from":{"email":"shop@example.com"},"subject":"Hi %%n%%","content":[{"type":"text/plain","value":"Dear %%n%%"},` +
		`{"type":"text/html","value":"<p>%%n%%</p>"}],"personalizations":[` + strings.Join(to, ",") + `]}`
}

// messaging reads the events of Messenger webhooks, after checking their
// signature.
func messaging(t testing.TB, calls []botCall) []map[string]any {
	var all []map[string]any
	for _, c := range calls {
		require.Equal(t, "/webhooks/messenger", c.path)
		require.Equal(t, New(Config{AppSecret: testSecret}).sign(c.body).Get("X-Hub-Signature-256"), c.header.Get("X-Hub-Signature-256"))
		var body struct {
			Object string
			Entry  []struct {
				ID        string
				Messaging []map[string]any
			}
		}
		require.NoError(t, json.Unmarshal(c.body, &body))
		require.Equal(t, "page", body.Object)
		for _, e := range body.Entry {
			require.NotEmpty(t, e.ID)
			all = append(all, e.Messaging...)
		}
	}
	return all
}

func drain(t testing.TB, s *Simulator) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Drain(ctx))
}

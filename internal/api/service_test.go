package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/sms"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/event"
	"beckon/internal/health"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/loop"
	"beckon/internal/optout"
	"beckon/internal/page"
	"beckon/internal/privacy"
	"beckon/internal/queue"
	"beckon/internal/reply"
	"beckon/internal/seal"
	"beckon/internal/selftest"
	"beckon/internal/simulator"
	"beckon/internal/thread"
	"beckon/internal/timeline"
	"beckon/internal/token"
	"beckon/internal/trail"
	"beckon/internal/utility"
	"beckon/internal/webhook"
)

const (
	publicURL   = "https://go.example.com"
	appSecret   = "app-secret"
	verifyToken = "verify-token"
	twilioToken = "twilio-token"
	importLimit = 4 << 20
)

// carrier is a provider that takes everything, unless told otherwise.
type carrier struct {
	kind    channel.Kind
	outcome func(channel.Message) channel.Result

	mu   sync.Mutex
	sent []channel.Message
}

func (c *carrier) Kind() channel.Kind { return c.kind }
func (c *carrier) MaxBatch() int      { return 100 }

func (c *carrier) Send(_ context.Context, b channel.Batch) []channel.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]channel.Result, len(b.Messages))
	for i, m := range b.Messages {
		c.sent = append(c.sent, m)
		out[i] = channel.Result{Outcome: channel.Accepted, ProviderID: string(c.kind) + "-" + strconv.FormatInt(m.Delivery, 10)}
		if c.outcome != nil {
			out[i] = c.outcome(m)
		}
	}
	return out
}

// asker takes every "Notify Me".
type asker struct{}

func (asker) AskRecurring(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result {
	return asker{}.AskOptIn(ctx, page, psid, title, payload)
}

func (asker) AskOptIn(context.Context, channel.Page, string, string, string) channel.Result {
	return channel.Result{Outcome: channel.Accepted, ProviderID: "m_1"}
}

// threads does what it is asked, but passes nothing to the app 404.
type threads struct{}

func (threads) MoveThread(_ context.Context, _ channel.Page, m channel.ThreadMove) channel.Result {
	if m.Target == "404" {
		return channel.Result{Outcome: channel.Refused, Code: "100", Detail: "Graph refuses this message"}
	}
	return channel.Result{Outcome: channel.Accepted}
}

func (threads) ThreadOwner(context.Context, channel.Page, string) (string, channel.Result) {
	return thread.PageInbox, channel.Result{Outcome: channel.Accepted}
}

func (asker) Say(context.Context, uuid.UUID, channel.Lane, channel.Message) (channel.Result, error) {
	return channel.Result{Outcome: channel.Accepted, ProviderID: "m_2"}, nil
}

// service is the whole service behind its HTTP face, with carriers in the
// place of providers.
type service struct {
	*bundle
	parts    Parts
	queue    *queue.Queue
	carriers map[channel.Kind]*carrier
	mailKey  *ecdsa.PrivateKey
	marks    link.Coder
	upload   channel.Result // what Meta says to an upload
}

// speaker writes to single people through the carrier.
func (s *service) speaker(p Parts) *reply.Speaker {
	if c := s.carriers[channel.Messenger]; c != nil {
		return reply.New(reply.Parts{DB: p.DB, Pages: p.Pages, Lines: p.Lines, Sender: c, Now: s.clock.Now})
	}
	return nil
}

// eachService runs a test over both engines.
func eachService(t *testing.T, test func(t *testing.T, s *service)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) { test(t, newService(t, d)) })
}

// graph is Meta, as far as a Page is looked after.
func graph(t *testing.T, now func() time.Time) *messenger.Client {
	t.Helper()
	sim := simulator.New(simulator.Config{Pages: map[string]string{"104829305581": "EAAB-s3cr3t"}, AppSecret: "app-secret", Clock: now})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	client, err := messenger.New(messenger.Settings{GraphURL: server.URL + "/graph", GraphVersion: "v25.0", AppSecret: "app-secret"}, nil)
	require.NoError(t, err)
	return client
}

// newService sets everything up; channels named as absent are not.
func newService(t *testing.T, d *db.DB, absent ...channel.Kind) *service {
	t.Helper()
	s := &service{bundle: &bundle{t: t, contract: contract(t), clock: newClock(), logs: &logs{}, db: d}, carriers: map[channel.Kind]*carrier{},
		upload: channel.Result{Outcome: channel.Accepted}}
	log := slog.New(trail.Handler(slog.NewJSONHandler(s.logs, nil)))
	box, err := seal.New(bytes.Repeat([]byte("s"), seal.MinSecret))
	require.NoError(t, err)
	s.queue = queue.New(d, log)
	s.keys = NewKeys(d, s.clock.Now)
	s.key = s.newKey(Admin)
	p := Parts{Contract: s.contract, DB: d, Box: box, Keys: s.keys, Log: log, Now: s.clock.Now, ImportLimit: importLimit, PublicURL: publicURL, SMSHelp: helpText}
	p.Pages, p.Tokens = page.NewStore(d, box, s.clock.Now), token.NewStore(d, box, s.clock.Now)
	p.Lines, p.Events = line.NewStore(d, line.Rates{Messenger: 15, SMS: 1}, s.clock.Now), event.NewStore(d, s.clock.Now)
	meta := graph(t, s.clock.Now)
	p.Health = health.New(health.Parts{DB: d, Queue: s.queue, Pages: p.Pages, Graph: meta, Log: log, Now: s.clock.Now})
	p.Contacts = contact.New(d, s.queue, box, contact.Options{DefaultRegion: "GB", Now: s.clock.Now, MaxImport: importLimit, Grant: s.grant(p.Tokens)})
	p.Ledger = delivery.NewStore(d, s.clock.Now)
	p.Clicks = delivery.NewClicks(p.Ledger, log, time.Hour)
	s.wireChannels(&p, log, absent)
	p.OptIns = token.NewService(p.Tokens, token.Options{Pages: p.Pages, Asker: asker{}, Recurring: asker{}})
	p.Recurring = token.NewRecurring(p.Tokens, token.RecurringOptions{Queue: s.queue, Pages: p.Pages, Lister: meta, People: p.Contacts.FindOrMake})
	p.Templates = utility.New(utility.Parts{DB: d, Queue: s.queue, Pages: p.Pages, Graph: meta, Now: s.clock.Now})
	p.Threads = thread.New(thread.Parts{DB: d, Contacts: p.Contacts, Pages: p.Pages, Graph: threads{}, AppID: "100100", Now: s.clock.Now})
	p.SelfTests = selftest.New(selftest.Parts{DB: p.DB, Queue: s.queue, Box: p.Box, Pages: p.Pages, Tokens: p.Tokens, Asker: asker{}, Speaker: asker{}, Now: s.clock.Now})
	p.Privacy = privacy.New(privacy.Parts{DB: d, Queue: s.queue, Box: box, Contacts: p.Contacts, Log: log, Now: s.clock.Now,
		Signed: messenger.NewReceiver(messenger.Settings{AppSecret: appSecret}).ParseSignedRequest,
		Status: func(code string) string { return publicURL + "/deletion/" + code }})
	p.Answers = NewIdempotency(d, box, s.clock.Now)
	p.Answers.Register(s.queue)
	p.Captures = capture.New(capture.Parts{DB: d, Queue: s.queue, Contacts: p.Contacts, Now: s.clock.Now, Speaker: s.speaker(p)})
	p.Loop = loop.New(loop.Parts{DB: d, Queue: s.queue, Campaigns: p.Campaigns, Contacts: p.Contacts, Log: log, Now: s.clock.Now})
	require.NoError(t, s.queue.Open())
	s.parts = p
	h, err := New(p)
	require.NoError(t, err)
	s.e = h.(*echo.Echo) //nolint:errcheck,forcetypeassert // the test looks at its routes
	return s
}

func (s *service) grant(tokens *token.Store) contact.GrantFunc {
	return func(ctx context.Context, tx *db.Tx, grants []contact.Grant) error {
		out := make([]token.Grant, len(grants))
		for i, g := range grants {
			out[i] = token.Grant{ContactID: g.ContactID, PageID: g.PageID, Topic: g.Topic, Value: g.Value, Source: token.FromImport, GrantedAt: g.GrantedAt}
		}
		_, err := tokens.Grant(ctx, tx, out)
		return err
	}
}

func (s *service) wireChannels(p *Parts, log *slog.Logger, absent []channel.Kind) {
	senders, present := map[channel.Kind]channel.Sender{}, map[channel.Kind]bool{}
	for _, kind := range []channel.Kind{channel.Messenger, channel.SMS, channel.Email} {
		s.carriers[kind] = &carrier{kind: kind}
		senders[kind], present[kind] = s.carriers[kind], true
	}
	receivers, meta := s.receivers()
	for _, kind := range absent {
		delete(senders, kind)
		delete(present, kind)
		delete(receivers, kind)
	}
	if receivers[channel.Messenger] != nil {
		p.MetaVerify = meta.VerifySubscription
		p.Upload = func(context.Context, channel.Page, string, string) (string, channel.Result) {
			return "1745504518999123", s.upload
		}
	}
	key := p.Box.Key("link")
	p.Links, p.Unsubscribes = link.NewCoder(key, link.PurposeLink), link.NewCoder(key, link.PurposeUnsubscribe)
	s.marks = link.NewCoder(key, link.PurposeMark)
	p.Budgets = budget.NewStore(p.DB, s.clock.Now)
	p.Campaigns = campaign.NewService(p.DB, s.queue, campaign.Settings{Channels: present, Budgets: p.Budgets, Now: s.clock.Now,
		Sender: content.Sender{Name: "Harbour School", Postal: "1 Quay Street, Leeds LS1 1AA"}})
	p.Engine = dispatch.New(dispatch.Parts{
		DB: p.DB, Queue: s.queue, Campaigns: p.Campaigns, Contacts: p.Contacts, Tokens: p.Tokens, Ledger: p.Ledger, Pages: p.Pages, Lines: p.Lines, Purse: p.Budgets, Senders: senders,
		Link:        func(id int64) string { return publicURL + "/l/" + p.Links.Code(id) },
		Unsubscribe: func(id int64) string { return publicURL + "/u/" + p.Unsubscribes.Code(id) },
		Mark:        s.marks.Code,
		Segments:    sms.Segments, Country: budget.Country, Log: log, Now: s.clock.Now,
	}, dispatch.Sizes{Page: 3, Batch: 2, Parallel: 1})
	p.OptOuts = optout.New(optout.Parts{DB: p.DB, Queue: s.queue, Contacts: p.Contacts, Box: p.Box, KeepTexts: true, Now: s.clock.Now})
	p.Timelines = timeline.NewStore(p.DB, p.Contacts, p.OptOuts.Words)
	p.Inbox = webhook.New(webhook.Parts{
		DB: p.DB, Queue: s.queue, Receivers: receivers, Contacts: p.Contacts, Tokens: p.Tokens, Ledger: p.Ledger, Links: p.Links, Marks: s.marks,
		PageByGraph: pagesByGraph(p.Pages), Late: func(context.Context, channel.Kind, []channel.Event) error { return nil }, Log: log, Now: s.clock.Now,
		LinkBack: []webhook.Listener{p.OptOuts},
	})
}

func pagesByGraph(pages *page.Store) func(context.Context, []string) (map[string]uuid.UUID, error) {
	return func(ctx context.Context, graphIDs []string) (map[string]uuid.UUID, error) {
		found, err := pages.ByGraphID(ctx, graphIDs...)
		out := map[string]uuid.UUID{}
		for graphID, p := range found {
			out[graphID] = p.ID
		}
		return out, err
	}
}

func (s *service) receivers() (map[channel.Kind]channel.Receiver, *messenger.Receiver) {
	s.t.Helper()
	var err error
	s.mailKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	der, err := x509.MarshalPKIXPublicKey(&s.mailKey.PublicKey)
	require.NoError(s.t, err)
	meta := messenger.NewReceiver(messenger.Settings{AppSecret: appSecret, VerifyToken: verifyToken})
	texts, err := sms.NewReceiver(sms.Settings{AuthToken: twilioToken})
	require.NoError(s.t, err)
	mails, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: base64.StdEncoding.EncodeToString(der)})
	require.NoError(s.t, err)
	return map[channel.Kind]channel.Receiver{channel.Messenger: meta, channel.SMS: texts, channel.Email: mails}, meta
}

// do makes a call and holds the answer against the specification.
func (s *service) do(c call) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.bundle.do(c)
	s.conforms(c, w)
	return w
}

func (s *service) conforms(c call, w *httptest.ResponseRecorder) {
	s.t.Helper()
	where := c.Method + " " + c.Path + " → " + strconv.Itoa(w.Code)
	require.Less(s.t, w.Code, 500, "%s: %s\n%s", where, w.Body, s.logs)
	op := s.operation(c)
	if op == nil {
		s.problem(w)
		return
	}
	ref := op.Responses.Status(w.Code)
	require.NotNil(s.t, ref, "%s is not specified: %s", where, w.Body)
	if len(ref.Value.Content) == 0 {
		require.Empty(s.t, w.Body.String(), where)
		return
	}
	mediaType, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	require.NoError(s.t, err, where)
	media := ref.Value.Content[mediaType]
	require.NotNil(s.t, media, "%s: %s is not specified", where, mediaType)
	if media.Schema.Value.Type.Is("object") {
		value, err := parseJSON(w.Body.Bytes())
		require.NoError(s.t, err, where)
		require.NoError(s.t, media.Schema.Value.VisitJSON(value, append(s.contract.options, openapi3.VisitAsResponse())...), "%s: %s", where, w.Body)
	}
}

func (s *service) operation(c call) *openapi3.Operation {
	req := httptest.NewRequest(c.Method, c.Path, nil)
	route := s.e.NewContext(req, httptest.NewRecorder())
	s.e.Router().Find(c.Method, echo.GetPath(req), route)
	for path, item := range s.contract.doc.Paths.Map() {
		if echoPath(path) == route.Path() {
			return item.GetOperation(c.Method)
		}
	}
	return nil
}

// ask makes a call that must be answered with the status, and reads the answer.
func ask[T any](s *service, status int, method, path, body string) (out T) {
	s.t.Helper()
	c := call{Method: method, Path: path, Body: body}
	if method == http.MethodPatch {
		c.Headers = mergePatch
	}
	w := s.do(c)
	require.Equal(s.t, status, w.Code, "%s %s: %s", method, path, w.Body)
	if w.Body.Len() > 0 {
		require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &out))
	}
	return out
}

// refused makes a call that must be refused, and returns why.
func (s *service) refused(status int, code string, c call) map[string]string {
	s.t.Helper()
	w := s.do(c)
	require.Equal(s.t, status, w.Code, "%s %s: %s", c.Method, c.Path, w.Body)
	p := s.problem(w)
	require.Equal(s.t, code, p.Code, "%s", w.Body)
	return codes(p)
}

// work runs all jobs that are due, and those that they enqueue.
func (s *service) work() {
	s.t.Helper()
	require.NoError(s.t, s.queue.Drain(s.t.Context(), time.Now().Add(time.Hour)), s.logs.String())
}

// rows counts what is stored, to show that nothing was written.
func (s *service) rows() map[string]int64 {
	s.t.Helper()
	out := map[string]int64{}
	for _, table := range []string{"pages", "topics", "contacts", "messenger_addresses", "suppressions", "tokens", "opt_in_requests",
		"campaigns", "deliveries", "callbacks", "imports", "import_parts", "idempotency_keys", "river_job"} {
		var n int64
		require.NoError(s.t, s.db.Read(s.t.Context()).Table(table).Count(&n).Error)
		out[table] = n
	}
	return out
}

// queueNow enqueues a job that is due.
func (s *service) queueNow(args queue.Args) {
	s.t.Helper()
	require.NoError(s.t, s.db.Transact(s.t.Context(), func(tx *db.Tx) error {
		return s.queue.Insert(s.t.Context(), tx, queue.Order{Args: args})
	}))
}

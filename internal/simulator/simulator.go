// Package simulator holds stand-ins that behave like Meta's Send API, Twilio's
// Messages and SendGrid's mail/send over HTTP, and a phone to answer from, so
// that demo, tests and benchmarks reach no provider.
package simulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Provider names one stand-in; it is also the first segment of its URLs.
type Provider string

// The providers.
const (
	Graph    Provider = "graph"
	Twilio   Provider = "twilio"
	SendGrid Provider = "sendgrid"
)

// Providers returns all stand-ins.
func Providers() []Provider { return []Provider{Graph, Twilio, SendGrid} }

// Config says which credentials are right and how the stand-ins behave. The
// zero value works: credentials left empty are not checked.
type Config struct {
	AppID       string            // Meta app id, told in echoes
	AppSecret   string            // signs Messenger webhooks; when set, appsecret_proof is demanded
	VerifyToken string            // for VerifyWebhook
	Pages       map[string]string // Graph page id → access token
	// UtilityTemplates are the approved ones, as "name/language".
	UtilityTemplates []string

	TwilioAccountSID, TwilioAuthToken string
	TwilioNumber                      string // what people text to; default +15005550006
	AdvancedOptOut                    bool   // inbound STOP, START and HELP carry OptOutType

	SendGridKey        string
	SendGridWebhookKey *ecdsa.PrivateKey // P-256; made by New when nil

	// CallbackURL is the base URL that callbacks and the phone post to. Empty:
	// no callbacks, until SetCallbackURL.
	CallbackURL string
	Receipts    Receipts
	Lean        bool // keep counts, windows and tokens, but no message bodies

	// Check looks at every send and look-up before its stand-in does; what it
	// refuses is answered 400 and kept for SpecErrors. See Specs.Check.
	Check func(p Provider, r *http.Request, body []byte) error

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // default: silent
	Seed   uint64           // for the faults; 0 is a seed like any other
}

// Receipts says how the stand-ins tell what became of accepted messages.
type Receipts struct {
	Off       bool          // no receipts; the phone still posts
	ReadShare float64       // share of Messenger messages that are read at once, 0..1
	Linger    time.Duration // how long a batch waits to fill; default 5 ms
	Workers   int           // posts in flight per provider; default 4, Twilio eight times that
	// Retries is how often a failed post is tried again; default 8, and for
	// Twilio what its callback URL asks for (#rc=), one if it asks for nothing.
	Retries int
	Backoff time.Duration // before the first retry, doubled up to 5 s; default 100 ms
}

// Simulator is all three stand-ins. It is safe for use by many goroutines.
type Simulator struct {
	cfg      Config
	clock    func() time.Time
	log      *slog.Logger
	client   *http.Client
	callback atomic.Pointer[string]
	buffers  sync.Pool
	closing  chan struct{}
	closed   sync.Once
	desks    map[Provider]*desk // never changed after New
	specs    specLog

	graph  *graph
	twilio *twilio
	mail   *mailer
}

// New returns stand-ins for cfg. Receipts flow while Run runs, or when Drain is
// called.
func New(cfg Config) *Simulator {
	cfg = withDefaults(cfg)
	s := &Simulator{
		cfg: cfg, clock: cfg.Clock, log: cfg.Logger, client: callbackClient(),
		closing: make(chan struct{}), desks: make(map[Provider]*desk),
	}
	s.buffers.New = newBuffer
	s.SetCallbackURL(cfg.CallbackURL)
	for i, p := range Providers() {
		s.desks[p] = newDesk(cfg.Seed + uint64(i))
	}
	s.graph = newGraph(s)
	s.twilio = newTwilio(s)
	s.mail = newMailer(s)
	return s
}

func withDefaults(cfg Config) Config {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.AppID == "" {
		cfg.AppID = "100000000000001"
	}
	if cfg.TwilioNumber == "" {
		cfg.TwilioNumber = "+15005550006"
	}
	if cfg.SendGridWebhookKey == nil {
		// Only fails when the system has no randomness, and then it panics by itself.
		cfg.SendGridWebhookKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	cfg.Receipts = cfg.Receipts.withDefaults()
	return cfg
}

func (r Receipts) withDefaults() Receipts {
	if r.Linger == 0 {
		r.Linger = 5 * time.Millisecond
	}
	if r.Workers == 0 {
		r.Workers = 4
	}
	if r.Backoff == 0 {
		r.Backoff = 100 * time.Millisecond
	}
	return r
}

// retries is Receipts.Retries, or d when it was left open.
func (r Receipts) retries(d int) int {
	if r.Retries > 0 {
		return r.Retries
	}
	return d
}

// SetCallbackURL changes where callbacks go from now on; empty stops them.
func (s *Simulator) SetCallbackURL(base string) {
	base = strings.TrimRight(base, "/")
	s.callback.Store(&base)
}

// CallbackURL is the base URL in use, without a slash at its end.
func (s *Simulator) CallbackURL() string { return *s.callback.Load() }

// receipts reports whether receipts are to be made at all.
func (s *Simulator) receipts() bool {
	return !s.cfg.Receipts.Off && s.CallbackURL() != ""
}

// SendGridPublicKey is what verifies the event webhook: base64 of DER SPKI.
func (s *Simulator) SendGridPublicKey() string {
	// A P-256 key always has this form.
	der, _ := x509.MarshalPKIXPublicKey(&s.cfg.SendGridWebhookKey.PublicKey)
	return base64.StdEncoding.EncodeToString(der)
}

// Handler serves the stand-ins under /graph, /twilio and /sendgrid, and the
// controls under /counts, /faults, /people, /phone and /inbox.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	s.graph.routes(mux)
	s.twilio.routes(mux)
	s.mail.routes(mux)
	s.controlRoutes(mux)
	return mux
}

// Run posts receipts until ctx ends. What is still queued then is not posted.
func (s *Simulator) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	s.graph.receipts.run(ctx, g)
	s.twilio.receipts.run(ctx, g)
	s.mail.receipts.run(ctx, g)
	if err := g.Wait(); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	return nil
}

// Drain posts every queued receipt and waits for those in flight, whether or
// not Run runs. The error joins the posts of this call that failed.
func (s *Simulator) Drain(ctx context.Context) error {
	return errors.Join(s.graph.receipts.drain(ctx), s.twilio.receipts.drain(ctx), s.mail.receipts.drain(ctx))
}

// Close lets go of every request that a hang fault holds; call it before
// closing a test server around Handler. Serve calls it by itself.
func (s *Simulator) Close() {
	s.closed.Do(func() { close(s.closing) })
	s.client.CloseIdleConnections()
}

// Serve serves Handler on ln and posts receipts until ctx ends, then lets
// answers end for a moment and stops. It closes ln.
func (s *Simulator) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("simulator: serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.Close()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(stop) != nil { // it waits five seconds for connections that were never used
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}

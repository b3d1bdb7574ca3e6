// Package sms reaches people by text message through Twilio, and reads what
// Twilio's callbacks tell.
package sms

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	twilio "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
	"beckon/internal/fault"
)

const (
	maxBatch           = 500
	defaultTimeout     = 15 * time.Second
	defaultConcurrency = 32

	// statusPath is where Twilio reports on a delivery, below the public address.
	statusPath = "/webhooks/twilio/status/"
	// callbackRetries asks Twilio, in the way it wants to be asked, to repeat a
	// callback three times on connection trouble, timeouts and 5xx.
	callbackRetries = "#rc=3&rp=ct,rt,5xx"

	shortestValidity, longestValidity = time.Second, 36000 * time.Second
)

// Settings is what an operator configures.
type Settings struct {
	APIURL              string                    // "https://api.twilio.com"
	AccountSID          string                    //
	AuthToken           string                    // signs callbacks as well
	MessagingServiceSID string                    // the sender: this, or From, or both
	From                string                    //
	CallbackURL         string                    // our public address; without it no status comes back
	StopWords           []string                  // texts that mean STOP, beside those known in many languages
	Timeout             time.Duration             // of one call; 0 takes 15 s
	Concurrency         int                       // calls in flight per Send; 0 takes 32
	Country             func(phone string) string // nil knows none
	Now                 func() time.Time          // nil is by the real clock
}

// Client sends text messages. It implements channel.Sender.
type Client struct {
	settings    Settings
	base        *url.URL
	credentials *twilio.Credentials
	transport   *http.Transport
}

// New returns a client, or an error when the settings could not work. A nil
// transport takes one tuned for the settings.
func New(s Settings, transport *http.Transport) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(s.APIURL, "/"))
	if err != nil || base.Host == "" {
		return nil, invalid("api_url", "The Twilio address is not a full URL.")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.CallbackURL = strings.TrimRight(s.CallbackURL, "/")
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	if s.Concurrency <= 0 {
		s.Concurrency = defaultConcurrency
	}
	s.Now = clock(s.Now)
	if transport == nil {
		transport = wire.Transport(8 * s.Concurrency)
	}
	return &Client{
		settings: s, base: base, transport: transport,
		credentials: twilio.NewCredentials(s.AccountSID, s.AuthToken),
	}, nil
}

// clock is the real one unless another is set.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// check refuses what Twilio or its library would refuse for every message.
func (s Settings) check() error {
	if !alphanumeric(s.AccountSID) || !alphanumeric(s.AuthToken) {
		return invalid("credentials", "The Twilio account SID and auth token must be set, letters and digits only.")
	}
	if s.MessagingServiceSID == "" && s.From == "" {
		return invalid("sender", "Neither a messaging service nor a sender number is set.")
	}
	if s.CallbackURL == "" {
		return nil
	}
	u, err := url.Parse(s.CallbackURL)
	if err != nil || u.Host == "" || strings.Contains(u.Host, "_") {
		return invalid("callback_url", "The callback address must be a full URL whose host has no underscore.")
	}
	return nil
}

func (s Settings) country(phone string) string {
	if s.Country == nil {
		return ""
	}
	return s.Country(phone)
}

func invalid(code, detail string) error {
	return fault.New(fault.Invalid, "twilio_"+code, "%s", detail)
}

func alphanumeric(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Kind is channel.SMS.
func (c *Client) Kind() channel.Kind { return channel.SMS }

// MaxBatch is the largest number of messages Send takes at once.
func (c *Client) MaxBatch() int { return maxBatch }

// Send posts the messages, several at a time. Once Twilio says that the
// account or sender itself is the problem, the messages not yet begun come
// back as TryLater without a call; so do those to a country once it sends nothing
// there.
func (c *Client) Send(ctx context.Context, b channel.Batch) []channel.Result {
	results := make([]channel.Result, len(b.Messages))
	var stopped atomic.Bool
	var closed sync.Map // countries that turned out to be closed
	await := func(i int) bool { return !stopped.Load() && b.Await(ctx, i) && !stopped.Load() }
	begun := wire.Each(c.settings.Concurrency, len(results), await, func(i int) {
		if b.Silent(i) {
			results[i] = channel.LeftOut()
			return
		}
		country := c.settings.country(b.Messages[i].To)
		if _, is := closed.Load(country); is {
			results[i] = abroad
			return
		}
		results[i] = c.sendOne(ctx, &b.Messages[i])
		if results[i].Countrywide && country != "" {
			closed.Store(country, true)
		}
		if results[i].Outcome == channel.StopTheLine {
			stopped.Store(true)
		}
	})
	rest := held
	if ctx.Err() != nil {
		rest = cancelled
	}
	for i := begun; i < len(results); i++ {
		results[i] = rest
	}
	return results
}

// sendOne makes its own small client: the library keeps a call's state in it.
func (c *Client) sendOne(caller context.Context, m *channel.Message) channel.Result {
	if caller.Err() != nil {
		return cancelled
	}
	ctx, cancel := context.WithTimeout(caller, c.settings.Timeout)
	defer cancel()
	t := &trip{ctx: ctx, caller: caller, base: c.base, transport: c.transport, now: c.settings.Now()}
	answer, err := c.service(t).CreateMessage(c.params(m))
	return t.judge(answer, err, c.settings.From)
}

// service is Twilio's library around one trip.
func (c *Client) service(t *trip) *api.ApiService {
	sdk := &twilio.Client{Credentials: c.credentials, HTTPClient: &http.Client{Transport: t, CheckRedirect: stay}}
	sdk.SetAccountSid(c.settings.AccountSID)
	// The handler is made by hand: its constructor would read a region from
	// the environment.
	return api.NewApiService(&twilio.RequestHandler{Client: sdk})
}

func (c *Client) params(m *channel.Message) *api.CreateMessageParams {
	p := new(api.CreateMessageParams).SetTo(m.To).SetBody(string(m.Body))
	if c.settings.MessagingServiceSID != "" {
		p.SetMessagingServiceSid(c.settings.MessagingServiceSID)
	}
	if c.settings.From != "" {
		p.SetFrom(c.settings.From)
	}
	if c.settings.CallbackURL != "" {
		p.SetStatusCallback(c.settings.CallbackURL + statusPath + strconv.FormatInt(m.Delivery, 10) + callbackRetries)
	}
	if !m.ValidUntil.IsZero() {
		p.SetValidityPeriod(int(min(max(m.ValidUntil.Sub(c.settings.Now()), shortestValidity), longestValidity).Seconds()))
	}
	return p
}

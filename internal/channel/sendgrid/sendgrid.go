// Package sendgrid reaches people by e-mail through SendGrid, and reads what
// SendGrid's event webhook tells.
package sendgrid

import (
	"context"
	"net/http"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/sendgrid/rest"
	sdk "github.com/sendgrid/sendgrid-go"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
	"beckon/internal/channel/wire"
	"beckon/internal/fault"
)

const (
	// maxBatch is half of what SendGrid takes: a lost answer puts a whole
	// request in doubt.
	maxBatch       = 500
	defaultTimeout = 30 * time.Second
	idleConns      = 64
)

// Settings is what an operator configures.
type Settings struct {
	APIURL     string        // "https://api.sendgrid.com"
	Key        string        // API key with the right to send mail
	WebhookKey string        // base64 public key of the event webhook; events are refused without it
	From       string        // a verified sender
	FromName   string        //
	Timeout    time.Duration // of one request; 0 takes 30 s
}

// Client sends e-mails. It implements channel.Sender.
type Client struct {
	request  rest.Request // without a body; copied for each call, its map is only read
	http     *rest.Client
	timeout  time.Duration
	from     string
	fromName string
	domain   string // of from
}

// New returns a client, or an error when the settings could not work. A nil
// transport takes one tuned for many batches at once.
func New(s Settings, transport *http.Transport) (*Client, error) {
	base, err := url.Parse(s.APIURL)
	if err != nil || base.Host == "" {
		return nil, invalid("api_url", "The SendGrid address is not a full URL.")
	}
	if s.Key == "" || strings.ContainsAny(s.Key, " \r\n\t") {
		return nil, invalid("key", "The SendGrid key is not set, or has spaces in it.")
	}
	if _, err := netmail.ParseAddress(s.From); err != nil {
		return nil, invalid("from", "The sender is not an e-mail address.")
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	if transport == nil {
		transport = wire.Transport(idleConns)
	}
	request := sdk.GetRequest(s.Key, "/v3/mail/send", strings.TrimRight(s.APIURL, "/"))
	request.Method = rest.Post
	return &Client{
		request: request,
		http:    &rest.Client{HTTPClient: &http.Client{Transport: transport, CheckRedirect: stay}},
		timeout: s.Timeout, from: s.From, fromName: s.FromName, domain: email.Domain(s.From),
	}, nil
}

func invalid(code, detail string) error {
	return fault.New(fault.Invalid, "sendgrid_"+code, "%s", detail)
}

// Kind is channel.Email.
func (c *Client) Kind() channel.Kind { return channel.Email }

// MaxBatch is the largest number of messages Send takes at once.
func (c *Client) MaxBatch() int { return maxBatch }

// Send hands the messages over in one request, and more only where one cannot
// do: a recipient whom SendGrid refuses is left out and the others are tried
// again, a request too large is halved, and a message whose values do not fit
// into a substitution set, or look like holes, is written out and goes alone. All messages of a
// request get the same provider id.
func (c *Client) Send(ctx context.Context, b channel.Batch) []channel.Result {
	s := &sending{client: c, batch: &b, results: make([]channel.Result, len(b.Messages))}
	s.run(ctx)
	return s.results
}

// Package smtp reaches people by e-mail through any SMTP server, and reads the
// bounces and complaints that come back as e-mails.
package smtp

import (
	"context"
	"crypto/x509"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
	"beckon/internal/fault"
)

const (
	maxBatch           = 500
	defaultTimeout     = 30 * time.Second
	defaultConnections = 8
	// idleFor is how long an unused connection is kept: servers hang up after
	// some minutes, busy ones sooner.
	idleFor = 30 * time.Second
)

// Settings is what an operator configures.
type Settings struct {
	// URL of the server: smtp://user:password@host:587, or smtps:// where the
	// connection is encrypted from the start. See Parse for the rest.
	URL         string
	From        string        // sender, an address
	FromName    string        //
	Connections int           // to the server at once, by this client; 0 takes 8
	Timeout     time.Duration // of one message, and of setting a connection up; 0 takes 30 s
	DKIM        DKIM          // how messages are signed here; empty leaves that to the server
	// Bounce is where bounces go, for example bounces@example.com: each message
	// is sent from an address of its own that is made of it. Without it bounces
	// go to From.
	Bounce string
	// BounceToken is the secret of those who hand bounces in; without one they
	// are refused.
	BounceToken string
	Roots       *x509.CertPool // whose certificates are trusted; nil takes the system's
}

// Client sends e-mails. It implements channel.Sender.
type Client struct {
	server      server
	from        netmail.Address
	domain      string // of from
	bounce      returnPath
	dkim        *signer
	connections int
	timeout     time.Duration
	roots       *x509.CertPool
	pool        *pool
	now         func() time.Time
}

// New returns a client, or an error when the settings could not work. It makes
// no connection.
func New(s Settings) (*Client, error) {
	server, err := parse(s.URL)
	if err != nil {
		return nil, err
	}
	if !bare(s.From) {
		return nil, invalid("from", "The sender is not an e-mail address.")
	}
	bounce, err := newReturnPath(s.Bounce)
	if err != nil {
		return nil, err
	}
	sign, err := s.DKIM.signer(email.Domain(s.From))
	if err != nil {
		return nil, err
	}
	c := &Client{server: server, from: netmail.Address{Name: oneLine(s.FromName), Address: s.From}, domain: email.Domain(s.From),
		bounce: bounce, dkim: sign, connections: s.Connections, timeout: s.Timeout, roots: s.Roots, now: time.Now}
	if c.connections <= 0 {
		c.connections = defaultConnections
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	c.pool = newPool(c.connections)
	return c, nil
}

// WithKey returns the client with the key that proves to its Receiver, which has
// the same, whom a bounce is about.
func (c *Client) WithKey(key []byte) *Client {
	with := *c
	with.bounce.key = key
	return &with
}

// Kind is channel.Email.
func (c *Client) Kind() channel.Kind { return channel.Email }

// MaxBatch is the largest number of messages Send takes at once.
func (c *Client) MaxBatch() int { return maxBatch }

// Send hands the messages over one by one, over a few connections that are kept
// for the next. A server that cannot be reached, asks to slow down or refuses the
// sender ends the batch: the rest comes back as TryLater. What was not yet
// handed over in full is never taken, so only a message whose end was written and
// not answered is Unknown.
func (c *Client) Send(ctx context.Context, b channel.Batch) []channel.Result {
	s := &sending{client: c, batch: &b, results: make([]channel.Result, len(b.Messages))}
	s.run(ctx)
	return s.results
}

func invalid(code, detail string) error {
	return fault.New(fault.Invalid, "smtp_"+code, "%s", detail)
}

// bare reports whether v is one address in ASCII and nothing else.
func bare(v string) bool {
	a, err := netmail.ParseAddress(v)
	return err == nil && a.Address == v && a.Name == "" && ascii(v)
}

func ascii(v string) bool {
	return strings.IndexFunc(v, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// oneLine makes a header's value of what somebody wrote.
func oneLine(v string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, v))
}

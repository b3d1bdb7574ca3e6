package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	protocol "github.com/wneessen/go-mail/smtp"

	"beckon/internal/channel"
)

// What becomes of messages that were not handed over in full.
var (
	cancelled = channel.Result{Outcome: channel.TryLater, Detail: "not sent: stopped before the call"}
	held      = channel.Result{Outcome: channel.TryLater, Detail: "not sent: sending was stopped"}
	unreached = channel.Result{Outcome: channel.TryLater, Detail: "not sent: no connection to the SMTP server", Unreached: true}
	hungUp    = channel.Result{Outcome: channel.TryLater, Detail: "not sent: the connection to the SMTP server was lost before the mail was handed over", Unreached: true}
	lost      = channel.Result{Outcome: channel.Unknown, Detail: "sent, but the SMTP server's answer was lost"}
)

// conn is one connection, used by one goroutine at a time.
type conn struct {
	raw    net.Conn // under the encryption
	smtp   *protocol.Client
	used   bool // has carried a message
	expiry *time.Timer
}

// refusal is why there is no connection.
type refusal struct{ result channel.Result }

func (r refusal) Error() string { return r.result.Detail }

// connect makes a connection that is ready for a message. The error is a refusal.
func (c *Client) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.server.address())
	if err != nil {
		return nil, refusal{gone(ctx, unreached)}
	}
	ready := guard(ctx, raw, c.timeout)
	client, err := c.introduce(ctx, raw)
	if !ready() && err == nil {
		err = refusal{gone(ctx, unreached)}
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &conn{raw: raw, smtp: client}, nil
}

// guard lets a connection answer for a while, or until ctx ends. The caller calls
// release, which is false when ctx has ended and the connection cannot be used
// any more.
func guard(ctx context.Context, raw net.Conn, d time.Duration) (release func() bool) {
	_ = raw.SetDeadline(time.Now().Add(d))
	return context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
}

// gone is what a broken connection means: the caller's own will comes first.
func gone(ctx context.Context, otherwise channel.Result) channel.Result {
	if errors.Is(ctx.Err(), context.Canceled) {
		return cancelled
	}
	return otherwise
}

// introduce goes through greeting, encryption and login.
func (c *Client) introduce(ctx context.Context, raw net.Conn) (*protocol.Client, error) {
	under := raw
	if c.server.security == implicit {
		encrypted := tls.Client(raw, c.tls())
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, c.noTLS(ctx, err)
		}
		under = encrypted
	}
	client, err := protocol.NewClient(under, c.server.host)
	if err != nil {
		return nil, failed(ctx, greeting, err)
	}
	client.SkipSMTPUTF8(true) // addresses are ASCII, and a relay need not know more
	if err := client.Hello(c.domain); err != nil {
		return nil, failed(ctx, greeting, err)
	}
	if err := c.encrypt(ctx, client); err != nil {
		return nil, err
	}
	if err := c.logIn(ctx, client); err != nil {
		return nil, err
	}
	client.SetDSNMailReturnOption("HDRS") // a bounce need not carry the text around
	client.SetDSNRcptNotifyOption("FAILURE")
	return client, nil
}

func (c *Client) tls() *tls.Config {
	return &tls.Config{ServerName: c.server.host, RootCAs: c.roots, MinVersion: tls.VersionTLS12}
}

func (c *Client) encrypt(ctx context.Context, client *protocol.Client) error {
	offered, _ := client.Extension("STARTTLS")
	switch {
	case c.server.security == implicit || c.server.security == plain:
		return nil
	case !offered && c.server.security == opportunistic:
		return nil
	case !offered:
		return refusal{stopped("the SMTP server does not offer encryption by STARTTLS")}
	}
	if err := client.StartTLS(c.tls()); err != nil {
		return c.noTLS(ctx, err)
	}
	return nil
}

// noTLS tells a certificate that is not trusted, which stays so, from a
// connection that broke.
func (c *Client) noTLS(ctx context.Context, err error) error {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return refusal{stopped("the SMTP server's certificate is not trusted, or is for another host")}
	}
	var odd tls.RecordHeaderError
	if errors.As(err, &odd) {
		return refusal{stopped("the SMTP server does not speak TLS on this port: smtps:// is for port 465, smtp:// for 587")}
	}
	return failed(ctx, greeting, err)
}

func (c *Client) logIn(ctx context.Context, client *protocol.Client) error {
	if c.server.user == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	_, notEncrypted := client.GetTLSConnectionState()
	auth := c.auth(strings.Fields(strings.ToUpper(offered)), notEncrypted == nil || c.server.local())
	if auth == nil {
		return refusal{stopped("the SMTP server offers no way to log in, or none without encryption")}
	}
	if err := client.Auth(auth); err != nil {
		return failed(ctx, login, err)
	}
	return nil
}

// auth picks a way to log in. Where somebody may listen, only one that does not
// show the password.
func (c *Client) auth(offered []string, private bool) protocol.Auth {
	s := c.server
	switch {
	case private && slices.Contains(offered, "PLAIN"):
		return protocol.PlainAuth("", s.user, s.password, s.host, true)
	case private && slices.Contains(offered, "LOGIN"):
		return protocol.LoginAuth(s.user, s.password, s.host, true)
	case slices.Contains(offered, "SCRAM-SHA-256"):
		return protocol.ScramSHA256Auth(s.user, s.password)
	case slices.Contains(offered, "CRAM-MD5"):
		return protocol.CRAMMD5Auth(s.user, s.password)
	}
	return nil
}

// failed is why setting a connection up failed. What the server said goes no
// further than its codes.
func failed(ctx context.Context, at stage, err error) error {
	if r, ok := replyOf(err); ok {
		return refusal{r.result(at)}
	}
	return refusal{gone(ctx, unreached)}
}

// quit says goodbye and hangs up.
func (c *conn) quit() {
	_ = c.raw.SetDeadline(time.Now().Add(time.Second))
	_ = c.smtp.Quit()
	_ = c.raw.Close()
}

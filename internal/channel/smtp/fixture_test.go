package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	server "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
)

const (
	user     = "beckon-user"
	password = "p@ss/w:rd-of-the-tests"
)

// arrived is a message as it came to the office.
type arrived struct {
	from, to string
	raw      []byte
	conn     int // number of the connection
	options  server.MailOptions
	notify   []server.DSNNotify
}

func (a arrived) message(tb testing.TB) *mail.Message {
	tb.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(a.raw))
	require.NoError(tb, err)
	return m
}

// office is a real SMTP server that takes everything, but for what its rules say.
type office struct {
	onConn func(c *server.Conn, n int) error
	onMail func(from string) error
	onRcpt func(to string) error
	// onData answers a message; reads says how much of it is read before.
	onData func(c *server.Conn, a arrived) error
	onOpen func(c *server.Conn, r io.Reader) error // before the message is read
	auth   map[string]string
	tls    *tls.Config
	start  func(s *server.Server)

	mu     sync.Mutex
	got    []arrived
	conns  int
	logins []string // mechanisms
}

func (o *office) letters() []arrived {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]arrived(nil), o.got...)
}

func (o *office) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}

// open starts the office and returns host and port.
func (o *office) open(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	o.serve(tb, l)
	return l.Addr().String()
}

func (o *office) serve(tb testing.TB, l net.Listener) {
	s := server.NewServer(server.BackendFunc(func(c *server.Conn) (server.Session, error) {
		o.mu.Lock()
		o.conns++
		n := o.conns
		o.mu.Unlock()
		if o.onConn != nil {
			if err := o.onConn(c, n); err != nil {
				return nil, err
			}
		}
		return &session{office: o, conn: c, n: n}, nil
	}))
	s.Domain, s.AllowInsecureAuth, s.EnableDSN, s.EnableSMTPUTF8, s.TLSConfig = "mx.shop.example", true, true, true, o.tls
	s.ErrorLog = log.New(io.Discard, "", 0)
	if o.start != nil {
		o.start(s)
	}
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(func() { _ = s.Close() })
}

// session is one connection to the office.
type session struct {
	office *office
	conn   *server.Conn
	n      int
	now    arrived
}

func (s *session) Reset()        { s.now = arrived{} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, o *server.MailOptions) error {
	if s.office.onMail != nil {
		if err := s.office.onMail(from); err != nil {
			return err
		}
	}
	s.now = arrived{from: from, conn: s.n, options: *o}
	return nil
}

func (s *session) Rcpt(to string, o *server.RcptOptions) error {
	if s.office.onRcpt != nil {
		if err := s.office.onRcpt(to); err != nil {
			return err
		}
	}
	s.now.to, s.now.notify = to, o.Notify
	return nil
}

func (s *session) Data(r io.Reader) error {
	if s.office.onOpen != nil {
		if err := s.office.onOpen(s.conn, r); err != nil {
			return err
		}
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.now.raw = raw
	if s.office.onData != nil {
		if err := s.office.onData(s.conn, s.now); err != nil {
			return err
		}
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.got = append(s.office.got, s.now)
	return said(250, "2.0.0", "Ok: queued as Q"+strconv.Itoa(len(s.office.got))+"ABC")
}

func (s *session) AuthMechanisms() []string {
	var out []string
	for _, m := range []string{"PLAIN", "LOGIN"} {
		if s.office.auth != nil {
			out = append(out, m)
		}
	}
	return out
}

func (s *session) Auth(mech string) (sasl.Server, error) {
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.logins = append(s.office.logins, mech)
	return sasl.NewPlainServer(func(_, name, secret string) error {
		if s.office.auth[name] != secret {
			return said(535, "5.7.8", "Authentication credentials invalid for "+name)
		}
		return nil
	}), nil
}

// said is a reply of the office.
func said(code int, status, text string) *server.SMTPError {
	e := &server.SMTPError{Code: code, EnhancedCode: server.NoEnhancedCode, Message: text}
	if status != "" {
		_, _ = fmt.Sscanf(status, "%d.%d.%d", &e.EnhancedCode[0], &e.EnhancedCode[1], &e.EnhancedCode[2])
	}
	return e
}

// hangUp closes the connection without a word.
func hangUp(c *server.Conn) error {
	_ = c.Conn().Close()
	return io.ErrClosedPipe
}

func settings(address string) smtp.Settings {
	return smtp.Settings{URL: "smtp://" + address + "?starttls=none", From: "news@shop.example", FromName: "The Shop", Connections: 4}
}

func newClient(tb testing.TB, s smtp.Settings) *smtp.Client {
	tb.Helper()
	c, err := smtp.New(s)
	require.NoError(tb, err)
	return c.WithKey([]byte("key of the tests"))
}

// to opens the office and returns a client for it.
func (o *office) client(tb testing.TB) *smtp.Client {
	tb.Helper()
	return newClient(tb, settings(o.open(tb)))
}

// mark is the mark of a delivery in these tests.
func mark(delivery int64) string { return fmt.Sprintf("Mark0000%08d", delivery) }

// mails makes n messages of one mail, numbered from 1.
func mails(n int) channel.Batch {
	b := channel.Batch{Lane: channel.LaneEmail, Campaign: "0198c5a4-campaign", Mail: channel.Mail{
		Subject: "Back in stock, %%b0t%%",
		HTML:    `<p>Dear %%b0h%%, <a href="%%b1%%">come back</a></p>`,
		Text:    "Dear %%b0t%%, come back: %%b1%%",
		Holes:   []string{"%%b0h%%", "%%b0t%%", "%%b1%%"},
	}}
	for i := range n {
		b.Messages = append(b.Messages, channel.Message{
			Delivery: int64(i + 1), Mark: mark(int64(i + 1)), To: fmt.Sprintf("person%d@example.com", i+1),
			Fill:        []string{"Ann &amp; Bo", "Ann & Bo", fmt.Sprintf("https://go.example/l/%06d", i)},
			Unsubscribe: fmt.Sprintf("https://go.example/u/%06d", i),
		})
	}
	return b
}

func outcomes(results []channel.Result) []channel.Outcome {
	out := make([]channel.Outcome, len(results))
	for i, r := range results {
		out[i] = r.Outcome
	}
	return out
}

// bridge is an office whose messages are answered by an HTTP handler, so that the
// promises of all channels can be tried over SMTP.
func bridge(tb testing.TB, h http.Handler) string {
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	o := &office{onData: func(c *server.Conn, a arrived) (err error) {
		defer func() {
			if recover() != nil {
				err = hangUp(c)
			}
		}()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(a.raw)))
		status, text, _ := strings.Cut(w.Body.String(), " ")
		return said(w.Code, status, text)
	}}
	return "http://" + o.open(tb)
}

const (
	bounceAddress = "bounces@bounces.shop.example"
	bounceToken   = "token-for-the-bounces-of-tests"
)

func receiver(tb testing.TB) *smtp.Receiver {
	tb.Helper()
	r, err := smtp.NewReceiver(smtp.Settings{From: "news@shop.example", Bounce: bounceAddress, BounceToken: bounceToken})
	require.NoError(tb, err)
	return r.WithKey([]byte("key of the tests"))
}

// person1 is whom the reports in testdata are about, and tag what the return path
// of the message to them says.
const person1 = "person1@example.com"

func tag() string {
	return strings.TrimPrefix(strings.TrimSuffix(smtp.ReturnPath([]byte("key of the tests"), bounceAddress, mark(1), person1), "@bounces.shop.example"), "bounces+")
}

// report reads a report about the first message of mails.
func report(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	text := strings.NewReplacer("{{tag}}", tag(), "{{TAG}}", strings.ToUpper(tag()), "{{to}}", person1, "{{mark}}", mark(1)).Replace(string(b))
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// handedIn is a callback that brings a report.
func handedIn(tb testing.TB, name string) channel.Callback {
	tb.Helper()
	body := report(tb, name)
	return channel.Callback{URL: "https://beckon.example/webhooks/smtp/bounces", Body: body,
		Header: map[string]string{"X-Beckon-Signature": smtp.Sign(bounceToken, body)}}
}

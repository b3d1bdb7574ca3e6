package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	smtpd "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel/smtp"
)

const smtpBounceToken = "bounce-token-of-the-test"

// postOffice is an SMTP server that knows nobody of some addresses.
type postOffice struct {
	unknown []string
	address string

	mu   sync.Mutex
	from map[string]string // return paths, by recipient
	raw  map[string]string // messages
}

// openPostOffice has the program send its e-mails through an SMTP server.
func (w *world) openPostOffice(t *testing.T, unknown ...string) *postOffice {
	t.Helper()
	o := &postOffice{unknown: unknown, from: map[string]string{}, raw: map[string]string{}}
	s := smtpd.NewServer(smtpd.BackendFunc(func(*smtpd.Conn) (smtpd.Session, error) { return &errand{office: o}, nil }))
	l := listen(t)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	o.address = l.Addr().String()
	w.settings = append(w.settings, "SENDGRID_API_KEY=", "SMTP_URL=smtp://"+o.address, "EMAIL_FROM=Northern Courses <news@example.com>",
		"SMTP_BOUNCE_ADDRESS=bounces@example.com", "SMTP_BOUNCE_TOKEN="+smtpBounceToken, "SMTP_DKIM_DOMAIN=example.com", "SMTP_DKIM_SELECTOR=beckon1",
		"SMTP_DKIM_KEY_FILE="+dkimKeyFile(t))
	w.hidden = append(w.hidden, smtpBounceToken)
	return o
}

func dkimKeyFile(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "dkim.pem")
	require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	return name
}

// got is the message to somebody, and where it was sent from.
func (o *postOffice) got(to string) (from, raw string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.from[to], o.raw[to]
}

// errand is one connection.
type errand struct {
	office   *postOffice
	from, to string
}

func (e *errand) Reset()        {}
func (e *errand) Logout() error { return nil }

func (e *errand) Mail(from string, _ *smtpd.MailOptions) error {
	e.from = from
	return nil
}

func (e *errand) Rcpt(to string, _ *smtpd.RcptOptions) error {
	if slices.Contains(e.office.unknown, to) {
		return &smtpd.SMTPError{Code: 550, EnhancedCode: smtpd.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	}
	e.to = to
	return nil
}

func (e *errand) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	e.office.mu.Lock()
	defer e.office.mu.Unlock()
	if e.office.raw[e.to] != "" {
		return errors.New("twice")
	}
	e.office.from[e.to], e.office.raw[e.to] = e.from, string(raw)
	return err
}

// bounceOf is what a mail server writes about an e-mail that it could not deliver.
func (o *postOffice) bounceOf(to string) string {
	from, _ := o.got(to)
	return "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.net\r\nTo: " + from + "\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; " + to +
		"\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <" + to + "> unknown\r\n\r\n--b--\r\n"
}

// complaintOf is what a mailbox provider passes on, with the address left out.
func (o *postOffice) complaintOf(to string) string {
	from, _ := o.got(to)
	return "From: staff@example.net\r\nTo: fbl@example.com\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nOriginal-Mail-From: <" + from + ">\r\n\r\n--b--\r\n"
}

// suppressed are the reasons for which each address must not be written to.
func (w *world) suppressed(t require.TestingT, address string) (reasons []string) {
	got := ask[struct{ Data []struct{ Reason string } }](t, w, 200, "GET", "/v1/suppressions?channel=email&address="+address, nil)
	for _, s := range got.Data {
		reasons = append(reasons, s.Reason)
	}
	return reasons
}

// TestFlowEMailsGoOutBySMTPAndSomeComeBack: what the server refuses is known at
// once, what comes back later when it is handed in, in either way.
func TestFlowEMailsGoOutBySMTPAndSomeComeBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, people := newWorld(t, database, nil), crowd{email: 6}
		o := w.openPostOffice(t, address(0))
		t.Cleanup(func() { w.logs.holdsNone(t, w.hidden) })
		n := w.serve(t)
		w.leadTo(n.address)
		w.open(t)
		w.imported(t, people.file(w))
		id := w.campaign(t, "email")
		eventually(t, func(c *assert.CollectT) {
			r := w.report(c, id)
			require.Equal(c, "finished", r.State)
			require.Equal(c, [2]int{5, 1}, [2]int{r.Lanes["email"].States["accepted"], r.Lanes["email"].States["failed"]}, r.progress())
		})
		require.Equal(t, []string{"bounce"}, w.suppressed(t, address(0)))
		from, raw := o.got(address(1))
		require.Regexp(t, `^bounces\+[a-z2-7]{34}@example\.com$`, from)
		w.proved(t, raw)

		bounce := file{"message/rfc822", o.bounceOf(address(1))}
		require.Equal(t, "bad_signature", ask[problem](t, w, 403, "POST", "/webhooks/smtp/bounces", bounce).Code)
		code, _, errOut := told(t, w.environ, "bounces", "--to", w.gate.URL, w.letter(t, bounce.text))
		require.Zero(t, code, errOut)
		require.Contains(t, runWell(t, w.environ, "bounces", w.letter(t, o.complaintOf(address(2)))), "1 handed in")
		forged := strings.ReplaceAll(o.bounceOf(address(3)), address(3), address(4))
		runWell(t, w.environ, "bounces", w.letter(t, forged))
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, []string{"bounce"}, w.suppressed(c, address(1)))
			require.Equal(c, []string{"complaint"}, w.suppressed(c, address(2)))
			require.Equal(c, []string{"bounce"}, w.suppressed(c, address(3)), "the message that it came for")
			require.Equal(c, 3, w.report(c, id).Lanes["email"].States["failed"])
		})
		require.Empty(t, w.suppressed(t, address(4)), "nobody else")
	})
}

// proved checks what arrived with the record that the program is to be published
// with.
func (w *world) proved(t *testing.T, raw string) {
	t.Helper()
	c, err := readConfig(w.environ)
	require.NoError(t, err)
	chans, err := openChannels(c)
	require.NoError(t, err)
	name, record := chans.smtp.DKIMRecord()
	all, err := dkim.VerifyWithOptions(strings.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(asked string) ([]string, error) {
		assert.Equal(t, name, asked)
		return []string{record}, nil
	}})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NoError(t, all[0].Err)
	require.Subset(t, all[0].HeaderKeys, []string{"List-Unsubscribe", "List-Unsubscribe-Post"})
	m, err := mail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
	oneClick := strings.Trim(m.Header.Get("List-Unsubscribe"), "<>")
	require.True(t, strings.HasPrefix(oneClick, w.gate.URL+"/u/"))
	require.Contains(t, raw, "text/plain")
}

// letter writes a file with one e-mail.
func (w *world) letter(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "letter.eml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// counter is a server that counts what is handed in, and fails as it is told.
type counter struct {
	mu     sync.Mutex
	bodies []string
	fail   string // bodies that hold this are not taken
}

func (c *counter) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.URL.Path != smtp.BouncePath || r.Header.Get("Content-Type") != "message/rfc822" || r.Header.Get("Authorization") != "Bearer "+smtpBounceToken:
		rw.WriteHeader(http.StatusForbidden)
	case c.fail != "" && strings.Contains(string(body), c.fail):
		rw.WriteHeader(http.StatusServiceUnavailable)
	default:
		c.bodies = append(c.bodies, string(body))
		rw.WriteHeader(http.StatusNoContent)
	}
}

func (c *counter) open(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAMailboxIsHandedInMessageByMessage(t *testing.T) {
	t.Parallel()
	c := &counter{}
	box := filepath.Join(t.TempDir(), "mbox")
	require.NoError(t, os.WriteFile(box, []byte("From a@b Sun Nov 22\nSubject: 1\n\n>From here on\nFrom inside\n\nFrom a@b Sun Nov 22\r\nSubject: 2\r\n\r\nx\r\n\r\n\r\nFrom a@b\n\n\nFrom a@b\n"+
		"Subject: 3\n\n"+strings.Repeat("long ", 300_000)), 0o600))
	code, out, errOut := told(t, environment("SMTP_BOUNCE_TOKEN="+smtpBounceToken), "bounces", "--to", c.open(t), box)
	require.Zero(t, code, errOut)
	require.Equal(t, "3 handed in\n", out)
	require.Equal(t, "Subject: 1\n\nFrom here on\nFrom inside\n\n", c.bodies[0])
	require.Equal(t, "Subject: 2\r\n\r\nx\r\n\r\n\r\n", c.bodies[1])
	require.Len(t, c.bodies[2], mostMessage)
}

// TestAMaildirIsWorkedOnceAndWhatFailsIsKept: what was not taken stays new.
func TestAMaildirIsWorkedOnceAndWhatFailsIsKept(t *testing.T) {
	t.Parallel()
	c, dir := &counter{fail: "odd"}, t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "new"), 0o700))
	for i, text := range []string{"one", "odd", "three"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "new", fmt.Sprintf("17953488%02d.M1P1.mx", i)), []byte("Subject: "+text+"\n\nx\n"), 0o600))
	}
	environ, url := environment("SMTP_BOUNCE_TOKEN="+smtpBounceToken), c.open(t)
	code, out, errOut := told(t, environ, "bounces", "--to", url, dir)
	require.Equal(t, exitAgain, code)
	require.Equal(t, "2 handed in\n", out)
	require.Contains(t, errOut, "1795348801.M1P1.mx")
	require.NotContains(t, errOut, smtpBounceToken)
	require.Equal(t, []string{"1795348801.M1P1.mx"}, names(t, dir, "new"))
	require.Equal(t, []string{"1795348800.M1P1.mx:2,S", "1795348802.M1P1.mx:2,S"}, names(t, dir, "cur"))
	c.mu.Lock()
	c.fail = ""
	c.mu.Unlock()
	require.Equal(t, "1 handed in\n", runWell(t, environ, "bounces", "--to", url, dir))
	require.Equal(t, "0 handed in\n", runWell(t, environ, "bounces", "--to", url, dir))
	require.Len(t, c.bodies, 3)
}

func names(t *testing.T, dir ...string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir...))
	require.NoError(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestAMailServerComesAgainWithWhatWentWrong: any code but 75 would have it send a
// bounce about the bounce.
func TestAMailServerComesAgainWithWhatWentWrong(t *testing.T) {
	t.Parallel()
	token := "SMTP_BOUNCE_TOKEN=" + smtpBounceToken
	for problem, row := range map[string]struct {
		args     []string
		settings []string
		code     int
	}{
		"SMTP_URL is not set":           {[]string{"-"}, []string{"BECKON_DATA_DIR=" + t.TempDir()}, exitAgain},
		"must not be set without":       {[]string{"-"}, []string{token}, exitAgain},
		"SMTP_BOUNCE_TOKEN is not set":  {[]string{"--to", "http://127.0.0.1:1", "-"}, nil, exitAgain},
		"reach the server":              {[]string{"--to", "http://127.0.0.1:1", "commands_test.go"}, []string{token}, exitAgain},
		"open the source":               {[]string{"--to", "http://127.0.0.1:1", "nowhere"}, []string{token}, exitAgain},
		"is no Maildir":                 {[]string{"--to", "http://127.0.0.1:1", "demo-data"}, []string{token}, exitAgain},
		"--to must be an http or https": {[]string{"--to", "example.com", "-"}, []string{token}, exitWrong},
		"beckon bounces wants SOURCE":   {nil, nil, exitWrong},
	} {
		code, _, errOut := told(t, environment(row.settings...), append([]string{"bounces"}, row.args...)...)
		require.Equal(t, row.code, code, problem)
		require.Contains(t, errOut, problem)
		require.NotContains(t, errOut, smtpBounceToken)
	}
}

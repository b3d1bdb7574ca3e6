package smtp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	server "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
	"beckon/internal/fault"
)

// certificate makes one that the returned pool trusts, for a host or address.
func certificate(tb testing.TB, host string) (*tls.Config, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(tb, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// account are the settings of a client that logs in.
func account(address, secret, query string, roots *x509.CertPool) smtp.Settings {
	s := settings("")
	s.URL = "smtp://" + user + ":" + strings.NewReplacer("@", "%40", "/", "%2F", ":", "%3A").Replace(secret) + "@" + address + query
	s.Roots = roots
	return s
}

func TestLoggingInGoesOverAnEncryptedConnection(t *testing.T) {
	t.Parallel()
	config, roots := certificate(t, "127.0.0.1")
	o := &office{tls: config, auth: map[string]string{user: password}, start: func(s *server.Server) { s.AllowInsecureAuth = false }}
	c := newClient(t, account(o.open(t), password, "?starttls=required", roots))
	for _, r := range c.Send(t.Context(), mails(3)) {
		require.Equal(t, channel.Accepted, r.Outcome, r.Detail)
	}
	checked, err := c.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, "TLS 1.3", checked.TLS)
	require.True(t, checked.LoggedIn)
	require.Len(t, o.letters(), 3, "a check sends nothing")
}

func TestAConnectionMayBeEncryptedFromTheStart(t *testing.T) {
	t.Parallel()
	config, roots := certificate(t, "127.0.0.1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	o := &office{auth: map[string]string{user: password}, start: func(s *server.Server) { s.AllowInsecureAuth = false }}
	o.serve(t, l)
	s := account(l.Addr().String(), password, "", roots)
	s.URL = strings.Replace(s.URL, "smtp://", "smtps://", 1)
	require.Equal(t, channel.Accepted, newClient(t, s).Send(t.Context(), mails(1))[0].Outcome)
	require.Equal(t, []string{"PLAIN"}, o.logins)
}

// TestWhoCannotBeTrustedGetsNoPassword: what stays wrong stops the line with a
// word on it, and the password is not said.
func TestWhoCannotBeTrustedGetsNoPassword(t *testing.T) {
	t.Parallel()
	mine, roots := certificate(t, "127.0.0.1")
	other, _ := certificate(t, "127.0.0.1")
	named, forAnother := certificate(t, "mx.other.example")
	logins := map[string]string{user: password}
	for name, row := range map[string]struct {
		office *office
		secret string
		roots  *x509.CertPool
		query  string
		want   string
	}{
		"wrong password":    {&office{tls: mine, auth: logins}, "not-the-secret", roots, "?starttls=required", "does not accept the account"},
		"foreign signature": {&office{tls: other, auth: logins}, password, roots, "?starttls=required", "certificate is not trusted"},
		"another host":      {&office{tls: named, auth: logins}, password, forAnother, "?starttls=required", "certificate is not trusted"},
		"not offered":       {&office{auth: logins}, password, roots, "?starttls=required", "does not offer encryption"},
		"no way to log in":  {&office{tls: mine}, password, roots, "?starttls=required", "no way to log in"},
		"offered and false": {&office{tls: other, auth: logins}, password, roots, "", "certificate is not trusted"},
	} {
		c := newClient(t, account(row.office.open(t), row.secret, row.query, row.roots))
		results := c.Send(t.Context(), mails(30))
		require.Equal(t, channel.StopTheLine, results[0].Outcome, "%s: %s", name, results[0].Detail)
		require.Contains(t, results[0].Detail, row.want, name)
		require.Equal(t, channel.TryLater, results[29].Outcome, name)
		if name != "wrong password" {
			require.Empty(t, row.office.logins, name)
		}
		_, err := c.Check(t.Context())
		var f *fault.Error
		require.ErrorAs(t, err, &f)
		require.Equal(t, "smtp_refused", f.Code, name)
		require.Contains(t, f.Detail, row.want)
		for _, hidden := range []string{user, password, "not-the-secret"} {
			require.NotContains(t, err.Error()+results[0].Detail, hidden)
		}
	}
}

// TestATLSServerOnAPlainPortIsNamed: the two kinds of ports are often mixed up.
func TestATLSServerOnAPlainPortIsNamed(t *testing.T) {
	t.Parallel()
	o := &office{}
	s := settings("")
	s.URL = "smtps://" + o.open(t)
	r := newClient(t, s).Send(t.Context(), mails(1))[0]
	require.Equal(t, channel.StopTheLine, r.Outcome)
	require.Contains(t, r.Detail, "465")
}

func TestACheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	closed := settings("127.0.0.1:1")
	for name, row := range map[string]struct {
		office *office
		code   string
	}{
		"not there":     {nil, "smtp_unreachable"},
		"busy":          {&office{onConn: func(*server.Conn, int) error { return said(421, "4.3.2", "Too many connections") }}, "smtp_busy"},
		"wrong sender":  {&office{onMail: func(string) error { return said(550, "5.1.8", "Sender rejected") }}, "smtp_refused"},
		"wants a login": {&office{onMail: func(string) error { return said(530, "5.7.0", "Authentication required") }}, "smtp_refused"},
		"good":          {&office{}, ""},
	} {
		s := closed
		if row.office != nil {
			s = settings(row.office.open(t))
		}
		checked, err := newClient(t, s).Check(t.Context())
		require.NotEmpty(t, checked.Server)
		if row.code == "" {
			require.NoError(t, err)
			require.Empty(t, checked.TLS)
			continue
		}
		var f *fault.Error
		require.True(t, errors.As(err, &f), name)
		require.Equal(t, row.code, f.Code, name)
	}
}

// TestAPasswordIsShownToNobodyWhoListens: without encryption only a way to log in
// is taken that does not show it.
func TestAPasswordIsShownToNobodyWhoListens(t *testing.T) {
	t.Parallel()
	const far, near = "smtp://u:p@mx.example.com?starttls=opportunistic", "smtp://u:p@localhost"
	for _, row := range []struct {
		address   string
		encrypted bool
		offered   []string
		want      string
	}{
		{far, true, []string{"CRAM-MD5", "LOGIN", "PLAIN"}, "plainAuth"},
		{far, true, []string{"CRAM-MD5", "LOGIN"}, "loginAuth"},
		{far, false, []string{"LOGIN", "PLAIN"}, ""},
		{far, false, []string{"LOGIN", "PLAIN", "CRAM-MD5"}, "cramMD5Auth"},
		{far, false, []string{"LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}, "scramAuth"},
		{near, false, []string{"PLAIN"}, "plainAuth"},
		{far, true, []string{"XOAUTH2"}, ""},
		{far, true, nil, ""},
	} {
		require.Equal(t, row.want, smtp.Login(row.address, row.encrypted, row.offered...), row)
	}
}

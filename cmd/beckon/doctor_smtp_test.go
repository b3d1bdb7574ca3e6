package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"

	server "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// postbox is an SMTP server that takes mail, or does not.
type postbox struct{ refuse error }

func (p postbox) NewSession(*server.Conn) (server.Session, error) { return p, nil }
func (p postbox) Mail(string, *server.MailOptions) error          { return p.refuse }
func (postbox) Rcpt(string, *server.RcptOptions) error            { return nil }
func (postbox) Data(io.Reader) error                              { return nil }
func (postbox) Reset()                                            {}
func (postbox) Logout() error                                     { return nil }

func (p postbox) open(t *testing.T) string {
	t.Helper()
	l, s := listen(t), server.NewServer(p)
	s.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "SMTP_URL=smtp://" + l.Addr().String() + "?starttls=none"
}

// posted is what doctor says where an SMTP server is the provider.
func posted(t *testing.T, zone map[string][]string, settings ...string) map[level]map[string]string {
	t.Helper()
	settings = append([]string{"BECKON_DATA_DIR=" + t.TempDir() + "/none", "EMAIL_FROM=The Shop <hello@shop.test>", "EMAIL_POSTAL_ADDRESS=1 Example Street"}, settings...)
	_, out, _ := told(t, environment(settings...), "doctor", "--json", "--resolver", nameserver(t, zone))
	found := map[level]map[string]string{fine: {}, note: {}, todo: {}}
	for _, f := range findingsOf(t, out) {
		found[f.Level][f.Area] += f.What + " " + f.Do + "\n"
	}
	return found
}

// signed makes a key to sign with, and the record that belongs to it.
func signed(t *testing.T) (settings []string, record string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dkim.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return []string{"SMTP_DKIM_DOMAIN=shop.test", "SMTP_DKIM_SELECTOR=s1", "SMTP_DKIM_KEY_FILE=" + file}, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

func TestDoctorLooksAtTheSMTPServer(t *testing.T) {
	t.Parallel()
	settings, record := signed(t)
	zone := wellKept()
	zone["TXT s1._domainkey.shop.test"] = []string{record}
	found := posted(t, zone, append(settings, postbox{}.open(t), "SMTP_BOUNCE_ADDRESS=bounces@em1.shop.test")...)
	require.Contains(t, found[fine]["e-mail"], "answers: takes mail from EMAIL_FROM")
	require.Contains(t, found[fine]["DNS"], "DKIM key s1._domainkey.shop.test is there")
	require.Contains(t, found[fine]["DNS"], "SPF of em1.shop.test")
	require.NotContains(t, found[todo], "e-mail")
	require.NotContains(t, found[todo], "DNS", found)
}

func TestDoctorSaysWhatIsWrongWithSMTP(t *testing.T) {
	t.Parallel()
	settings, record := signed(t)
	for name, c := range map[string]struct {
		box         postbox
		settings    []string
		change      func(zone map[string][]string)
		level       level
		area, says  string
		unreachable bool
	}{
		"nobody there":      {unreachable: true, level: todo, area: "e-mail", says: "cannot be used"},
		"sender refused":    {box: postbox{&server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 7, 1}, Message: "no"}}, level: todo, area: "e-mail", says: "cannot be used"},
		"busy":              {box: postbox{&server.SMTPError{Code: 421, EnhancedCode: server.EnhancedCode{4, 7, 0}, Message: "later"}}, level: note, area: "e-mail", says: "not take mail at the moment"},
		"no bounce address": {level: note, area: "e-mail", says: "SMTP_BOUNCE_ADDRESS is not set"},
		"signs elsewhere":   {level: note, area: "DNS", says: "it is not known which keys"},
		"another key":       {settings: settings, change: func(zone map[string][]string) { zone["TXT s1._domainkey.shop.test"] = []string{dkimKey} }, level: todo, area: "DNS", says: "is not the key that messages are signed with. Change the record to: " + record},
		"no key":            {settings: settings, change: func(zone map[string][]string) { delete(zone, "TXT s1._domainkey.shop.test") }, level: todo, area: "DNS", says: "Add the TXT record " + record},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := wellKept()
			if c.change != nil {
				c.change(zone)
			}
			url := "SMTP_URL=smtp://127.0.0.1:1?starttls=none"
			if !c.unreachable {
				url = c.box.open(t)
			}
			found := posted(t, zone, append(c.settings, url)...)
			require.Contains(t, found[c.level][c.area], c.says, found)
		})
	}
}

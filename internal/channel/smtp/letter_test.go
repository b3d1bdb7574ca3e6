package smtp_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-msgauth/dkim"
	server "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
)

// keyFile writes a private key as operators have it.
func keyFile(tb testing.TB, pkcs8 bool) string {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024) // short, as it takes less time
	require.NoError(tb, err)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if pkcs8 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(tb, err)
		block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	name := filepath.Join(tb.TempDir(), "dkim.pem")
	require.NoError(tb, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	return name
}

// edFile writes a key of a kind that not all mailbox providers check.
func edFile(tb testing.TB) string {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	name := filepath.Join(tb.TempDir(), "dkim.pem")
	require.NoError(tb, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return name
}

// one sends one message and returns how it arrived.
func one(tb testing.TB, s smtp.Settings, o *office, b channel.Batch) (arrived, *smtp.Client) {
	tb.Helper()
	s.URL = "smtp://" + o.open(tb) + "?starttls=none"
	c := newClient(tb, s)
	r := c.Send(tb.Context(), b)
	require.Equal(tb, channel.Accepted, r[0].Outcome, r[0].Detail)
	return o.letters()[0], c
}

func TestAnEMailArrivesAsMailboxProvidersWantIt(t *testing.T) {
	t.Parallel()
	b := mails(1)
	b.Mail.Subject = "Zurück für %%b0t%%: schöne Grüße und noch viel mehr, das in keine Zeile paßt 🎉"
	got, _ := one(t, settings(""), &office{}, b)
	m := got.message(t)
	h := m.Header
	require.Equal(t, `"The Shop" <news@shop.example>`, h.Get("From"))
	require.Equal(t, "<person1@example.com>", h.Get("To"))
	require.Equal(t, "<"+mark(1)+"@shop.example>", h.Get("Message-ID"))
	require.Equal(t, "<https://go.example/u/000000>", h.Get("List-Unsubscribe"))
	require.Equal(t, "List-Unsubscribe=One-Click", h.Get("List-Unsubscribe-Post"))
	require.Equal(t, "0198c5a4-campaign:campaign:beckon:shop.example", h.Get("Feedback-ID"))
	at, err := h.Date()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Zurück für Ann & Bo: schöne Grüße und noch viel mehr, das in keine Zeile paßt 🎉", subject)
	for name, values := range h {
		require.Len(t, values, 1, "%s stands once", name)
		require.NotContains(t, strings.ToLower(name+values[0]), "go-mail", "nobody need know what made it")
	}
	for line := range bytes.Lines(got.raw) {
		require.LessOrEqual(t, len(line), 998, "RFC 5322 §2.1.1")
	}
	require.Equal(t, "news@shop.example", got.from)
	require.Equal(t, "person1@example.com", got.to)
	require.Equal(t, server.DSNReturnHeaders, got.options.Return, "a bounce does not carry the text around")
	require.False(t, got.options.UTF8, "any server on the way will do")
}

func TestTheTextComesBeforeTheHTML(t *testing.T) {
	t.Parallel()
	got, _ := one(t, settings(""), &office{}, mails(1))
	m := got.message(t)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct{ kind, text string }{
		{"text/plain; charset=UTF-8", "Dear Ann & Bo, come back: https://go.example/l/000000"},
		{"text/html; charset=UTF-8", `<p>Dear Ann &amp; Bo, <a href="https://go.example/l/000000">come back</a></p>`},
	} {
		p, err := parts.NextPart()
		require.NoError(t, err)
		text, err := io.ReadAll(p)
		require.NoError(t, err)
		require.Equal(t, want.kind, p.Header.Get("Content-Type"))
		require.Equal(t, want.text, string(text))
	}
	_, err = parts.NextPart()
	require.ErrorIs(t, err, io.EOF)
}

// TestSignaturesPass checks what arrived against the record that the operator is
// told to publish, and that each header that matters is covered.
func TestSignaturesPass(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"PKCS#1": keyFile(t, false), "PKCS#8": keyFile(t, true)} {
		s := settings("")
		s.DKIM = smtp.DKIM{Domain: "Shop.example", Selector: "beckon1", KeyFile: key}
		got, c := one(t, s, &office{}, mails(1))
		v := verify(t, c, got.raw)
		require.NoError(t, v.Err, name)
		require.Equal(t, "shop.example", v.Domain)
		for _, h := range []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID"} {
			require.Contains(t, v.HeaderKeys, h)
		}
		for _, change := range []struct{ old, new string }{
			{"Back in stock", "Back in shock"}, {"go.example/u/", "go.example/v/"}, {"One-Click", "Two-Click"}, {"Dear Ann", "Dear Bob"},
			{"\r\nFrom: ", "\r\nFrom: evil@example.org\r\nFrom: "}, {"\r\nSubject: ", "\r\nSubject: You won\r\nSubject: "},
		} {
			require.Contains(t, string(got.raw), change.old)
			require.Error(t, verify(t, c, bytes.Replace(got.raw, []byte(change.old), []byte(change.new), 1)).Err, "%s: %s", name, change.new)
		}
	}
}

func verify(tb testing.TB, c *smtp.Client, raw []byte) *dkim.Verification {
	tb.Helper()
	name, record := c.DKIMRecord()
	require.Equal(tb, "beckon1._domainkey.shop.example", name)
	all, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(asked string) ([]string, error) {
		require.Equal(tb, name, asked)
		return []string{record}, nil
	}})
	require.NoError(tb, err)
	require.Len(tb, all, 1)
	return all[0]
}

// TestNoNameOfAHeaderIsFolded reads the signature's list as strict verifiers do:
// nothing but the names, with colons and folding between them (RFC 6376 §3.5).
func TestNoNameOfAHeaderIsFolded(t *testing.T) {
	t.Parallel()
	s := settings("")
	s.DKIM = smtp.DKIM{Domain: "shop.example", Selector: "beckon1", KeyFile: keyFile(t, false)}
	got, _ := one(t, s, &office{}, mails(1))
	signature := got.message(t).Header.Get("DKIM-Signature")
	list := ""
	for tag := range strings.SplitSeq(signature, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(tag), "="); name == "h" {
			list = value
		}
	}
	for name := range strings.SplitSeq(list, ":") {
		require.Regexp(t, `^[A-Za-z-]+$`, strings.TrimSpace(name))
	}
	require.Contains(t, list, "List-Unsubscribe-Post")
}

func TestDKIMSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := smtp.DKIM{Domain: "shop.example", Selector: "beckon1", KeyFile: keyFile(t, false)}
	for name, spoil := range map[string]func(*smtp.DKIM){
		"no domain":      func(d *smtp.DKIM) { d.Domain = "" },
		"no selector":    func(d *smtp.DKIM) { d.Selector = "" },
		"no key":         func(d *smtp.DKIM) { d.KeyFile = "" },
		"not there":      func(d *smtp.DKIM) { d.KeyFile += "x" },
		"not a key":      func(d *smtp.DKIM) { d.KeyFile = "letter_test.go" },
		"another domain": func(d *smtp.DKIM) { d.Domain = "shop2.example" },
		"a part of it":   func(d *smtp.DKIM) { d.Domain = "hop.example" },
		"the top":        func(d *smtp.DKIM) { d.Domain = "example" },
		"several tags":   func(d *smtp.DKIM) { d.Selector = "a; d=evil.example" },
		"key too short":  func(d *smtp.DKIM) { d.KeyFile = "testdata/short.pem" },
		"key of Ed25519": func(d *smtp.DKIM) { d.KeyFile = edFile(t) },
	} {
		s := settings("mx.shop.example:587")
		s.DKIM = good
		spoil(&s.DKIM)
		_, err := smtp.New(s)
		require.Error(t, err, name)
		require.Contains(t, err.Error(), "smtp_dkim", name)
	}
	for _, from := range []string{"news@shop.example", "news@mail.shop.example"} {
		s := settings("mx.shop.example:587")
		s.DKIM, s.From = good, from
		_, err := smtp.New(s)
		require.NoError(t, err, from)
	}
}

// TestWhatPeopleWriteStaysInItsPlace: no value, name or subject ends a header, a
// part or the message.
func TestWhatPeopleWriteStaysInItsPlace(t *testing.T) {
	t.Parallel()
	o := &office{}
	c := o.client(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := mails(1)
		piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r\n.\r\n", "\r\n\r\n", "\nBcc: x@example.org\n", ".", "\r", "--", "=?utf-8?q?a?="}))
		b.Messages[0].Fill = []string{piece.Draw(rt, "a"), piece.Draw(rt, "b"), piece.Draw(rt, "c")}
		require.Equal(rt, channel.Accepted, c.Send(t.Context(), b)[0].Outcome)
		all := o.letters()
		m, err := mail.ReadMessage(bytes.NewReader(all[len(all)-1].raw))
		require.NoError(rt, err)
		require.Len(rt, m.Header, 10)
		require.Empty(rt, m.Header.Get("Bcc"))
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		require.NoError(rt, err)
		require.False(rt, strings.ContainsFunc(subject, unicode.IsControl), "not even for programs that decode it")
		_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		require.NoError(rt, err)
		parts, n := multipart.NewReader(m.Body, params["boundary"]), 0
		for _, err = parts.NextPart(); err == nil; _, err = parts.NextPart() {
			n++
		}
		require.Equal(rt, 2, n)
	})
}

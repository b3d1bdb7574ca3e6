package sendgrid_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/sendgrid/sendgrid-go/helpers/mail"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
)

const (
	apiKey    = "SG.key-for-tests"
	signature = "X-Twilio-Email-Event-Webhook-Signature"
	stamp     = "X-Twilio-Email-Event-Webhook-Timestamp"
)

func settings(apiURL string) sendgrid.Settings {
	return sendgrid.Settings{APIURL: apiURL, Key: apiKey, From: "news@shop.example", FromName: "The Shop"}
}

func newClient(tb testing.TB, apiURL string) *sendgrid.Client {
	tb.Helper()
	c, err := sendgrid.New(settings(apiURL), nil)
	require.NoError(tb, err)
	return c
}

func fixture(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return string(b)
}

// mark is the mark of a delivery in these tests.
func mark(delivery int64) string { return "mark" + strconv.FormatInt(delivery, 10) }

// mails makes n messages of one mail, numbered from 1.
func mails(n int) channel.Batch {
	b := channel.Batch{Lane: channel.LaneEmail, Mail: channel.Mail{
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

// desk keeps every request and answers it by a rule; nil takes it.
type desk struct {
	mu       sync.Mutex
	requests []mail.SGMailV3
	raw      []string
	header   http.Header
	refuse   func(mail.SGMailV3) (status int, body string)
}

func (s *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m mail.SGMailV3
	if err := json.Unmarshal(body, &m); err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	s.mu.Lock()
	s.requests, s.raw, s.header = append(s.requests, m), append(s.raw, string(body)), r.Header
	id := "msg" + strconv.Itoa(len(s.requests))
	s.mu.Unlock()
	if s.refuse != nil {
		if status, body := s.refuse(m); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	w.Header().Set("X-Message-Id", id)
	w.WriteHeader(http.StatusAccepted)
}

func (s *desk) start(tb testing.TB) *sendgrid.Client {
	tb.Helper()
	srv := httptest.NewServer(s)
	tb.Cleanup(srv.Close)
	return newClient(tb, srv.URL+"/")
}

// names answers that the recipient of one delivery is wrong.
func names(delivery int64) func(mail.SGMailV3) (int, string) {
	return func(m mail.SGMailV3) (int, string) {
		for i, p := range m.Personalizations {
			if p.CustomArgs["bk_delivery"] == mark(delivery) {
				return 400, fmt.Sprintf(`{"errors":[{"message":"Does not contain a valid address.","field":"personalizations.%d.to.0.email"}]}`, i)
			}
		}
		return 0, ""
	}
}

// signer is a webhook key pair.
type signer struct {
	key    *ecdsa.PrivateKey
	public string
}

func newSigner(tb testing.TB) signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(tb, err)
	return signer{key, base64.StdEncoding.EncodeToString(der)}
}

func (s signer) receiver(tb testing.TB) *sendgrid.Receiver {
	tb.Helper()
	r, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: s.public})
	require.NoError(tb, err)
	return r
}

func (s signer) callback(tb testing.TB, body string) channel.Callback {
	tb.Helper()
	const at = "1764000000"
	sum := sha256.Sum256([]byte(at + body))
	sig, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	require.NoError(tb, err)
	return channel.Callback{
		URL:    "https://beckon.example/webhooks/sendgrid",
		Header: map[string]string{signature: base64.StdEncoding.EncodeToString(sig), stamp: at},
		Body:   []byte(body),
	}
}

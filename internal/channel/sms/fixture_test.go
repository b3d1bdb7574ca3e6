package sms_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
)

const (
	account   = "AC0123456789abcdef0123456789abcdef"
	authToken = "fedcba98765432100123456789abcdef"
	service   = "MG0123456789abcdef0123456789abcdef"
	phone     = "+14155550123"
	public    = "https://beckon.example"
)

// aMoment is half past four in the morning in California.
func aMoment() time.Time { return time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC) }

func settings(apiURL string) sms.Settings {
	return sms.Settings{
		APIURL: apiURL, AccountSID: account, AuthToken: authToken, MessagingServiceSID: service, CallbackURL: public + "/", Now: aMoment,
	}
}

func newClient(tb testing.TB, apiURL string) *sms.Client {
	tb.Helper()
	c, err := sms.New(settings(apiURL), nil)
	require.NoError(tb, err)
	return c
}

func newReceiver(tb testing.TB) *sms.Receiver {
	tb.Helper()
	r, err := sms.NewReceiver(settings("https://twilio.example"))
	require.NoError(tb, err)
	return r
}

func fixture(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return string(b)
}

// texts makes n messages, numbered from 1.
func texts(n int) channel.Batch {
	b := channel.Batch{Lane: channel.LaneSMS}
	for i := range n {
		b.Messages = append(b.Messages, channel.Message{Delivery: int64(i + 1), To: phone, Body: []byte("Back in stock: https://go.example/x7Kp2Q")})
	}
	return b
}

// provider accepts every message but the one delivery.
func provider(refused int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		callback, _ := url.Parse(r.PostForm.Get("StatusCallback"))
		delivery := path.Base(callback.Path)
		if delivery == strconv.FormatInt(refused, 10) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":21614,"message":"not a mobile number","status":400}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM`+delivery+`","status":"accepted","num_segments":"0"}`)
	})
}

// sign makes Twilio's signature of a form with one value per key.
func sign(token, address string, form url.Values) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(form)) {
		b.WriteString(k + form.Get(k))
	}
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, address+b.String())
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// callback is a genuine callback at a path of ours.
func callback(at string, form url.Values) channel.Callback {
	return channel.Callback{
		URL:    public + at,
		Header: map[string]string{"X-Twilio-Signature": sign(authToken, public+at, form)},
		Body:   []byte(form.Encode()),
	}
}

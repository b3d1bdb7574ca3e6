package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/sms"
	"beckon/internal/simulator"
)

// described is a provider that takes everything and remembers what its own
// description does not allow.
type described struct {
	*httptest.Server
	specs  *simulator.Specs
	mu     sync.Mutex
	calls  map[string]int
	wrongs []string
}

func describedBy(t *testing.T, specs *simulator.Specs) *described {
	t.Helper()
	d := &described{specs: specs, calls: map[string]int{}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *described) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	p := simulator.SendGrid
	if strings.HasPrefix(r.URL.Path, "/twilio/") {
		p = simulator.Twilio
	}
	if err == nil {
		err = d.specs.Check(p, r, body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[r.Method+" "+r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]++
	if err != nil {
		d.wrongs = append(d.wrongs, err.Error()+": "+r.URL.RawQuery+" "+string(body[:min(len(body), 300)]))
	}
	switch {
	case p == simulator.SendGrid:
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPost:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM1"}`)
	default:
		_, _ = io.WriteString(w, `{"messages":[],"next_page_uri":"`+r.URL.Path+`?To=%2B14155550123&PageSize=50&Page=1&PageToken=PASM1"}`)
	}
}

// fits runs one thing against the providers' descriptions.
func (d *described) fits(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	d.told()
	do(t)
	require.Empty(t, d.told(), name)
}

// told returns what was wrong since it was asked last.
func (d *described) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.wrongs
	d.wrongs = nil
	return out
}

func (d *described) made(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[call]
}

// TestEveryRequestFitsTheSpecification sends every shape of request that there is
// and holds it against what Twilio and SendGrid publish of their APIs.
func TestEveryRequestFitsTheSpecification(t *testing.T) {
	t.Parallel()
	specs := officialSpecs(t)
	d := describedBy(t, specs)
	for name, s := range twilioSenders() {
		s.APIURL, s.AccountSID, s.AuthToken = d.URL+"/twilio", "AC0123456789abcdef0123456789abcdef", "fedcba98765432100123456789abcdef"
		client, err := sms.New(s, nil)
		require.NoError(t, err, name)
		d.fits(t, "a text, "+name, func(t *testing.T) {
			for i, r := range client.Send(t.Context(), hardTexts()) {
				require.Equal(t, channel.Accepted, r.Outcome, "%s: text %d", name, i)
			}
		})
		d.fits(t, "a list, "+name, func(t *testing.T) {
			client.Find(t.Context(), []channel.Sought{{To: "+14155550123", Since: time.Now(), Link: "x"}, {To: "+4915112345678", Since: time.Unix(0, 1), Link: "y"}})
		})
		account, err := sms.NewAccount(s, nil)
		require.NoError(t, err)
		d.fits(t, "the account, "+name, func(t *testing.T) {
			_, _ = account.State(t.Context())
			_, _, _ = account.Number(t.Context(), "+15005550006")
			_, _, _ = account.Number(t.Context(), "12345")
		})
	}
	for name, s := range map[string]sendgrid.Settings{
		"plain": {From: "school@example.com"}, "with a name": {From: "school@example.com", FromName: `Zoë's "School", Ltd. 🎓`},
	} {
		s.APIURL, s.Key = d.URL+"/sendgrid", "SG.key"
		client, err := sendgrid.New(s, nil)
		require.NoError(t, err)
		for shape, b := range hardMails() {
			d.fits(t, "an e-mail, "+name+", "+shape, func(t *testing.T) {
				for i, r := range client.Send(t.Context(), b) {
					require.Equal(t, channel.Accepted, r.Outcome, "%s: e-mail %d: %s", shape, i, r.Detail)
				}
			})
		}
	}
	for _, what := range []string{"POST Messages.json", "GET Messages.json", "GET AC0123456789abcdef0123456789abcdef.json", "GET IncomingPhoneNumbers.json", "GET ShortCodes.json", "POST send"} {
		require.Positive(t, d.made(what), what)
	}
	res, err := http.Post(d.URL+"/sendgrid/v3/mail/send", "application/json", bytes.NewBufferString(`{"subject":""}`)) //nolint:noctx // a test's own server
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.NotEmpty(t, d.told(), "what is wrong is noticed")
}

// twilioSenders are the ways in which a sender can be set up.
func twilioSenders() map[string]sms.Settings {
	const service, public = "MG0123456789abcdef0123456789abcdef", "https://go.example.com"
	return map[string]sms.Settings{
		"service":                   {MessagingServiceSID: service, CallbackURL: public},
		"number":                    {From: "+15005550006", CallbackURL: public},
		"both":                      {MessagingServiceSID: service, From: "+15005550006", CallbackURL: public},
		"name":                      {From: "My School", CallbackURL: public},
		"short code":                {From: "12345", CallbackURL: public},
		"no callback":               {MessagingServiceSID: service},
		"callback behind a path":    {MessagingServiceSID: service, CallbackURL: public + ":8443/beckon/"},
		"callback on an IP address": {From: "+15005550006", CallbackURL: "http://[2001:db8::1]:8080"},
	}
}

// hardTexts are texts that are hard to write into a form, to numbers short and
// long, with every validity there is an edge of.
func hardTexts() channel.Batch {
	b := channel.Batch{Lane: channel.LaneSMS}
	for i, text := range []string{
		"Hi", " ", "\r\n", "a&b=c%20d+e;f", "€^{}[]~|\\", "“curly”\u00a0–…", "👩‍🚀 \u202eסבבה", "\x00\x1b\x7f", strings.Repeat("ж", 1600), strings.Repeat("👋", 800),
		"STOP to opt out: https://go.example.com/l/x7Kp2Q?a=%2f#z", "\ufffd\xff",
	} {
		b.Messages = append(b.Messages, channel.Message{Delivery: int64(1) << (5 * i), To: []string{"+14155550123", "+6598765432", "+390612345678901"}[i%3], Body: []byte(text)})
	}
	for i, v := range []time.Duration{0, time.Nanosecond, time.Second, 59*time.Second + 999*time.Millisecond, 36000 * time.Second, 36001 * time.Second, 1000 * time.Hour} {
		m := channel.Message{Delivery: int64(i + 1), To: "+14155550123", Body: []byte("Hi")}
		if v != 0 {
			m.ValidUntil = time.Now().Add(v)
		}
		b.Messages = append(b.Messages, m)
	}
	return b
}

// hardMails are batches of each size and form there is.
func hardMails() map[string]channel.Batch {
	both := channel.Mail{Subject: "Hi %%b0t%% 🎓", Text: "Dear %%b0t%%\r\n", HTML: "<p>Dear %%b0h%% &amp; all</p>", Holes: []string{"%%b0t%%", "%%b0h%%"}}
	text := channel.Mail{Subject: "Hi", Text: "Hi"}
	batch := func(m channel.Mail, n int, fill string, unsubscribe bool) channel.Batch {
		b := channel.Batch{Lane: channel.LaneEmail, Mail: m, Campaign: "019a0000-0000-7000-8000-000000000000"}
		for i := range n {
			msg := channel.Message{Delivery: int64(i + 1), Mark: fmt.Sprintf("mark%d", i), To: fmt.Sprintf("o'neil+%d@example.com", i)}
			for range m.Holes {
				msg.Fill = append(msg.Fill, fill)
			}
			if unsubscribe {
				msg.Unsubscribe = "https://go.example.com/u/x7Kp2Q"
			}
			b.Messages = append(b.Messages, msg)
		}
		return b
	}
	bare := batch(text, 2, "", false)
	bare.Campaign = ""
	return map[string]channel.Batch{
		"one": batch(both, 1, "Zoë", true), "five hundred": batch(both, 500, `"<'&%%-\u2028`, true), "text only": batch(text, 3, "", true),
		"bare": bare, "empty fillings": batch(both, 2, "", true), "long fillings": batch(both, 3, strings.Repeat("ж", 2000), true), "too long for a batch": batch(both, 3, strings.Repeat("x", 9000), true),
	}
}

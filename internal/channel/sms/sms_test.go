package sms_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/fault"
)

type call struct {
	path, user, password string
	form                 url.Values
}

// recorder accepts everything and keeps the last call.
func recorder(tb testing.TB) (string, *call) {
	tb.Helper()
	last := &call{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		user, password, _ := r.BasicAuth()
		*last = call{r.URL.Path, user, password, r.PostForm}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM1"}`)
	}))
	tb.Cleanup(srv.Close)
	return srv.URL, last
}

func TestSendWritesTheForm(t *testing.T) {
	t.Parallel()
	apiURL, last := recorder(t)
	b := texts(1)
	b.Messages[0].Delivery = 9007199254740993
	b.Messages[0].ValidUntil = aMoment().Add(90 * time.Minute)
	require.Equal(t, channel.Accepted, newClient(t, apiURL+"/proxy").Send(t.Context(), b)[0].Outcome)
	require.Equal(t, call{
		path: "/proxy/2010-04-01/Accounts/" + account + "/Messages.json", user: account, password: authToken,
		form: url.Values{
			"To": {phone}, "Body": {"Back in stock: https://go.example/x7Kp2Q"}, "MessagingServiceSid": {service},
			"StatusCallback": {"https://beckon.example/webhooks/twilio/status/9007199254740993#rc=3&rp=ct,rt,5xx"},
			"ValidityPeriod": {"5400"},
		},
	}, *last)
}

func TestSendFromANumberWithoutCallback(t *testing.T) {
	t.Parallel()
	apiURL, last := recorder(t)
	client, err := sms.New(sms.Settings{APIURL: apiURL, AccountSID: account, AuthToken: authToken, From: "+15005550006"}, nil)
	require.NoError(t, err)
	require.Equal(t, channel.Accepted, client.Send(t.Context(), texts(1))[0].Outcome)
	require.Equal(t, "+15005550006", last.form.Get("From"))
	for _, absent := range []string{"MessagingServiceSid", "StatusCallback", "ValidityPeriod"} {
		require.False(t, last.form.Has(absent), absent)
	}
}

func TestValidityStaysWithinWhatTwilioTakes(t *testing.T) {
	t.Parallel()
	apiURL, last := recorder(t)
	client := newClient(t, apiURL)
	for validFor, want := range map[time.Duration]string{
		-time.Hour: "1", time.Millisecond: "1", 59*time.Second + 999*time.Millisecond: "59", 10 * time.Hour: "36000", 48 * time.Hour: "36000",
	} {
		b := texts(1)
		b.Messages[0].ValidUntil = aMoment().Add(validFor)
		client.Send(t.Context(), b)
		require.Equal(t, want, last.form.Get("ValidityPeriod"))
	}
}

func TestSendKeepsEveryTextWhole(t *testing.T) {
	t.Parallel()
	apiURL, last := recorder(t)
	client := newClient(t, apiURL)
	rapid.Check(t, func(rt *rapid.T) {
		b := texts(1)
		b.Messages[0].Body = []byte(rapid.String().Draw(rt, "text"))
		require.Equal(rt, channel.Accepted, client.Send(t.Context(), b)[0].Outcome)
		require.Equal(rt, string(b.Messages[0].Body), last.form.Get("Body"))
	})
}

func TestSendStopsCallingOnceTheSenderIsStopped(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":20003,"status":401}`)
	}))
	defer srv.Close()
	s := settings(srv.URL)
	s.Concurrency = 2
	client, err := sms.New(s, nil)
	require.NoError(t, err)
	results := client.Send(t.Context(), texts(100))
	require.Equal(t, channel.StopTheLine, results[0].Outcome)
	require.Equal(t, channel.TryLater, results[99].Outcome)
	require.LessOrEqual(t, calls.Load(), int32(4))
}

// One refusal tells that Twilio sends nothing to a country: nobody else there is
// called about, and the others are.
func TestSendCallsNoMoreAboutAClosedCountry(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if strings.HasPrefix(r.FormValue("To"), "+49") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":21408,"status":400}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM1"}`)
	}))
	defer srv.Close()
	for name, country := range map[string]func(string) string{
		"known":   func(phone string) string { return phone[:3] },
		"unknown": nil,
	} {
		s := settings(srv.URL)
		s.Concurrency, s.Country = 1, country
		client, err := sms.New(s, nil)
		require.NoError(t, err)
		b := texts(6)
		for i := range b.Messages {
			b.Messages[i].To = []string{"+4915112345678", "+14155550123"}[i%2]
		}
		calls.Store(0)
		results := client.Send(t.Context(), b)
		require.True(t, results[0].Countrywide)
		wantCalls, want := int32(4), channel.Result{Outcome: channel.TryLater, Detail: "not sent: Twilio sends nothing to this country"}
		if country == nil {
			wantCalls, want = 6, results[0]
		}
		require.Equal(t, wantCalls, calls.Load(), name)
		for i := 2; i < 6; i += 2 {
			require.Equal(t, want, results[i], name)
			require.Equal(t, channel.Accepted, results[i+1].Outcome, name)
		}
	}
}

func TestNewRefusesUnusableSettings(t *testing.T) {
	t.Parallel()
	good := settings("https://twilio.example")
	for name, spoil := range map[string]func(*sms.Settings){
		"no address":             func(s *sms.Settings) { s.APIURL = "" },
		"address without scheme": func(s *sms.Settings) { s.APIURL = "api.twilio.com" },
		"no account":             func(s *sms.Settings) { s.AccountSID = "" },
		"no token":               func(s *sms.Settings) { s.AuthToken = "" },
		"token with a newline":   func(s *sms.Settings) { s.AuthToken += "\n" },
		"no sender":              func(s *sms.Settings) { s.MessagingServiceSID = "" },
		"relative callback":      func(s *sms.Settings) { s.CallbackURL = "/webhooks" },
		"underscore in the host": func(s *sms.Settings) { s.CallbackURL = "https://my_host.example" },
	} {
		s := good
		spoil(&s)
		_, err := sms.New(s, nil)
		require.True(t, fault.Is(err, fault.Invalid), name)
		require.NotContains(t, err.Error(), authToken)
	}
	_, err := sms.NewReceiver(sms.Settings{})
	require.True(t, fault.Is(err, fault.Invalid))
}

func TestTwilioRegionOfTheEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("TWILIO_REGION", "elsewhere")
	t.Setenv("TWILIO_EDGE", "nowhere")
	apiURL, last := recorder(t)
	require.Equal(t, channel.Accepted, newClient(t, apiURL).Send(t.Context(), texts(1))[0].Outcome)
	require.NotEmpty(t, last.path)
}

func BenchmarkSend(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid":"SM1","status":"accepted","num_segments":"0","direction":"outbound-api"}`)
	}))
	defer srv.Close()
	client := newClient(b, srv.URL)
	batch := texts(500)
	b.ReportAllocs()
	var sent int
	for b.Loop() {
		for _, r := range client.Send(b.Context(), batch) {
			if r.Outcome != channel.Accepted {
				b.Fatal(r.Detail)
			}
		}
		sent += len(batch.Messages)
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "messages/s")
}

package messenger_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/fault"
)

type call struct {
	path, query, authorization, contentType string
	body                                    string
}

// recorder accepts everything and keeps the last call.
func recorder(tb testing.TB) (*messenger.Client, *call) {
	tb.Helper()
	last := &call{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = call{r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}
		_, _ = io.WriteString(w, `{"recipient_id":"1","message_id":"m_1"}`)
	}))
	tb.Cleanup(srv.Close)
	return newClient(tb, srv.URL+"/"), last
}

func TestSendWritesEachLaneItsWay(t *testing.T) {
	t.Parallel()
	body := []byte(`{"text":"Hi"}`)
	for name, c := range map[string]struct {
		batch channel.Batch
		want  string
	}{
		"window": {
			on(channel.Window, channel.Message{Delivery: 5, Mark: "aZ5", To: person, Token: "unused", Body: body}),
			`{"recipient":{"id":"24680135791113"},"messaging_type":"UPDATE","message":{"text":"Hi","metadata":"bk:aZ5"}}`,
		},
		"one time": {
			on(channel.OneTime, channel.Message{Delivery: 6, Mark: "aZ6", To: person, Token: "t0k\"en", Body: body}),
			`{"recipient":{"one_time_notif_token":"t0k\"en"},"message":{"text":"Hi","metadata":"bk:aZ6"}}`,
		},
		"utility": {
			on(channel.Utility, channel.Message{Delivery: 7, Mark: "aZ7", To: person, Body: []byte(`{"template":{"name":"visit"}}`)}),
			`{"recipient":{"id":"24680135791113"},"messaging_type":"UTILITY","message":{"template":{"name":"visit"},"metadata":"bk:aZ7"}}`,
		},
		"recurring": {
			on(channel.Recurring, channel.Message{Delivery: 8, Mark: "aZ8", Token: "NMT", Body: []byte(" {} ")}),
			`{"recipient":{"notification_messages_token":"NMT"},"message":{"metadata":"bk:aZ8"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, last := recorder(t)
			require.Equal(t, channel.Accepted, client.Send(t.Context(), c.batch)[0].Outcome)
			require.Equal(t, c.want, last.body)
			require.Equal(t, "/v25.0/1357924680/messages", last.path)
			require.Equal(t, "appsecret_proof=f7777d424ac25a5fd45549ef6299a08f10230a980d89a65a3994d4a48246c1da", last.query)
			require.Equal(t, "Bearer "+pageToken, last.authorization)
			require.Equal(t, "application/json", last.contentType)
		})
	}
}

func TestSendRefusesWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	good := []byte(`{"text":"Hi"}`)
	for name, b := range map[string]channel.Batch{
		"no person":           on(channel.Window, channel.Message{Token: "t", Body: good}),
		"no token":            on(channel.OneTime, channel.Message{To: person, Body: good}),
		"no recurring token":  on(channel.Recurring, channel.Message{To: person, Body: good}),
		"lane of another":     on(channel.LaneSMS, channel.Message{To: person, Body: good}),
		"body is text":        on(channel.Window, channel.Message{To: person, Body: []byte("Hi")}),
		"body is an array":    on(channel.Window, channel.Message{To: person, Body: []byte(`["Hi"]`)}),
		"body ends too early": on(channel.Window, channel.Message{To: person, Body: []byte(`{"text":"Hi"`)}),
		"body ends twice":     on(channel.Window, channel.Message{To: person, Body: []byte(`{"text":"Hi"}}`)}),
		"no body":             on(channel.Window, channel.Message{To: person}),
	} {
		r := client.Send(t.Context(), b)[0]
		require.Equal(t, channel.Refused, r.Outcome, name)
		require.NotEmpty(t, r.Detail, name)
	}
	require.Empty(t, last.path, "nothing may be written")
}

func TestSendKeepsEveryPersonAndTextWhole(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	rapid.Check(t, func(rt *rapid.T) {
		to := rapid.StringN(1, 40, -1).Draw(rt, "to")
		text := rapid.String().Draw(rt, "text")
		body, err := json.Marshal(map[string]string{"text": text, "metadata": "theirs"})
		require.NoError(rt, err)
		m := channel.Message{Delivery: 42, Mark: "aZ42", To: to, Body: body}
		require.Equal(rt, channel.Accepted, client.Send(t.Context(), on(channel.Window, m))[0].Outcome)

		var got struct {
			Recipient struct{ ID string }
			Message   struct{ Text, Metadata string }
		}
		require.NoError(rt, json.Unmarshal([]byte(last.body), &got))
		require.Equal(rt, to, got.Recipient.ID)
		require.Equal(rt, text, got.Message.Text)
		require.Equal(rt, "bk:aZ42", got.Message.Metadata)
	})
}

func TestSendStopsCallingOnceThePageIsStopped(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":10,"error_subcode":1893063}}`)
	}))
	defer srv.Close()
	s := settings(srv.URL)
	s.Concurrency = 2
	client, err := messenger.New(s, nil)
	require.NoError(t, err)

	results := client.Send(t.Context(), window(100))
	require.Equal(t, channel.StopTheLine, results[0].Outcome)
	require.Equal(t, channel.TryLater, results[99].Outcome)
	require.LessOrEqual(t, calls.Load(), int32(4))
}

func TestSendKeepsWithinItsConcurrency(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		defer now.Add(-1)
		graph(0).ServeHTTP(w, r)
	}))
	defer srv.Close()
	s := settings(srv.URL)
	s.Concurrency = 3
	client, err := messenger.New(s, nil)
	require.NoError(t, err)
	client.Send(t.Context(), window(60))
	require.LessOrEqual(t, most.Load(), int32(3))
}

func TestAskOptInSendsTheTemplate(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	r := client.AskOptIn(t.Context(), window(0).Page, person, `New "courses"`, "bk:topic:ö")
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Equal(t, "m_1", r.ProviderID)
	require.JSONEq(t, `{"recipient":{"id":"24680135791113"},"messaging_type":"RESPONSE","message":{"attachment":{"type":"template",
		"payload":{"template_type":"one_time_notif_req","title":"New \"courses\"","payload":"bk:topic:ö"}}}}`, last.body)
}

func TestATokenThatCannotBeSentStopsTheLine(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	b := window(1)
	b.Page.AccessToken += "\n"
	require.Equal(t, channel.StopTheLine, client.Send(t.Context(), b)[0].Outcome)
	require.Empty(t, last.path)
}

func TestNewRefusesUnusableSettings(t *testing.T) {
	t.Parallel()
	for _, s := range []messenger.Settings{
		{}, {GraphURL: "graph.example", GraphVersion: "v25.0"}, {GraphURL: "://", GraphVersion: "v25.0"}, {GraphURL: "https://graph.example"},
	} {
		_, err := messenger.New(s, nil)
		require.True(t, fault.Is(err, fault.Invalid))
	}
}

func TestNoProofWithoutAnAppSecret(t *testing.T) {
	t.Parallel()
	var query string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		graph(0).ServeHTTP(w, r)
	}))
	defer srv.Close()
	client, err := messenger.New(messenger.Settings{GraphURL: srv.URL, GraphVersion: "v25.0"}, nil)
	require.NoError(t, err)
	require.Equal(t, channel.Accepted, client.Send(t.Context(), window(1))[0].Outcome)
	require.Empty(t, query)
}

func BenchmarkSend(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"recipient_id":"1","message_id":"m_1"}`)
	}))
	defer srv.Close()
	client := newClient(b, srv.URL)
	batch := window(500)
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

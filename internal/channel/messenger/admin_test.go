package messenger_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
)

func proofOf(token string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestInspectTellsWhatGraphSaysOfAToken(t *testing.T) {
	t.Parallel()
	client, last := answering(t, 200, `{"data":{"app_id":"77","type":"PAGE","is_valid":true,"profile_id":"1357924680","scopes":["pages_messaging"],
		"expires_at":0,"data_access_expires_at":1800000000}}`)
	got, r := client.Inspect(t.Context(), somePage)
	require.Equal(t, channel.Accepted, r.Outcome)
	require.Equal(t, messenger.AccessToken{Valid: true, App: "77", Page: pageID, Scopes: []string{"pages_messaging"},
		DataAccess: time.Unix(1800000000, 0).UTC()}, got)
	require.Equal(t, "GET /v25.0/debug_token", last.path)
	require.Equal(t, url.Values{"input_token": {pageToken}, "appsecret_proof": {proofOf(pageToken)}}.Encode(), last.query)
	require.Equal(t, "Bearer "+pageToken, last.authorization)
}

func TestInspectAsksAsTheAppWhenItsIDIsKnown(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		_, _ = w.Write([]byte(`{"data":{"is_valid":false,"error":{"code":190}}}`))
	}))
	t.Cleanup(srv.Close)
	set := settings(srv.URL)
	set.AppID = "77"
	client, err := messenger.New(set, nil)
	require.NoError(t, err)
	got, r := client.Inspect(t.Context(), somePage)
	require.Equal(t, channel.Accepted, r.Outcome, "that it is no good is an answer")
	require.False(t, got.Valid)
	require.Equal(t, "Bearer 77|"+appSecret, seen.Header.Get("Authorization"))
	require.Equal(t, proofOf("77|"+appSecret), seen.URL.Query().Get("appsecret_proof"))
}

func TestSubscribedFindsOurApp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer, app string
		want        []string
	}{
		"ours among others":  {`{"data":[{"id":"1","subscribed_fields":["feed"]},{"id":"77","subscribed_fields":["messages"]}]}`, "77", []string{"messages"}},
		"not ours":           {`{"data":[{"id":"1","subscribed_fields":["feed"]}]}`, "77", nil},
		"the only one":       {`{"data":[{"id":77,"subscribed_fields":["messages"]}]}`, "", []string{"messages"}},
		"one of several, no": {`{"data":[{"id":"1"},{"id":"2"}]}`, "", nil},
		"nobody":             {`{"data":[]}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, last := answering(t, 200, c.answer)
			got, r := client.Subscribed(t.Context(), somePage, c.app)
			require.Equal(t, channel.Accepted, r.Outcome)
			require.Equal(t, c.want, got)
			require.Equal(t, "GET /v25.0/"+pageID+"/subscribed_apps", last.path)
		})
	}
}

func TestWhatIsDoneToAPage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call              func(*testing.T, *messenger.Client) channel.Result
		answer            string
		path, query, body string
		want              channel.Outcome
	}{
		"subscribe": {func(t *testing.T, c *messenger.Client) channel.Result {
			return c.Subscribe(t.Context(), somePage, []string{"b", "a", "b"})
		}, `{"success":true}`, "POST /v25.0/" + pageID + "/subscribed_apps", "subscribed_fields=a%2Cb", "", channel.Accepted},
		"unsubscribe": {func(t *testing.T, c *messenger.Client) channel.Result {
			return c.Unsubscribe(t.Context(), somePage)
		}, `{"success":true}`, "DELETE /v25.0/" + pageID + "/subscribed_apps", "", "", channel.Accepted},
		"not done": {func(t *testing.T, c *messenger.Client) channel.Result {
			return c.Unsubscribe(t.Context(), somePage)
		}, `{"success":false}`, "DELETE /v25.0/" + pageID + "/subscribed_apps", "", "", channel.Refused},
		"get started": {func(t *testing.T, c *messenger.Client) channel.Result {
			return c.SetGetStarted(t.Context(), somePage, `"GO"`)
		}, `{"result":"success"}`, "POST /v25.0/me/messenger_profile", "", `{"get_started":{"payload":"\"GO\""}}`, channel.Accepted},
		"read get started": {func(t *testing.T, c *messenger.Client) channel.Result {
			payload, r := c.GetStarted(t.Context(), somePage)
			require.Equal(t, "GO", payload)
			return r
		}, `{"data":[{"get_started":{"payload":"GO"}}]}`, "GET /v25.0/me/messenger_profile", "fields=get_started", "", channel.Accepted},
		"no get started": {func(t *testing.T, c *messenger.Client) channel.Result {
			payload, r := c.GetStarted(t.Context(), somePage)
			require.Empty(t, payload)
			return r
		}, `{"data":[]}`, "GET /v25.0/me/messenger_profile", "fields=get_started", "", channel.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, last := answering(t, 200, c.answer)
			require.Equal(t, c.want, c.call(t, client).Outcome)
			require.Equal(t, c.path, last.path)
			require.Equal(t, c.body, last.body)
			require.Contains(t, "&"+last.query+"&", c.query+"&")
		})
	}
}

// TestEveryCallCarriesTheProof goes over all methods of a client that call Graph,
// those of tomorrow too: each request must prove that it knows the app's secret.
func TestEveryCallCarriesTheProof(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		token, bearer := r.Header.Get("Authorization"), "Bearer "
		if len(token) <= len(bearer) || r.URL.Query().Get("appsecret_proof") != proofOf(token[len(bearer):]) {
			t.Errorf("%s %s has no proof", r.Method, r.URL.Path)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(srv.Close)
	set := settings(srv.URL)
	set.AppID = "77"
	c, err := messenger.New(set, nil)
	require.NoError(t, err)
	client := reflect.ValueOf(c)
	silent := map[string]bool{"Kind": true, "MaxBatch": true, "Load": true}
	for i := range client.NumMethod() {
		name, method := client.Type().Method(i).Name, client.Method(i)
		if silent[name] {
			continue
		}
		before := calls.Load()
		method.Call(arguments(t, method.Type()))
		require.Greater(t, calls.Load(), before, "%s made no call", name)
	}
}

// arguments are good enough for any method to make its call.
func arguments(t *testing.T, method reflect.Type) []reflect.Value {
	t.Helper()
	var in []reflect.Value
	for i := range method.NumIn() {
		switch of := method.In(i); of {
		case reflect.TypeFor[channel.Page]():
			in = append(in, reflect.ValueOf(somePage))
		case reflect.TypeFor[channel.Batch]():
			in = append(in, reflect.ValueOf(window(1)))
		case reflect.TypeFor[channel.ThreadMove]():
			in = append(in, reflect.ValueOf(channel.ThreadMove{Action: channel.StatusTake, PSID: person}))
		case reflect.TypeFor[string]():
			in = append(in, reflect.ValueOf("x"))
		default:
			if of.Kind() == reflect.Interface {
				in = append(in, reflect.ValueOf(t.Context()))
				continue
			}
			in = append(in, reflect.Zero(of))
		}
	}
	return in
}

func TestTheLoadOfAPageIsThatOfItsLastMessage(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"1":[{"type":"messenger","call_count":41,"total_cputime":3,"total_time":57}]}`)
		_, _ = w.Write([]byte(`{"message_id":"m_1"}`))
	}))
	t.Cleanup(srv.Close)
	client := newClient(t, srv.URL)
	require.Zero(t, client.Load(somePage, time.Hour))
	client.Send(t.Context(), window(2))
	require.Equal(t, 57, client.Load(somePage, time.Hour))
	require.Zero(t, client.Load(somePage, 0), "that was long ago")
	require.Zero(t, client.Load(channel.Page{GraphID: "2"}, time.Hour))
}

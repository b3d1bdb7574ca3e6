package messenger_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
)

var somePage = channel.Page{GraphID: pageID, AccessToken: pageToken}

// answering gives one answer to every call and keeps the last call.
func answering(t *testing.T, status int, answer string) (*messenger.Client, *call) {
	t.Helper()
	last := &call{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = call{r.Method + " " + r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	return newClient(t, srv.URL), last
}

func TestAThreadIsHandedOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		move       channel.ThreadMove
		path, body string
	}{
		"pass":    {channel.ThreadMove{Action: channel.StatusPass, PSID: person, Target: "2002", Metadata: `a "note"`}, "pass", `{"recipient":{"id":"` + person + `"},"target_app_id":"2002","metadata":"a \"note\""}`},
		"take":    {channel.ThreadMove{Action: channel.StatusTake, PSID: person, Target: "2002"}, "take", `{"recipient":{"id":"` + person + `"}}`},
		"request": {channel.ThreadMove{Action: channel.StatusRequest, PSID: person, Metadata: "please"}, "request", `{"recipient":{"id":"` + person + `"},"metadata":"please"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, last := answering(t, http.StatusOK, `{"success":true}`)
			require.Equal(t, channel.Result{Outcome: channel.Accepted}, client.MoveThread(t.Context(), somePage, c.move))
			require.Equal(t, "POST /v25.0/"+pageID+"/"+c.path+"_thread_control", last.path)
			require.JSONEq(t, c.body, last.body)
			require.Regexp(t, `^appsecret_proof=[0-9a-f]{64}$`, last.query)
			require.Equal(t, "Bearer "+pageToken, last.authorization)
		})
	}
}

func TestWhatGraphSaysToAHandOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		answer string
		want   channel.Outcome
		code   string
	}{
		"not done":        {200, `{"success":false}`, channel.Refused, ""},
		"another's":       {400, `{"error":{"code":10,"error_subcode":2018300}}`, channel.TryLater, "10/2018300"},
		"no such app":     {400, `{"error":{"code":100}}`, channel.Refused, "100"},
		"refused token":   {400, `{"error":{"code":190}}`, channel.StopTheLine, "190"},
		"nothing legible": {200, `<html>`, channel.Unknown, ""},
		"down":            {503, ``, channel.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := answering(t, c.status, c.answer)
			r := client.MoveThread(t.Context(), somePage, channel.ThreadMove{Action: channel.StatusTake, PSID: person})
			require.Equal(t, c.want, r.Outcome)
			require.Equal(t, c.code, r.Code)
			require.Equal(t, c.code == "10/2018300", r.Elsewhere)
			require.NotContains(t, r.Detail, person)
		})
	}
}

func TestThreadOwnerNamesTheApp(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"data":[{"thread_owner":{"app_id":"2002"}}]}`: "2002",
		`{"data":[{"thread_owner":{"app_id":2002}}]}`:   "2002",
		`{"data":[]}`: "",
	} {
		client, last := answering(t, http.StatusOK, answer)
		app, r := client.ThreadOwner(t.Context(), somePage, person)
		require.Equal(t, channel.Accepted, r.Outcome)
		require.Equal(t, want, app)
		require.Equal(t, "GET /v25.0/"+pageID+"/thread_owner", last.path)
		require.Regexp(t, `^appsecret_proof=[0-9a-f]{64}&recipient=`+person+`$`, last.query)
	}
	client, _ := answering(t, http.StatusOK, `{"data":"?"}`)
	_, r := client.ThreadOwner(t.Context(), somePage, person)
	require.Equal(t, channel.Unknown, r.Outcome)
}

package simulator

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const otherApp = "200200"

func (b *bundle) edge(t *testing.T, method, name, query, body string) reply {
	t.Helper()
	req := b.request(t, method, "/graph/v25.0/"+testPage+"/"+name+"?appsecret_proof="+proof(testSecret, testToken)+query, body)
	req.Header.Set("Authorization", "Bearer "+testToken)
	return b.do(t, req)
}

func (b *bundle) owner(t *testing.T) string {
	t.Helper()
	var got struct {
		Data []struct {
			Owner struct {
				App string `json:"app_id"`
			} `json:"thread_owner"`
		}
	}
	r := b.edge(t, http.MethodGet, "thread_owner", "&recipient=psid-1", "")
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), &got))
	return got.Data[0].Owner.App
}

func TestAThreadGoesFromAppToApp(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppID = "100100" })
	b.sim.AddPeople(testPage, 1)
	who := `{"recipient":{"id":"psid-1"}`
	require.Equal(t, "100100", b.owner(t))
	require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", `{"text":"x"}`)).status)

	r := b.edge(t, http.MethodPost, "pass_thread_control", "", who+`,"target_app_id":"`+otherApp+`","metadata":"note"}`)
	require.JSONEq(t, `{"success":true}`, r.body)
	require.Equal(t, otherApp, b.owner(t))
	require.Equal(t, "10/2018300", b.graph(t, toPSID("psid-1", `{"text":"x"}`)).code(t))
	require.Equal(t, "10/2018300", b.edge(t, http.MethodPost, "pass_thread_control", "", who+`,"target_app_id":"3"}`).code(t), "it is not ours to pass")

	require.Equal(t, http.StatusOK, b.edge(t, http.MethodPost, "request_thread_control", "", who+`}`).status)
	require.Equal(t, otherApp, b.owner(t), "asked for is not given")
	require.Equal(t, http.StatusOK, b.edge(t, http.MethodPost, "take_thread_control", "", who+`,"metadata":"mine"}`).status)
	require.Equal(t, "100100", b.owner(t))
	require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", `{"text":"x"}`)).status)
}

func TestHandOverCallsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	for name, c := range map[string]struct{ edge, body, code string }{
		"nobody":              {"take", `{}`, "100"},
		"a stranger":          {"take", `{"recipient":{"id":"psid-2"}}`, "100/2018001"},
		"no target":           {"pass", `{"recipient":{"id":"psid-1"}}`, "100"},
		"a target in words":   {"pass", `{"recipient":{"id":"psid-1"},"target_app_id":"inbox"}`, "100"},
		"a target to take":    {"take", `{"recipient":{"id":"psid-1"},"target_app_id":"1"}`, "100"},
		"a target to ask":     {"request", `{"recipient":{"id":"psid-1"},"target_app_id":"1"}`, "100"},
		"a word too many":     {"take", `{"recipient":{"id":"psid-1"},"note":"x"}`, "100"},
		"no JSON":             {"take", `recipient=psid-1`, "100"},
		"nothing of the kind": {"keep", `{"recipient":{"id":"psid-1"}}`, "2500"},
	} {
		require.Equal(t, c.code, b.edge(t, http.MethodPost, c.edge+"_thread_control", "", c.body).code(t), name)
	}
	require.Equal(t, "100/2018001", b.edge(t, http.MethodGet, "thread_owner", "&recipient=psid-2", "").code(t))
}

func TestWhatIsDoneInAnothersThreadIsToldInStandby(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppID = "100100" })
	b.sim.AddPeople(testPage, 2)
	require.NoError(t, b.sim.HandOver(t.Context(), testPage, "psid-1", otherApp))
	require.NoError(t, b.sim.PostEvents(t.Context(), []Event{
		{Kind: Pressed, Page: testPage, PSID: "psid-1", Text: "More", Payload: "MORE"},
		{Kind: Said, Page: testPage, PSID: "psid-2", Text: "Hi"},
		{Kind: Echoed, Page: testPage, PSID: "psid-1", Text: "Hello, this is Ben", App: PageInbox},
	}))
	calls := b.bot.take()
	require.Len(t, calls, 2)
	require.Contains(t, string(calls[0].body), `"messaging":[{"sender":{"id":"psid-1"},"recipient":{"id":"1001"},"timestamp":1795338000000,"take_thread_control":{"previous_owner_app_id":"100100","new_owner_app_id":"200200"}}]`)
	var body struct {
		Entry []struct{ Messaging, Standby []json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(calls[1].body, &body))
	require.Len(t, body.Entry, 3)
	require.Len(t, body.Entry[0].Standby, 1)
	require.NotContains(t, string(body.Entry[0].Standby[0]), "MORE", "what was tapped is for the holder")
	require.Len(t, body.Entry[1].Messaging, 1)
	require.Contains(t, string(body.Entry[2].Standby[0]), `"app_id":263902037430900`)

	require.NoError(t, b.sim.HandOver(t.Context(), testPage, "psid-1", "100100"))
	require.Contains(t, string(b.bot.take()[0].body), `"pass_thread_control":{"previous_owner_app_id":"263902037430900","new_owner_app_id":"100100"}`)
	require.Equal(t, "100100", b.owner(t))
}

package simulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCountsAndFaultsFromAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	b.graph(t, toPSID("psid-1", `{"text":"x"}`))
	var counts Counts
	require.NoError(t, json.Unmarshal([]byte(b.get(t, "/counts").body), &counts))
	require.Equal(t, b.sim.Counts(), counts)
	require.Equal(t, int64(1), counts[Graph].Accepted)
	require.JSONEq(t, `{"graph":{"psid-1":1},"twilio":{},"sendgrid":{}}`, b.get(t, "/recipients").body)
	require.Equal(t, http.StatusNoContent, b.do(t, b.request(t, http.MethodDelete, "/counts", "")).status)
	require.Zero(t, b.sim.Counts()[Graph].Accepted)

	put := func(body string) reply { return b.do(t, b.request(t, http.MethodPut, "/faults", body)) }
	bursts := Faults{BurstEvery: time.Minute, BurstLength: time.Second, LateCallbacks: 0.1, LateBy: 2 * time.Second}
	text, err := json.Marshal(map[Provider]Faults{SendGrid: bursts})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, put(string(text)).status)
	require.Equal(t, bursts, b.sim.Faults(SendGrid))
	require.Equal(t, http.StatusOK, put(`{"twilio":{"latency":"5ms","throttle_rate":0.5}}`).status)
	require.Equal(t, Faults{Latency: 5 * time.Millisecond, ThrottleRate: 0.5}, b.sim.Faults(Twilio))
	require.Equal(t, Faults{}, b.sim.Faults(Graph))
	require.Contains(t, b.get(t, "/faults").body, `"twilio":{"latency":"5ms","throttle_rate":0.5`)
	require.Equal(t, http.StatusUnprocessableEntity, put(`{"pigeon":{}}`).status)
	require.Equal(t, http.StatusBadRequest, put(`{`).status)
}

func TestPeopleFromAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	people := func(body string) reply { return b.do(t, b.request(t, http.MethodPost, "/people", body)) }
	require.JSONEq(t, `{"people":3,"tokens":6}`, people(`{"page":"1001","n":3,"tokens":2,"closed":true}`).body)
	require.Equal(t, http.StatusBadRequest, people(`x`).status)
	require.Equal(t, "10/2018278", b.graph(t, toPSID("psid-3", `{"text":"x"}`)).code(t))
	require.Equal(t, http.StatusOK, b.graph(t, toToken("otn-1001-psid-3-2")).status)
}

func TestPhoneFromAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	phone := func(fields url.Values) int {
		act := map[string]string{"page": testPage, "psid": "p"}
		for k := range fields {
			act[k] = fields.Get(k)
		}
		body, err := json.Marshal(act)
		require.NoError(t, err)
		return b.do(t, b.request(t, http.MethodPost, "/phone", string(body))).status
	}
	for _, do := range []string{"say", "get_started", "open", "react", "read", "block", "unblock"} {
		require.Equal(t, http.StatusNoContent, phone(url.Values{"do": {do}, "text": {"x"}}), do)
	}
	require.Equal(t, http.StatusNoContent, phone(url.Values{"do": {"text"}, "from": {"+14155550100"}, "text": {"hi"}}))
	for _, do := range []string{"quick_reply", "button", "notify_me", "unsubscribe"} {
		require.Equal(t, http.StatusConflict, phone(url.Values{"do": {do}}), do)
	}
	require.Equal(t, http.StatusUnprocessableEntity, phone(url.Values{"do": {"dance"}}))
	b.bot.answer(http.StatusInternalServerError)
	require.Equal(t, http.StatusBadGateway, phone(url.Values{"do": {"say"}}))
	require.Equal(t, http.StatusBadRequest, b.do(t, b.request(t, http.MethodPost, "/phone", "x")).status)
}

func TestInboxFromAnotherProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, send := range b.sends(t) {
		b.do(t, send())
	}
	require.Contains(t, b.get(t, "/inbox?page=1001&psid=psid-1").body, `"Text":"x"`)
	require.Contains(t, b.get(t, "/inbox?number=%2B14155550100").body, `"Body":"x"`)
	require.Contains(t, b.get(t, "/inbox?email=ann@example.org").body, `"Subject":"Hi Ann"`)
	require.Equal(t, http.StatusBadRequest, b.get(t, "/inbox").status)
}

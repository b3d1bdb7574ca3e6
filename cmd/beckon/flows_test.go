package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// The four flows through the program, from outside only: the public API with a
// key, and signed webhooks.

func TestFlowPermissionArrives(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.hidden = append(w.hidden, "Anna-psid", "Bert-psid", "secret-hello")
		require.NoError(t, w.sim.VerifyWebhook(t.Context()))
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "secret-hello"))
		anna := w.known(t, "Anna-psid")
		require.True(t, anna.inWindow())
		request := w.askPermission(t, anna, 201)
		require.Equal(t, "sent", request.State)

		token, err := w.sim.TapNotifyMe(t.Context(), simulatorPage, "Anna-psid")
		require.NoError(t, err)
		w.hidden = append(w.hidden, token)
		w.granted(t, anna, request.ID, token)
		require.Equal(t, "asked_recently", w.askPermission(t, anna, 422).Code)

		// Bert wrote two days ago, and Messenger tells only now.
		require.NoError(t, w.sim.PostEvents(t.Context(), []simulator.Event{{Kind: simulator.Said, Page: simulatorPage, PSID: "Bert-psid", Text: "secret-hello", At: time.Now().Add(-49 * time.Hour)}}))
		bert := w.known(t, "Bert-psid")
		require.False(t, bert.inWindow())
		require.Equal(t, "window_closed", w.askPermission(t, bert, 422).Code)
		_, err = w.sim.TapNotifyMe(t.Context(), simulatorPage, "Bert-psid")
		require.ErrorIs(t, err, simulator.ErrNothingToTap)
		require.Equal(t, map[string]int{"Anna-psid": 1}, w.sentTo())
	})
}

func TestFlowForgedWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		for path, kind := range map[string]string{"/webhooks/messenger": "application/json", "/webhooks/twilio/status/1": "application/x-www-form-urlencoded", "/webhooks/sendgrid": "application/json"} {
			got := ask[problem](t, w, 403, "POST", path, file{kind, `{"object":"page","entry":[]}`})
			require.Equal(t, "bad_signature", got.Code, path)
		}
		require.Empty(t, list[contactAnswer](t, w, "/v1/contacts"))
	})
}

// known waits until a PSID belongs to somebody whose window has been noted.
func (w *world) known(t *testing.T, psid string) (found contactAnswer) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		for _, p := range list[contactAnswer](c, w, "/v1/contacts") {
			if len(p.Messenger) == 1 && p.Messenger[0].PSID == psid && p.Messenger[0].Closes != nil {
				found = p
			}
		}
		require.NotEmpty(c, found.ID)
	})
	return found
}

// optIn is the answer to an opt-in request, or the problem with it.
type optIn struct{ ID, State, Code string }

func (w *world) askPermission(t *testing.T, who contactAnswer, status int) optIn {
	t.Helper()
	return ask[optIn](t, w, status, "POST", "/v1/opt-in-requests", map[string]any{"contact_id": who.ID, "page_id": w.page, "topic": "courses"})
}

// granted waits until the token is listed, without its value.
func (w *world) granted(t *testing.T, who contactAnswer, request, token string) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		require.Equal(c, "granted", ask[optIn](c, w, 200, "GET", "/v1/opt-in-requests/"+request, nil).State)
	})
	tokens := list[map[string]any](t, w, "/v1/contacts/"+who.ID+"/tokens")
	require.Len(t, tokens, 1)
	require.Equal(t, []any{"available", "courses", w.page}, []any{tokens[0]["status"], tokens[0]["topic"], tokens[0]["page_id"]})
	require.NotContains(t, fmt.Sprint(tokens), token)
	require.NotContains(t, fmt.Sprint(ask[any](t, w, 200, "GET", "/v1/contacts/"+who.ID, nil)), token)
}

func TestFlowContactsArriveFromACRM(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.hidden = append(w.hidden, "amy@hidden.example.com", "700900123", "ben@hidden.example.com", "cleo@hidden.example.com")
		amy := map[string]any{"first_name": "Amy", "email": "amy@hidden.example.com", "phone": "+447700900123",
			"consents": map[string]any{"sms": map[string]string{"status": "subscribed", "evidence": "ticked the box"}}}
		first := ask[contactAnswer](t, w, 201, "PUT", "/v1/contacts/by-external-id/crm-1", amy)
		require.Equal(t, first.ID, ask[contactAnswer](t, w, 200, "PUT", "/v1/contacts/by-external-id/crm-1", map[string]any{"last_name": "Pond"}).ID)

		byNDJSON := w.imported(t, file{ndjson, `{"external_id":"crm-1","attributes":{"city":"Leeds"}}
{"external_id":"crm-2","first_name":"Ben","email":"ben@hidden.example.com","phone":
{"external_id":"crm-3","first_name":"Cleo","email":"CLEO@hidden.example.com"}
`})
		require.Equal(t, [4]int{3, 1, 1, 1}, counted(byNDJSON))
		require.Equal(t, 2, byNDJSON.RefusedLines[0].Line)

		byCSV := w.imported(t, file{csv, "external_id,first_name,email,phone,consents.email.status\n" +
			",Amy,,07700 900123,\n" + // by her number, as one writes it in Britain
			"crm-2,Ben,ben(at)hidden.example.com,,\n" +
			",,cleo@hidden.example.com,,subscribed\n"})
		require.Equal(t, [4]int{3, 0, 2, 1}, counted(byCSV))
		require.Equal(t, 3, byCSV.RefusedLines[0].Line)
		require.Equal(t, "/email", byCSV.RefusedLines[0].Errors[0].Pointer)

		people := list[map[string]any](t, w, "/v1/contacts")
		require.Len(t, people, 2)
		got := people[1] // newest first
		require.Equal(t, []any{first.ID, "Pond", "amy@hidden.example.com", map[string]any{"city": "Leeds"}}, []any{got["id"], got["last_name"], got["email"], got["attributes"]})
		require.Equal(t, "ticked the box", got["consents"].(map[string]any)["sms"].(map[string]any)["evidence"])
		require.Equal(t, "cleo@hidden.example.com", people[0]["email"])
	})
}

// counted are lines, created, updated and refused.
func counted(i importAnswer) [4]int { return [4]int{i.Lines, i.Created, i.Updated, i.Refused} }

func TestFlowCampaignGoesOut(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, people := serving(t, database), crowd{window: 30, oneTime: 25, sms: 20, email: 15, nobody: 10}
		require.Equal(t, people.size(), w.imported(t, people.file(w)).Created)
		w.chat(t, people)
		w.sim.SetFaults(simulator.Graph, simulator.Faults{DuplicateCallbacks: 0.3})
		id := w.campaign(t, "window", "one_time", "sms", "email")
		var r *reportAnswer
		eventually(t, func(c *assert.CollectT) {
			r = w.report(c, id)
			require.Equal(c, "finished", r.State)
			require.Equal(c, 90, r.count("delivered"), r.progress())
		})
		require.Equal(t, 100, r.Audience)
		require.Equal(t, [3]int{55, 35, 10}, [3]int{r.Messenger.Total, r.LinkBack.Total, r.Unreachable.Total})
		require.Equal(t, [4]int{30, 25, 20, 15}, [4]int{r.Lanes["window"].Total, r.Lanes["one_time"].Total, r.Lanes["sms"].Total, r.Lanes["email"].Total})

		// Each delivery is one request, and each request one delivery; SendGrid
		// takes many in one, so there it is one recipient.
		want := w.addressed(t, id, "delivered")
		require.Len(t, want, 90)
		require.Equal(t, want, w.sentTo())
		counts := w.sim.Counts()
		require.Equal(t, [3]int64{55, 20, 15}, [3]int64{counts[simulator.Graph].Requests, counts[simulator.Twilio].Requests, counts[simulator.SendGrid].Accepted})
		for _, p := range simulator.Providers() {
			require.LessOrEqual(t, counts[p].MaxPerRecipient, 1)
		}
		w.allRead(t, id)
		w.tokensSpent(t, people.oneTime)
		require.Len(t, w.logs.lines(t, "campaign finished"), 1)
	})
}

// allRead waits until everybody has read what came by Messenger.
func (w *world) allRead(t *testing.T, campaign string) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		for _, d := range list[map[string]any](c, w, "/v1/campaigns/"+campaign+"/deliveries") {
			if lane := d["lane"]; lane == "window" || lane == "one_time" {
				require.NotNil(c, d["read_at"])
			}
		}
	})
}

func (w *world) tokensSpent(t *testing.T, want int) {
	t.Helper()
	spent := 0
	for _, p := range list[contactAnswer](t, w, "/v1/contacts") {
		for _, token := range p.Tokens {
			require.Equal(t, "spent", token.Status)
			spent++
		}
	}
	require.Equal(t, want, spent)
}

func TestFlowCampaignFallsThroughAndSettlesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		people := crowd{window: 12, sms: 12, email: 12}
		w.imported(t, people.file(w))
		w.imported(t, file{csv, "external_id,email,consents.email.status\nw0,fallen0@hidden.example.com,subscribed\ns0,fallen1@hidden.example.com,subscribed\n"})
		w.chat(t, people)
		w.sim.Block(simulatorPage, psid("w", 0)) // Messenger refuses
		w.sim.Refuse(simulator.Twilio, phone(0), "30006")
		w.sim.Refuse(simulator.Twilio, phone(1), "21610")
		w.sim.SetFaults(simulator.Graph, simulator.Faults{LostAnswerRate: 0.3})
		w.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 0.3, ThrottleRate: 0.3, RetryAfter: time.Second})
		id := w.campaign(t, "window", "one_time", "sms", "email")
		eventually(t, func(c *assert.CollectT) {
			r := w.report(c, id)
			require.Equal(c, "finished", r.State)
			require.Equal(c, 35, r.count("delivered"), r.progress()) // all but the number that said STOP
			require.Equal(c, 1, r.count("failed"), r.progress())
		})
		require.Equal(t, 14, w.report(t, id).Lanes["email"].States["delivered"])
		got := w.sentTo()
		require.Equal(t, 1, got[phone(0)], "a landline was taken, and taken back")
		delete(got, phone(0))
		require.Equal(t, w.addressed(t, id, "delivered"), got)
		suppressed := list[struct{ Channel, Reason string }](t, w, "/v1/suppressions")
		require.ElementsMatch(t, []struct{ Channel, Reason string }{{"sms", "stop"}, {"sms", "undeliverable"}}, suppressed)
	})
}

func TestFlowSomebodyComesBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, people := serving(t, database), crowd{sms: 1}
		w.hidden = append(w.hidden, "Dora-psid", "Stranger-psid")
		w.imported(t, people.file(w))
		id := w.campaign(t, "sms")
		eventually(t, func(c *assert.CollectT) { require.Equal(c, 1, w.report(c, id).count("delivered")) })
		dora := list[contactAnswer](t, w, "/v1/contacts")[0]
		code := w.follow(t, linkForm.FindString(w.sim.Texts(phone(0))[0].Body))

		require.NoError(t, w.sim.Open(t.Context(), simulatorPage, "Dora-psid", code))
		eventually(t, func(c *assert.CollectT) {
			r := w.report(c, id)
			require.Equal(c, [2]int{1, 1}, [2]int{r.Clicked, r.Returned})
		})
		require.Equal(t, dora.ID, w.known(t, "Dora-psid").ID)
		d := w.deliveries(t, id)[0]
		require.NotNil(t, d.Clicked)
		require.NotNil(t, d.Returned)
		reach := ask[reachAnswer](t, w, 200, "GET", "/v1/contacts/"+dora.ID+"/reach?page_id="+w.page, nil)
		require.Equal(t, "window", reach.Lane)

		// The code was passed on: who uses it is somebody else.
		require.NoError(t, w.sim.Open(t.Context(), simulatorPage, "Stranger-psid", code))
		stranger := w.known(t, "Stranger-psid")
		require.NotEqual(t, dora.ID, stranger.ID)
		require.Empty(t, stranger.Phone)
		require.Equal(t, dora.ID, w.known(t, "Dora-psid").ID)
		eventually(t, func(c *assert.CollectT) {
			require.Len(c, w.logs.lines(c, "a personal link was used by somebody else"), 1)
		})
		require.Equal(t, 1, w.report(t, id).Returned)
		require.Len(t, list[contactAnswer](t, w, "/v1/contacts"), 2)
	})
}

// follow opens a personal link and returns the code that it leads to Messenger
// with.
func (w *world) follow(t *testing.T, link string) (code string) {
	t.Helper()
	path, ours := strings.CutPrefix(link, w.gate.URL)
	require.True(t, ours)
	got, err := w.call(t.Context(), http.MethodGet, path, "", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, got.status)
	to, err := url.Parse(got.header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "https://m.me/northerncourses", to.Scheme+"://"+to.Host+to.Path)
	code = to.Query().Get("ref")
	require.NotEmpty(t, code)
	w.hidden = append(w.hidden, code)
	return code
}

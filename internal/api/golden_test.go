package api

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step is a call of a tour. {name} in its path and body stands for the id that
// an earlier step kept under that name.
type step struct {
	method, path, body string
	keep               string
	then               func(s *service) // what happens outside, after the answer
}

// told is what the golden file says of a step.
type told struct {
	Call   string          `json:"call"`
	Body   json.RawMessage `json:"body,omitempty"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

func tour() []step {
	return []step{
		{"POST", "/v1/pages", `{"facebook_page_id":"104829305581","name":"Northern Courses","username":"northerncourses","access_token":"EAAB-s3cr3t"}`, "page", nil},
		{"PATCH", "/v1/pages/{page}", `{"capabilities":{"one_time":"works","profile":"off"},"country":"GB","quiet_hours":48}`, "", nil},
		{"POST", "/v1/pages/{page}/check", "", "", nil},
		{"POST", "/v1/pages/{page}/message-templates", `{"name":"visit","language":"en","body":"Hi {{name}}, see you on {{day}}.","examples":{"name":"Amy","day":"Monday"},"buttons":[{"type":"postback","title":"Fine"}]}`, "template", nil},
		{"GET", "/v1/pages/{page}/recurring-tokens", "", "", nil},
		{"POST", "/v1/topics", `{"slug":"courses","title":"New courses in your town","payloads":["OTN_COURSES"]}`, "", nil},
		{"PUT", "/v1/contacts/by-external-id/crm-1", `{"first_name":"Amy","email":"Amy@Example.com","phone":"07700 900123","time_zone":"Europe/London",
			"attributes":{"city":"Leeds","visits":12345678901234567890},"messenger":[{"page_id":"{page}","psid":"5123456789"}],
			"consents":{"sms":{"status":"subscribed","source":"sign-up form","at":"2026-02-11T10:15:00Z"}}}`, "amy", func(s *service) { s.acted(s.clock.Now().Add(-25 * time.Hour)) }},
		{"PUT", "/v1/contacts/by-external-id/crm-2", `{"first_name":"Ben","email":"ben@example.com","consents":{"email":{"status":"subscribed","evidence":"I agree"}}}`, "ben", nil},
		{"POST", "/v1/contacts", `{"external_id":"crm-3","phone":"+447700900456"}`, "cat", nil},
		{"POST", "/v1/contacts", `{"external_id":"crm-4","email":"ben@example.com"}`, "", nil},
		{"POST", "/v1/contacts/{amy}/tokens", `{"page_id":"{page}","topic":"courses","token":"6127093746510293847","granted_at":"2026-02-20T17:00:00Z"}`, "token", nil},
		{"GET", "/v1/contacts/{amy}", "", "", nil},
		{"GET", "/v1/contacts/{amy}/reach?page_id={page}&topic=courses", "", "", nil},
		{"POST", "/v1/suppressions", `{"channel":"sms","address":"+447700900456","reason":"stop"}`, "suppression", nil},
		{"POST", "/v1/opt-in-requests", `{"contact_id":"{amy}","page_id":"{page}","topic":"courses"}`, "", nil},
		{"POST", "/v1/campaigns", `{"name":"Spring courses","page_id":"{page}","topic":"courses","audience":{"field":"external_id","op":"exists"},
			"content":{"messenger":{"text":"Hi {{ contact.first_name }}, want the list?","buttons":[{"type":"postback","title":"Yes please","payload":"YES"}]},
			"sms":{"text":"Courses: {{ link }}"},"email":{"subject":"Spring courses","layout":"none",
			"text":"See {{ link }}\n\nUnsubscribe: {{ unsubscribe_url }}\n{{ sender.name }}, {{ sender.postal_address }}"}}}`, "campaign", nil},
		{"POST", "/v1/campaigns/{campaign}/preview", "", "", nil},
		{"POST", "/v1/campaigns/{campaign}/start", "", "", func(s *service) { s.work() }},
		{"PATCH", "/v1/campaigns/{campaign}", `{"name":"Too late"}`, "", func(s *service) {
			s.clock.Pass(time.Minute)
			s.parts.Clicks.Note(2)
			require.NoError(s.t, s.parts.Clicks.Flush(s.t.Context()))
		}},
		{"GET", "/v1/campaigns/{campaign}/report", "", "", nil},
		{"GET", "/v1/campaigns/{campaign}/deliveries", "", "", nil},
		{"GET", "/v1/deliveries/2", "", "", nil},
		{"GET", "/v1/lines", "", "", nil},
		{"POST", "/v1/lines/messenger:{page}/resume", "", "", nil},
		{"DELETE", "/v1/contacts/{cat}", "", "", nil},
		{"GET", "/v1/contacts/{cat}", "", "", nil},
	}
}

// Programs are written against these answers: they may grow, but what is in
// them stays. Both engines give the same.
func TestAnswersAreAsWrittenDown(t *testing.T) {
	t.Parallel()
	const file = "testdata/answers/tour.json"
	eachService(t, func(t *testing.T, s *service) {
		got := s.take(tour())
		if *update && s.db.Engine() == "sqlite" {
			writeGolden(t, file, got)
			return
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var want []told
		require.NoError(t, json.Unmarshal(data, &want))
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i].Call, got[i].Call)
			require.Equal(t, want[i].Status, got[i].Status, "%s: %s", want[i].Call, got[i].Answer)
			if want[i].Answer != nil {
				require.JSONEq(t, string(want[i].Answer), string(got[i].Answer), want[i].Call)
			}
		}
		require.NotContains(t, s.logs.String(), "s3cr3t")
	})
}

func (s *service) take(steps []step) (out []told) {
	s.t.Helper()
	ids := map[string]string{}
	fill := func(text string) string {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		return text
	}
	for _, st := range steps {
		c := call{Method: st.method, Path: fill(st.path), Body: fill(st.body), Headers: map[string]string{"X-Request-Id": "tour"}}
		if st.method == http.MethodPatch {
			c.Headers["Content-Type"] = "application/merge-patch+json"
		}
		w := s.do(c)
		if st.keep != "" {
			var kept struct{ ID string }
			require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &kept), w.Body)
			ids[st.keep] = kept.ID
		}
		answer := w.Body.String()
		for name, id := range ids {
			answer = strings.ReplaceAll(answer, id, "{"+name+"}")
		}
		answer = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(answer, "{id}")
		out = append(out, told{st.method + " " + st.path, json.RawMessage(st.body), w.Code, json.RawMessage(answer)})
		if st.then != nil {
			st.then(s)
		}
	}
	return out
}

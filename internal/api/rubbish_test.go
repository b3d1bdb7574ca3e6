package api

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusal is a call that is wrong, and what the caller is told.
type refusal struct {
	name   string
	call   call
	status int
	code   string
	fields map[string]string
}

func post(path, body string) call { return call{Method: "POST", Path: path, Body: body} }
func put(body string) call {
	return call{Method: "PUT", Path: "/v1/contacts/by-external-id/x", Body: body}
}

// refusals are calls into a town that must all be refused. Amy holds
// amy@example.com, Dan the first phone.
func refusals(t town) []refusal {
	amy, page := "/v1/contacts/"+t.people["amy"].ID.String(), t.page.ID.String()
	catToken := "/v1/contacts/" + t.people["cat"].ID.String() + "/tokens/" + t.token.String()
	campaign := func(more string) call {
		return post("/v1/campaigns", `{"name":"x","page_id":"`+page+`","topic":"courses",`+more+`}`)
	}
	token := func(page, topic, more string) call {
		return post(amy+"/tokens", `{"page_id":"`+page+`","topic":"`+topic+`",`+more+`}`)
	}
	return []refusal{
		{"bad JSON", put(`{"first_name":"Amy",}`), 400, "malformed", nil},
		{"broken off", post("/v1/contacts", `{"first_name":"Amy"`), 400, "malformed", nil},
		{"unknown field", put(`{"first_nam":"Amy"}`), 422, "invalid_fields", map[string]string{"/first_nam": "unknown_field"}},
		{"wrong type", put(`{"first_name":7,"attributes":[]}`), 422, "invalid_fields", map[string]string{"/first_name": "wrong_type", "/attributes": "wrong_type"}},
		{"bad phone", put(`{"phone":"+44123"}`), 422, "invalid_fields", map[string]string{"/phone": "bad_phone"}},
		{"bad e-mail", put(`{"email":"amy@"}`), 422, "invalid_fields", map[string]string{"/email": "bad_format"}},
		{"e-mail without a domain", put(`{"email":"amy@host"}`), 422, "invalid_fields", map[string]string{"/email": "bad_email"}},
		{"several at once", put(`{"phone":"+44123","time_zone":"Mars/Base","locale":"xx-xx-xx-xx-yy"}`), 422, "invalid_fields",
			map[string]string{"/phone": "bad_phone", "/time_zone": "bad_time_zone", "/locale": "bad_locale"}},
		{"a consent of tomorrow", put(`{"consents":{"sms":{"status":"subscribed","at":"2026-03-04T00:00:00Z"}}}`), 422, "invalid_fields", map[string]string{"/consents/sms/at": "in_the_future"}},
		{"a taken e-mail", put(`{"email":"AMY@example.com"}`), 409, "address_taken", map[string]string{"/email": "address_taken"}},
		{"a taken phone", call{Method: "PATCH", Path: amy, Body: `{"phone":"` + phone(1) + `"}`, Headers: mergePatch}, 409, "address_taken", map[string]string{"/phone": "address_taken"}},
		{"a taken external id", post("/v1/contacts", `{"external_id":"amy"}`), 409, "address_taken", map[string]string{"/external_id": "address_taken"}},
		{"a second Messenger id", call{Method: "PUT", Path: "/v1/contacts/by-external-id/amy", Body: `{"messenger":[{"page_id":"` + page + `","psid":"9"}]}`}, 409, "address_taken", map[string]string{"/messenger/0/psid": "page_taken"}},
		{"a page that is not there", put(`{"messenger":[{"page_id":"` + pageID + `","psid":"9"}]}`), 422, "invalid_fields", map[string]string{"/messenger/0/page_id": "page_not_found"}},
		{"deep attributes", put(`{"attributes":{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}`), 422, "invalid_fields", map[string]string{"/attributes/a": "bad_attribute"}},
		{"10 MB", post("/v1/contacts", `{"external_id":"`+strings.Repeat("x", 10<<20)+`"}`), 413, "too_large", nil},
		{"form instead of JSON", call{Method: "POST", Path: "/v1/contacts", Body: "a=b", Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "unsupported_media_type", nil},
		{"not a merge patch", call{Method: "PATCH", Path: amy, Body: `{}`}, 415, "unsupported_media_type", nil},
		{"a known Facebook Page", post("/v1/pages", `{"facebook_page_id":"`+graphID+`","name":"x","access_token":"x"}`), 409, "page_taken", map[string]string{"/facebook_page_id": "page_taken"}},
		{"a token with spaces", post("/v1/pages", `{"facebook_page_id":"7","name":"x","access_token":"a b"}`), 422, "invalid_fields", map[string]string{"/access_token": "pattern"}},
		{"a page in use", call{Method: "DELETE", Path: "/v1/pages/" + page}, 409, "page_in_use", nil},
		{"a known topic", post("/v1/topics", `{"slug":"courses","title":"x"}`), 409, "topic_taken", map[string]string{"/slug": "topic_taken"}},
		{"a payload of another topic", post("/v1/topics", `{"slug":"more","title":"x","payloads":["courses"]}`), 409, "payload_taken", map[string]string{"/payloads/0": "payload_taken"}},
		{"somebody else's token", token(page, "courses", `"token":"t-cat","granted_at":"2026-02-20T17:00:00Z"`), 409, "token_taken", map[string]string{"/token": "token_taken"}},
		{"a token for nothing", token(pageID, "nothing", `"token":"t","granted_at":"2026-02-20T17:00:00Z"`), 422, "invalid_fields", map[string]string{"/topic": "topic_not_found", "/page_id": "page_not_found"}},
		{"a token of next year", token(page, "courses", `"token":"t","granted_at":"2027-02-20T17:00:00Z"`), 422, "invalid_fields", map[string]string{"/granted_at": "in_the_future"}},
		{"a token moved to nothing", call{Method: "PATCH", Path: catToken, Body: `{"topic":"nothing"}`, Headers: mergePatch}, 422, "topic_not_found", map[string]string{"/topic": "topic_not_found"}},
		{"a token moved nowhere", call{Method: "PATCH", Path: catToken, Body: `{}`, Headers: mergePatch}, 422, "invalid_fields", map[string]string{"/topic": "required"}},
		{"a self-test with nobody", post("/v1/pages/"+page+"/self-test", `{}`), 422, "invalid_fields", map[string]string{"/psid": "required"}},
		{"a self-test with two", post("/v1/pages/"+page+"/self-test", `{"psid":"1001","contact_id":"`+pageID+`"}`), 422, "invalid_fields", map[string]string{"/psid": "required"}},
		{"a self-test of magic", post("/v1/pages/"+page+"/self-test", `{"psid":"1001","capability":"magic"}`), 422, "invalid_fields", map[string]string{"/capability": "not_allowed"}},
		{"a self-test with a stranger", post("/v1/pages/"+page+"/self-test", `{"psid":"9"}`), 422, "no_address", nil},
		{"a self-test outside the window", post("/v1/pages/"+page+"/self-test", `{"psid":"1003"}`), 422, "window_closed", nil},
		{"asking nobody", post("/v1/opt-in-requests", `{"contact_id":"`+pageID+`","page_id":"`+page+`","topic":"courses"}`), 422, "contact_not_found", map[string]string{"/contact_id": "contact_not_found"}},
		{"asking a stranger", post("/v1/opt-in-requests", `{"contact_id":"`+t.people["dan"].ID.String()+`","page_id":"`+page+`","topic":"courses"}`), 422, "no_address", nil},
		{"asking for nothing", post("/v1/opt-in-requests", `{"contact_id":"`+t.people["amy"].ID.String()+`","page_id":"`+page+`","topic":"nothing"}`), 422, "topic_not_found", map[string]string{"/topic": "topic_not_found"}},
		{"a thread passed to nobody", post(amy+"/thread", `{"page_id":"`+page+`","action":"pass"}`), 422, "invalid_fields", map[string]string{"/target_app_id": "required"}},
		{"a thread taken to somebody", post(amy+"/thread", `{"page_id":"`+page+`","action":"take","target_app_id":"7"}`), 422, "invalid_fields", map[string]string{"/target_app_id": "not_allowed"}},
		{"a thread passed to no app", post(amy+"/thread", `{"page_id":"`+page+`","action":"pass","target_app_id":"404"}`), 422, "refused_by_graph", nil},
		{"a thread torn", post(amy+"/thread", `{"page_id":"`+page+`","action":"tear"}`), 422, "invalid_fields", map[string]string{"/action": "not_allowed"}},
		{"a stranger's thread", post("/v1/contacts/"+t.people["dan"].ID.String()+"/thread", `{"page_id":"`+page+`","action":"take"}`), 422, "no_address", nil},
		{"a thread on no page", call{Method: "GET", Path: amy + "/thread?page_id=" + pageID}, 422, "page_not_found", map[string]string{"/page_id": "page_not_found"}},
		{"a page that holds for ever", call{Method: "PATCH", Path: "/v1/pages/" + page, Body: `{"hold_hours":8761}`, Headers: mergePatch}, 422, "invalid_fields", map[string]string{"/hold_hours": "out_of_range"}},
		{"a campaign for nobody's page", post("/v1/campaigns", `{"name":" ","page_id":"`+pageID+`","topic":"nothing","content":{"sms":{"text":"x"}}}`), 422, "invalid_fields",
			map[string]string{"/name": "bad_length", "/page_id": "page_not_found", "/topic": "topic_not_found"}},
		{"a campaign that says nothing", campaign(`"content":{}`), 422, "invalid_fields", map[string]string{"/content": "required"}},
		{"a lane without content", campaign(`"content":{"sms":{"text":"x"}},"route":["email","sms"]`), 422, "invalid_fields", map[string]string{"/content/email": "required"}},
		{"a rule that means nothing", campaign(`"content":{"sms":{"text":"x"}},"audience":{"field":"shoe_size","op":"eq","value":7}`), 422, "invalid_fields", map[string]string{"/audience/field": "unknown_field"}},
		{"hours that mean nothing", campaign(`"content":{"sms":{"text":"x"}},"allowed_hours":{"sms":{"from":"09:00","to":"09:00"}}`), 422, "invalid_fields", map[string]string{"/allowed_hours/sms/to": "empty_span"}},
		{"hours that cannot be read", campaign(`"content":{"sms":{"text":"x"}},"allowed_hours":{"sms":{"from":"9am","to":"10:00"},"fax":{}}`), 422, "invalid_fields",
			map[string]string{"/allowed_hours/sms/from": "bad_format", "/allowed_hours/fax": "unknown_field"}},
		{"a campaign that ends before it starts", campaign(`"content":{"sms":{"text":"x"}},"starts_at":"2026-03-04T00:00:00Z","ends_at":"2026-03-03T00:00:00Z"`), 422, "invalid_fields", map[string]string{"/ends_at": "before_start"}},
		{"a campaign of the year 9999", campaign(`"content":{"sms":{"text":"x"}},"ends_at":"9999-12-31T23:59:59-12:00"`), 422, "invalid_fields", map[string]string{"/ends_at": "out_of_range"}},
		{"nobody to escalate to", campaign(`"content":{"messenger":{"text":"x"}},"escalate_after_hours":1`), 422, "invalid_fields", map[string]string{"/escalate_after_hours": "needs_both"}},
		{"a budget of nothing", campaign(`"content":{"sms":{"text":"x"}},"budget":{}`), 422, "invalid_fields", map[string]string{"/budget": "required"}},
		{"a budget of less than nothing", campaign(`"content":{"sms":{"text":"x"}},"budget":{"sms_segments":0,"sms_amount":"-1","when_reached":"cry"}`), 422, "invalid_fields",
			map[string]string{"/budget/sms_segments": "out_of_range", "/budget/sms_amount": "bad_format", "/budget/when_reached": "not_allowed"}},
		{"a budget in money without prices", campaign(`"content":{"sms":{"text":"x"}},"budget":{"sms_amount":"25.00"}`), 422, "invalid_fields", map[string]string{"/budget/sms_amount": "no_prices"}},
		{"a budget in a number", campaign(`"content":{"sms":{"text":"x"}},"budget":{"sms_amount":25}`), 422, "invalid_fields", map[string]string{"/budget/sms_amount": "wrong_type"}},
		{"prices in no money", call{Method: "PUT", Path: "/v1/sms-prices", Body: `{"currency":"eur","countries":{}}`}, 422, "invalid_fields", map[string]string{"/currency": "bad_format"}},
		{"prices of nowhere", call{Method: "PUT", Path: "/v1/sms-prices", Body: `{"currency":"EUR","default":"1000.01","countries":{"XX":"0.1","gb":"0.1","G/B":"1"}}`}, 422, "invalid_fields",
			map[string]string{"/default": "bad_amount", "/countries/XX": "bad_country", "/countries/gb": "bad_country", "/countries/G~1B": "bad_country"}},
		{"a price with seven digits", call{Method: "PUT", Path: "/v1/sms-prices", Body: `{"currency":"EUR","countries":{"GB":"0.0000001"}}`}, 422, "invalid_fields", map[string]string{"/countries/GB": "bad_format"}},
		{"a page that was never added", post("/v1/pages/0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01/check", ""), 404, "page_not_found", nil},
		{"a page of no country", post("/v1/pages", `{"facebook_page_id":"7","name":"x","access_token":"x","country":"Utopia"}`), 422, "invalid_fields", map[string]string{"/country": "too_long"}},
		{"a page that may be silent too long", post("/v1/pages", `{"facebook_page_id":"7","name":"x","access_token":"x","quiet_hours":721}`), 422, "invalid_fields", map[string]string{"/quiet_hours": "out_of_range"}},
		{"a page on Mars", post("/v1/pages", `{"facebook_page_id":"7","name":"x","access_token":"x","time_zone":"Mars/Base"}`), 422, "invalid_fields", map[string]string{"/time_zone": "bad_time_zone"}},
		{"asking for a season", post("/v1/opt-in-requests", `{"contact_id":"`+t.people["amy"].ID.String()+`","page_id":"`+page+`","topic":"courses","kind":"seasonal"}`), 422, "invalid_fields", map[string]string{"/kind": "not_allowed"}},
		{"a template without an example", post("/v1/pages/"+page+"/message-templates", `{"name":"v","language":"en","body":"{{day}}"}`), 422, "invalid_fields", map[string]string{"/examples/day": "required"}},
		{"a template with a name of its own", post("/v1/pages/"+page+"/message-templates", `{"name":"My visit","language":"en","body":"x"}`), 422, "invalid_fields", map[string]string{"/name": "bad_format"}},
		{"a template of nobody's page", post("/v1/pages/"+pageID+"/message-templates", `{"name":"v","language":"en","body":"x"}`), 404, "page_not_found", nil},
		{"a template that the page has not", campaign(`"transactional":true,"content":{"utility":{"template":"v","language":"en"}}`), 422, "invalid_fields", map[string]string{"/content/utility/template": "template_not_found"}},
		{"promotion on the lane utility", campaign(`"content":{"sms":{"text":"x"}},"route":["sms","utility"]`), 422, "invalid_fields", map[string]string{"/content/utility": "required"}},
		{"a decision that is none", post("/v1/deliveries/1/resolve", `{"action":"shrug"}`), 422, "invalid_fields", map[string]string{"/action": "not_allowed"}},
		{"no decision", post("/v1/campaigns/"+pageID+"/resolve", `{"force":"yes"}`), 422, "invalid_fields", map[string]string{"/action": "required", "/force": "wrong_type"}},
		{"reach for no topic", call{Method: "GET", Path: amy + "/reach?page_id=" + page + "&topic=nothing"}, 422, "invalid_fields", map[string]string{"/query/topic": "topic_not_found"}},
		{"reach without a page", call{Method: "GET", Path: amy + "/reach?page_id=" + pageID}, 422, "invalid_fields", map[string]string{"/query/page_id": "page_not_found"}},
	}
}

// Whatever is refused is explained, by field where there is one, and nothing
// of it is written.
func TestRubbishIsRefusedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		before := s.rows()
		for _, r := range refusals(town) {
			got := s.refused(r.status, r.code, r.call)
			if r.fields != nil {
				require.Equal(t, r.fields, got, r.name)
			}
			require.Equal(t, before, s.rows(), r.name)
		}
		require.NotContains(t, s.logs.String(), "amy@")
	})
}

// With an Idempotency-Key too: what was refused can be called again.
func TestARefusedCallLeavesItsKeyFree(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		before := s.rows()
		for _, r := range refusals(town) {
			if r.call.Method == http.MethodPost {
				r.call.Headers = maps.Clone(r.call.Headers)
				if r.call.Headers == nil {
					r.call.Headers = map[string]string{}
				}
				r.call.Headers[headerIdempotency] = "k"
				s.refused(r.status, r.code, r.call)
			}
		}
		require.Equal(t, before, s.rows())
	})
}

// What is not there is not found, whatever the resource.
func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		for route, op := range s.contract.operations {
			method, path, _ := strings.Cut(route, " ")
			if op.open || !strings.Contains(path, ":") || method == "PUT" {
				continue
			}
			sample := samples(t, s.contract)[op.id].call()
			w := s.do(sample)
			require.Equal(t, 404, w.Code, "%s: %s", route, w.Body)
			require.True(t, strings.HasSuffix(s.problem(w).Code, "not_found"), route)
		}
	})
}

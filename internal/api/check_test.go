package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	pageID    = "0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01"
	contactID = "0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e02"
)

func TestFieldsAreNamedWithTheirCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cases := []struct {
		name, method, path, body string
		want                     map[string]string
	}{
		{"several at once", "PUT", "/v1/contacts/by-external-id/7",
			`{"first_name":1,"email":"nobody","time_zone":"","attributes":[],"consents":{"sms":{"status":"maybe"},"fax":{}},"messenger":[{"psid":"a b"}],"lastname":"x"}`,
			map[string]string{"/first_name": "wrong_type", "/email": "bad_format", "/time_zone": "too_short", "/attributes": "wrong_type",
				"/consents/sms/status": "not_allowed", "/consents/fax": "unknown_field", "/messenger/0/page_id": "required", "/messenger/0/psid": "bad_format", "/lastname": "unknown_field"}},
		{"required", "POST", "/v1/campaigns", `{}`, map[string]string{"/name": "required", "/page_id": "required", "/topic": "required", "/content": "required"}},
		{"too long", "POST", "/v1/topics", `{"slug":"a","title":"` + strings.Repeat("x", 66) + `","payloads":["a","a"]}`,
			map[string]string{"/title": "too_long", "/payloads": "not_unique"}},
		{"nothing", "POST", "/v1/contacts", `{}`, map[string]string{"": "too_short"}},
		{"formats", "POST", "/v1/opt-in-requests", `{"contact_id":"7","page_id":"` + strings.ReplaceAll(pageID, "-", "") + `","topic":"A b"}`,
			map[string]string{"/contact_id": "bad_format", "/page_id": "bad_format", "/topic": "bad_format"}},
		{"times", "POST", "/v1/contacts/" + contactID + "/tokens", `{"page_id":"` + pageID + `","topic":"a","token":"t","granted_at":"2026-02-31T09:00:00Z"}`,
			map[string]string{"/granted_at": "bad_format"}},
		{"nested rules", "POST", "/v1/campaigns", `{"name":"a","page_id":"` + pageID + `","topic":"t","content":{},"audience":{"all":[{"any":[]},{"not":{"field":"x","op":"like"}},{"no/~pe":1}]}}`,
			map[string]string{"/audience/all/0/any": "too_short", "/audience/all/1/not/op": "not_allowed", "/audience/all/2/no~1~0pe": "unknown_field"}},
		{"route", "POST", "/v1/campaigns", `{"name":"a","page_id":"` + pageID + `","topic":"t","content":{},"route":["sms","sms","fax"]}`,
			map[string]string{"/route": "not_unique", "/route/2": "not_allowed"}},
		{"number", "POST", "/v1/campaigns", `{"name":1e999,"page_id":"` + pageID + `","topic":"t","content":{},"fall_through":"yes"}`,
			map[string]string{"/name": "wrong_type", "/fall_through": "wrong_type"}},
		{"null where none may be", "POST", "/v1/pages", `{"facebook_page_id":"1","name":null,"access_token":"x"}`, map[string]string{"/name": "wrong_type"}},
		{"query", "GET", "/v1/contacts?limit=0&email=x&has_token=A&q=x&nonsense=1", "",
			map[string]string{"/query/limit": "out_of_range", "/query/email": "bad_format", "/query/has_token": "bad_format", "/query/q": "too_short", "/query/nonsense": "unknown_field"}},
		{"query types", "GET", "/v1/contacts?limit=ten&cursor=a&cursor=b", "", map[string]string{"/query/limit": "wrong_type", "/query/cursor": "not_unique"}},
		{"required query", "GET", "/v1/contacts/" + contactID + "/reach", "", map[string]string{"/query/page_id": "required"}},
		{"path", "GET", "/v1/contacts/seven", "", map[string]string{"/path/id": "bad_format"}},
		{"path number", "GET", "/v1/deliveries/0", "", map[string]string{"/path/id": "out_of_range"}},
		{"path too large a number", "GET", "/v1/deliveries/99999999999999999999", "", map[string]string{"/path/id": "wrong_type"}},
		{"boolean", "POST", "/v1/contacts/import?dry_run=maybe", "x", map[string]string{"/query/dry_run": "wrong_type"}},
	}
	for _, c := range cases {
		req := call{Method: c.method, Path: c.path, Body: c.body}
		if strings.Contains(c.path, "import") {
			req.Headers = map[string]string{"Content-Type": "text/csv"}
		}
		w := b.do(req)
		require.Equal(t, 422, w.Code, "%s: %s", c.name, w.Body)
		require.Equal(t, c.want, codes(b.problem(w)), c.name)
	}
}

func TestFieldsOfAHeaderAreNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.do(call{Method: "POST", Path: "/v1/topics", Body: `{"slug":"a","title":"b"}`, Headers: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}})
	require.Equal(t, map[string]string{"/header/Idempotency-Key": "too_long"}, codes(b.problem(w)))
}

func TestFieldsOfANullablePartAreNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	patch := map[string]string{"Content-Type": "application/merge-patch+json"}
	w := b.do(call{Method: "PATCH", Path: "/v1/campaigns/" + pageID, Headers: patch,
		Body: `{"content":{"email":{"html":"x"},"sms":null,"messenger":{"text":"x","buttons":[{"type":"call","title":"x"}]}},"audience":{"op":"eq","x":1},"route":null}`})
	require.Equal(t, map[string]string{
		"/content/email/subject": "required", "/content/messenger/buttons/0/type": "not_allowed", "/audience/x": "unknown_field",
	}, codes(b.problem(w)))
}

func TestAnswersNameAHundredFieldsAtMost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	items := strings.TrimSuffix(strings.Repeat(`{"any":[],"all":[]},`, 90), ",")
	w := b.do(call{Method: "POST", Path: "/v1/campaigns", Body: `{"audience":{"all":[` + items + `]}}`})
	require.Len(t, b.problem(w).Errors, maxFields)
}

func TestDetailsSayWhatAFieldMustBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	details := func(body string) map[string]string {
		m := map[string]string{}
		for _, f := range b.problem(b.do(call{Method: "POST", Path: "/v1/api-keys", Body: body})).Errors {
			m[f.Pointer] = f.Detail
		}
		return m
	}
	require.Equal(t, map[string]string{
		"/name":   "Must have at most 100 characters.",
		"/scopes": "Must have at least 1 entry.",
	}, details(`{"name":"`+strings.Repeat("x", 101)+`","scopes":[]}`))
	require.Equal(t, map[string]string{
		"/name":     "Must be text.",
		"/scopes/0": "Must be one of pages:read, pages:write, contacts:read, contacts:write, campaigns:read, campaigns:write, admin.",
	}, details(`{"name":true,"scopes":["root"]}`))
}

func TestParseJSONKeepsNumbersAsWritten(t *testing.T) {
	t.Parallel()
	v, err := parseJSON([]byte(` {"n": 12345678901234567890, "a": [true, null, "x"]} `))
	require.NoError(t, err)
	object, ok := v.(map[string]any)
	require.True(t, ok)
	require.Equal(t, "12345678901234567890", string(must(jsonMarshal(object["n"]))))
	require.Equal(t, []any{true, nil, "x"}, object["a"])
}

func TestParseJSONSaysWhereANameStandsTwice(t *testing.T) {
	t.Parallel()
	_, err := parseJSON([]byte(`{"a":[{"b":{"c":1,"c":2}}]}`))
	require.Equal(t, map[string]string{"/a/0/b/c": "duplicate"}, codes(problemOf(err)))
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2]`, `{"a":{"a":1}}`, `"\ud800"`, `1e5`, `{"a":1}x`, `[[[`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			require.Equal(t, 400, problemOf(err).Status)
			return
		}
		_, err = jsonMarshal(v)
		require.NoError(t, err)
	})
}

func TestFormatsTakeWhatTheyShould(t *testing.T) {
	t.Parallel()
	all := formats()
	for _, c := range []struct {
		format, value string
		ok            bool
	}{
		{"uuid", contactID, true},
		{"uuid", strings.ToUpper(contactID), true},
		{"uuid", "3d0f4e1c-8f5a-4c2b-9d7e-1a2b3c4d5e6f", true},
		{"uuid", "{" + contactID + "}", false},
		{"uuid", "urn:uuid:" + contactID, false},
		{"uuid", contactID[:35] + "g", false},
		{"email", "amy@example.com", true},
		{"email", "amy+x@sub.example.co.uk", true},
		{"email", "Amy <amy@example.com>", false},
		{"email", "amy@", false},
		{"email", "amy@example.com, ben@example.com", false},
		{"email", "amy@example.com\r\nBcc: ben@example.com", false},
		{"date-time", "2026-03-02T09:00:00Z", true},
		{"date-time", "2026-03-02T09:00:00.123456+01:00", true},
		{"date-time", "2026-02-30T09:00:00Z", false},
		{"date-time", "2026-03-02 09:00:00", false},
		{"date-time", "0001-01-01T00:00:00Z", false},
	} {
		err := all[c.format].Validate(c.value)
		require.Equal(t, c.ok, err == nil, "%s %q", c.format, c.value)
		if err != nil {
			require.NotContains(t, err.Error(), c.value)
		}
	}
}

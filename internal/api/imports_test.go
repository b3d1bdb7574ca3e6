package api

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

func (s *service) imported(contentType, body, query string) gen.Import {
	s.t.Helper()
	w := s.do(call{Method: "POST", Path: "/v1/contacts/import" + query, Body: body, Headers: map[string]string{"Content-Type": contentType}})
	require.Equal(s.t, 202, w.Code, w.Body)
	at := w.Header().Get("Location")
	imp := ask[gen.Import](s, 200, "GET", at, "")
	require.Equal(s.t, "/v1/imports/"+imp.ID.String(), at)
	require.Equal(s.t, gen.ImportStateQueued, imp.State)
	return imp
}

// A line that is wrong is told by its number and stops nobody else.
func TestABrokenLineStopsNobodyElse(t *testing.T) {
	t.Parallel()
	const bad = "\n" +
		`{"external_id":"1","first_name":"Amy","email":"amy@example.com"}` + "\n" +
		`{"external_id":"2","first_name":` + "\n" +
		`{"external_id":"3","phone":"12"}` + "\n" +
		`{"external_id":"4","lastname":"x"}` + "\n" +
		`{"external_id":"5","email":"amy@example.com"}` + "\n" +
		`{"external_id":"6","first_name":"Fay"}`
	eachService(t, func(t *testing.T, s *service) {
		imp := s.imported("application/x-ndjson", bad, "")
		s.work()
		imp = ask[gen.Import](s, 200, "GET", "/v1/imports/"+imp.ID.String(), "")
		require.Equal(t, gen.ImportStateFinished, imp.State)
		require.EqualValues(t, []int64{6, 2, 0, 4}, []int64{imp.Lines, imp.Created, imp.Updated, imp.Refused})
		var lines []int64
		where := map[int64]string{}
		for _, l := range imp.RefusedLines {
			lines = append(lines, l.Line)
			where[l.Line] = l.Errors[0].Pointer
		}
		require.Equal(t, []int64{3, 4, 5, 6}, lines)
		require.Equal(t, "/phone", where[4])
		require.Equal(t, "/lastname", where[5])
		require.Equal(t, "/email", where[6])
		require.Equal(t, imp.RefusedLines, ask[gen.ImportLineList](s, 200, "GET", "/v1/imports/"+imp.ID.String()+"/lines", "").Data)
		all := ask[gen.ContactList](s, 200, "GET", "/v1/contacts", "")
		require.Len(t, all.Data, 2)
	})
}

func TestImportsTakeCSVAndTheirOptions(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		p := s.newPage()
		s.newTopic("courses")
		const file = "external_id,first_name,messenger.psid,tokens.token,tokens.granted_at,consents.email.status,email\n" +
			"1,Amy,5001,t-1,2026-02-01T00:00:00Z,subscribed,amy@example.com\n"
		query := "?page_id=" + p.ID.String() + "&topic=courses&consent_source=fair+2026"
		dry := s.imported("text/csv; charset=utf-8", file, query+"&dry_run=true")
		s.work()
		dry = ask[gen.Import](s, 200, "GET", "/v1/imports/"+dry.ID.String(), "")
		require.True(t, dry.DryRun)
		require.EqualValues(t, 1, dry.Created)
		require.Empty(t, ask[gen.ContactList](s, 200, "GET", "/v1/contacts", "").Data)

		imp := s.imported("text/csv", file, query)
		s.work()
		imp = ask[gen.Import](s, 200, "GET", "/v1/imports/"+imp.ID.String(), "")
		require.Empty(t, imp.RefusedLines)
		c := ask[gen.ContactList](s, 200, "GET", "/v1/contacts?external_id=1", "").Data[0]
		require.Equal(t, "5001", c.Messenger[0].PSID)
		require.Equal(t, "courses", c.Tokens[0].Topic)
		require.Equal(t, "fair 2026", c.Consents.Email.Source)

		s.imported("application/x-ndjson", `{"external_id":"2","phone":"`+phone(2)+`"}`, "?consent_sms=subscribed&consent_source=fair&consent_evidence=form%207")
		s.work()
		c = ask[gen.ContactList](s, 200, "GET", "/v1/contacts?external_id=2", "").Data[0]
		require.Equal(t, []string{"subscribed", "fair", "form 7"}, []string{string(c.Consents.SMS.Status), c.Consents.SMS.Source, orZero(c.Consents.SMS.Evidence)})
		require.Nil(t, c.Consents.Email)
	})
}

func TestAnImportThatCannotBeTakenLeavesNothing(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		lines := strings.Repeat(`{"external_id":"1"}`+"\n", importLimit/20+1)
		kind := map[string]string{"Content-Type": "application/x-ndjson"}
		s.refused(413, "too_large", call{Method: "POST", Path: "/v1/contacts/import", Body: lines, Headers: kind})
		require.Zero(t, s.rows()["imports"])
		got := s.refused(422, "invalid_fields", call{Method: "POST", Path: "/v1/contacts/import?consent_sms=subscribed&consent_source=fair", Body: "{}", Headers: kind})
		require.Equal(t, map[string]string{"/query/consent_evidence": "required"}, got)
		got = s.refused(422, "invalid_fields", call{Method: "POST", Path: "/v1/contacts/import?page_id=" + pageID, Body: "{}", Headers: kind})
		require.Equal(t, map[string]string{"/query/page_id": "page_not_found"}, got)
		require.Zero(t, s.rows()["imports"])

		// A length that is not told is found out while reading.
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/contacts/import", strings.NewReader(lines))
		req.ContentLength = -1
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Authorization", "Bearer "+s.key)
		w := httptest.NewRecorder()
		s.e.ServeHTTP(w, req)
		require.Equal(t, "too_large", s.problem(w).Code)
		s.work()
		require.Zero(t, s.rows()["contacts"])
		require.Zero(t, s.rows()["import_parts"])
		s.refused(404, "import_not_found", call{Method: "GET", Path: "/v1/imports/" + uuid.NewString()})
		s.refused(404, "import_not_found", call{Method: "GET", Path: "/v1/imports/" + uuid.NewString() + "/lines"})
	})
}

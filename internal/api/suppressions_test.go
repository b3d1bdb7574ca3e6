package api

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

func TestSuppressionsAreImportedAndExportedWithoutTheirAddresses(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		amy := s.newContact(`"external_id":"1","phone":"%s","email":"amy@example.com"`, phone(1))
		take := func(contentType, body, query string) gen.Import {
			w := s.do(call{Method: "POST", Path: "/v1/suppressions/import" + query, Body: body, Headers: map[string]string{"Content-Type": contentType}})
			require.Equal(t, 202, w.Code, w.Body)
			s.work()
			return ask[gen.Import](s, 200, "GET", w.Header().Get("Location"), "")
		}
		const file = "address,reason,created_at\namy@example.com,bounce,2025-01-31\nben@example.com,,\nnobody,,\n"
		dry := take("text/csv", file, "?channel=email&reason=complaint&dry_run=true")
		require.EqualValues(t, []any{gen.ImportKindSuppressions, true, int64(2), int64(1)}, []any{dry.Kind, dry.DryRun, dry.Created, dry.Refused})
		require.Zero(t, s.rows()["suppressions"])
		done := take("text/csv", file, "?channel=email&reason=complaint")
		require.Equal(t, "bad_address", done.RefusedLines[0].Errors[0].Code)
		take("application/x-ndjson", `{"phone":"`+phone(2)+`"}`, "")

		export := func(query, accept string) string {
			w := s.do(call{Method: "GET", Path: "/v1/suppressions/export" + query, Headers: map[string]string{"Accept": accept}})
			require.Equal(t, 200, w.Code, w.Body)
			require.NotContains(t, w.Body.String(), "example.com")
			require.NotContains(t, w.Body.String(), phone(2)[1:])
			return w.Body.String()
		}
		lines := strings.Split(strings.TrimSpace(export("", "*/*")), "\n")
		require.Len(t, lines, 3)
		held := map[gen.SuppressionWhy]gen.SuppressionRow{}
		for _, line := range lines {
			var row gen.SuppressionRow
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			held[row.Reason] = row
		}
		require.Equal(t, amy.ID, *held["bounce"].ContactID)
		require.Equal(t, "2025-01-31", held["bounce"].RefusedAt.Format("2006-01-02"))
		require.Nil(t, held["complaint"].ContactID)
		require.Len(t, held["manual"].Hash, 64)

		rows, err := csv.NewReader(strings.NewReader(export("?reason=bounce&channel=email", "text/csv"))).ReadAll()
		require.NoError(t, err)
		require.Equal(t, [][]string{{"id", "channel", "hash", "reason", "source", "created_at", "refused_at", "contact_id"},
			{held["bounce"].ID.String(), "email", held["bounce"].Hash, "bounce", "import", "2026-03-02T09:00:00Z", "2025-01-31T00:00:00Z", amy.ID.String()}}, rows)

		again := take("application/x-ndjson", export("", "application/x-ndjson"), "")
		require.EqualValues(t, []int64{0, 3, 0}, []int64{again.Created, again.Updated, again.Refused}, "what went out comes back in")
		require.Equal(t, map[string]string{"/query/reason": "not_allowed"}, s.refused(422, "invalid_fields",
			call{Method: "GET", Path: "/v1/suppressions/export?reason=because"}))
		require.NotContains(t, s.logs.String(), "example.com")
	})
}

package api

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

func (s *service) export(path, accept string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.do(call{Method: "GET", Path: path, Headers: map[string]string{"Accept": accept}})
	require.Equal(s.t, 200, w.Code, w.Body)
	require.Contains(s.t, w.Header().Get("Content-Type"), strings.Split(accept, ",")[0])
	return w
}

func TestDeliveriesAreFilteredAndTold(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		s.carriers[channel.SMS].outcome = func(m channel.Message) channel.Result {
			return channel.Result{Outcome: channel.Refused, Code: "-30007", Detail: "filtered"}
		}
		c := s.started(s.newTown())
		at := "/v1/campaigns/" + c.ID.String() + "/deliveries"
		require.Len(t, ask[gen.DeliveryList](s, 200, "GET", at, "").Data, 8)
		require.Len(t, ask[gen.DeliveryList](s, 200, "GET", at+"?lane=window", "").Data, 2)
		failed := ask[gen.DeliveryList](s, 200, "GET", at+"?state=failed", "").Data
		require.Len(t, failed, 1, "Dan has nothing else; Eve went on to e-mail")
		require.Equal(t, "refused", *failed[0].Reason)
		require.Equal(t, "-30007", *failed[0].Code)
		d := ask[gen.DeliveryDetail](s, 200, "GET", fmt.Sprintf("/v1/deliveries/%d", failed[0].ID), "")
		require.Equal(t, gen.AttemptOutcomeRefused, d.Attempts[0].Outcome)
		require.Equal(t, "-30007", *d.Attempts[0].Code)
		eve := ask[gen.DeliveryDetail](s, 200, "GET", "/v1/deliveries/5", "")
		require.Len(t, eve.Attempts, 2)
		require.Equal(t, "email", *eve.Lane)
		s.refused(404, "campaign_not_found", call{Method: "GET", Path: "/v1/campaigns/" + uuid.NewString() + "/deliveries"})

		rows, err := csv.NewReader(s.export(at+"?state=failed", "text/csv").Body).ReadAll()
		require.NoError(t, err)
		require.Equal(t, "'-30007", rows[1][5], "no spreadsheet takes it for a formula")
	})
}

// manyDeliveries writes a campaign's deliveries that do not fit one page of an
// export.
func (s *service) manyDeliveries(n int) gen.Campaign {
	s.t.Helper()
	c := s.newCampaign(s.newTown().page, "")
	require.NoError(s.t, s.db.Transact(s.t.Context(), func(tx *db.Tx) error {
		places := make([]delivery.Place, n)
		for i := range places {
			places[i] = delivery.Place{Contact: newID(), Lane: channel.LaneSMS}
		}
		_, err := s.parts.Ledger.Write(tx, c.ID, places)
		return err
	}))
	return c
}

func TestAnExportHasEveryRowOnce(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		const n = 2*exportPage + 1
		at := "/v1/campaigns/" + s.manyDeliveries(n).ID.String() + "/deliveries"
		lines := strings.Split(strings.TrimSpace(s.export(at, "application/x-ndjson").Body.String()), "\n")
		require.Len(t, lines, n)
		schema := s.contract.doc.Components.Schemas["Delivery"].Value
		for i, line := range lines {
			value, err := parseJSON([]byte(line))
			require.NoError(t, err)
			require.NoError(t, schema.VisitJSON(value, s.contract.options...))
			require.Equal(t, json.Number(fmt.Sprint(i+1)), value.(map[string]any)["id"])
		}
		rows, err := csv.NewReader(s.export(at, "text/csv, application/json").Body).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, n+1)
		for i, row := range rows[1:] {
			require.Equal(t, fmt.Sprint(i+1), row[0])
		}
		require.Equal(t, "created_at", rows[0][6])
		require.Equal(t, "2026-03-02T09:00:00Z", rows[1][6])
		rows, err = csv.NewReader(s.export(at+"?state=failed", "text/csv").Body).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 1, "an empty export has its names")
	})
}

// Nobody may take a part for the whole.
func TestAnExportThatFailsBreaksOff(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	c := s.manyDeliveries(20 * exportPage)
	server := httptest.NewServer(s.e)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/campaigns/"+c.ID.String()+"/deliveries", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := server.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	_, err = io.ReadFull(res.Body, make([]byte, 100))
	require.NoError(t, err)
	require.NoError(t, s.db.Close())
	_, err = io.Copy(io.Discard, res.Body)
	require.Error(t, err)
}

func TestTheFormOfAnExportIsChosenByAccept(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"": "", "*/*": "", "application/json": "", "application/xml": "", "application/json, text/csv": "", ",;": "",
		"text/csv": "text/csv", "text/csv;q=0.9, */*": "text/csv", "text/html, TEXT/CSV": "text/csv",
		"application/x-ndjson": "application/x-ndjson", "application/x-ndjson, text/csv": "application/x-ndjson",
	} {
		require.Equal(t, want, exportForm(accept), accept)
	}
}

func TestCellsAreInert(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"": "", "30007": "30007", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "é": "é",
	} {
		require.Equal(t, want, inert(cell))
	}
}

package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/db/dbtest"
)

// deletionCall is Facebook's data-deletion callback, signed with a secret.
func deletionCall(secret, userID string) call {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"algorithm":"HMAC-SHA256","issued_at":1772442000,"user_id":"` + userID + `"}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload))
	form := url.Values{"signed_request": {base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + payload}}
	return call{Method: "POST", Path: "/webhooks/facebook/data-deletion", Body: form.Encode(), Headers: map[string]string{
		"Authorization": "-", "Content-Type": "application/x-www-form-urlencoded"}}
}

func TestSomebodyWantsToBeDeleted(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		var ticket gen.DeletionTicket
		w := s.do(deletionCall(appSecret, "1001")) // amy's PSID
		require.Equal(t, 200, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &ticket))
		require.Equal(t, publicURL+"/deletion/"+ticket.ConfirmationCode, ticket.URL)
		require.Equal(t, w.Body.String(), s.do(deletionCall(appSecret, "1001")).Body.String(), "the same request has the same answer")

		page := s.visit("GET", "/deletion/"+ticket.ConfirmationCode, nil)
		require.Equal(t, 200, page.Code)
		require.Contains(t, page.Body.String(), "<h1>Your data is being deleted</h1>")
		require.Contains(t, page.Body.String(), "2 March 2026")
		s.work()
		s.refused(404, "contact_not_found", call{Method: "GET", Path: "/v1/contacts/" + town.people["amy"].ID.String()})
		page = s.visit("GET", "/deletion/"+ticket.ConfirmationCode, nil)
		require.Contains(t, page.Body.String(), "<h1>Your data has been deleted</h1>")
		require.Contains(t, page.Header().Get("Content-Security-Policy"), "default-src 'none'")
		require.Equal(t, "noindex, nofollow", page.Header().Get("X-Robots-Tag"))

		s.clock.Pass(time.Minute)
		require.NoError(t, json.Unmarshal(s.do(deletionCall(appSecret, "471108152342")).Body.Bytes(), &ticket))
		s.work()
		require.Contains(t, s.visit("GET", "/deletion/"+ticket.ConfirmationCode, nil).Body.String(), "<h1>Nothing was found</h1>")
		require.NotContains(t, s.logs.String(), "471108152342")
	})
}

func TestADeletionNobodyAskedFor(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	town := s.newTown()
	s.refused(403, "bad_signature", deletionCall("another secret", "1001"))
	nothing := deletionCall(appSecret, "1001")
	nothing.Body = "signed_request="
	s.refused(403, "bad_signature", nothing)
	nothing.Body = "%zz"
	s.refused(400, "malformed", nothing)
	s.refused(400, "unreadable_request", deletionCall(appSecret, ""))
	s.work()
	ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+town.people["amy"].ID.String(), "")

	page := s.visit("GET", "/deletion/made-up", nil)
	require.Equal(t, 404, page.Code)
	require.Contains(t, page.Body.String(), "This link does not work")
}

package api

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func (s *service) visit(method, path string, headers map[string]string) *httptest.ResponseRecorder {
	s.t.Helper()
	all := map[string]string{"Authorization": "-"}
	for name, value := range headers {
		all[name] = value
	}
	return s.do(call{Method: method, Path: path, Headers: all})
}

// clicked counts the deliveries whose link was opened, once that is written down.
func (s *service) clicked() (n int64) {
	s.t.Helper()
	require.NoError(s.t, s.parts.Clicks.Flush(s.t.Context()))
	require.NoError(s.t, s.db.Read(s.t.Context()).Table("deliveries").Where("clicked_at IS NOT NULL").Count(&n).Error)
	return n
}

func TestALinkLeadsIntoTheChat(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		s.started(s.newTown())
		code := s.parts.Links.Code(4)
		w := s.visit("GET", "/l/"+code, map[string]string{"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)"})
		require.Equal(t, 302, w.Code)
		require.Equal(t, "https://m.me/northerncourses?ref="+code, w.Header().Get("Location"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.NotEmpty(t, w.Header().Get("Referrer-Policy"))
		require.Contains(t, w.Header().Get("X-Robots-Tag"), "noindex")
		require.Empty(t, w.Header().Get("Set-Cookie"))
		require.EqualValues(t, 1, s.clicked())
		require.NotNil(t, ask[gen.DeliveryDetail](s, 200, "GET", "/v1/deliveries/4", "").ClickedAt)
		require.NotContains(t, s.logs.String(), code)
	})
}

// The links of a campaign whose deliveries are given up still lead to the bot;
// who unsubscribes by one is not known any more.
func TestOldLinksStillLeadIntoTheChat(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		id := s.started(s.newTown()).ID.String()
		before := s.do(call{Method: "GET", Path: "/v1/campaigns/" + id + "/report"}).Body.String()
		require.NoError(t, s.db.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Exec("UPDATE campaigns SET finished_at = ? WHERE id = ?", s.parts.Now().Add(-time.Minute), id).Error
		}))
		done, err := s.parts.Ledger.Forget(t.Context(), s.parts.Now(), s.parts.Now().Add(time.Hour))
		require.NoError(t, err)
		require.True(t, done)
		w := s.visit("GET", "/l/"+s.parts.Links.Code(4), nil)
		require.Equal(t, 302, w.Code)
		require.Equal(t, "https://m.me/northerncourses", w.Header().Get("Location"))
		require.Zero(t, s.clicked())
		require.Equal(t, 404, s.visit("GET", "/u/"+s.parts.Unsubscribes.Code(4), nil).Code)
		require.Equal(t, 404, s.visit("POST", "/u/"+s.parts.Unsubscribes.Code(4), nil).Code)
		after := s.do(call{Method: "GET", Path: "/v1/campaigns/" + id + "/report"}).Body.String()
		require.JSONEq(t, before, after)
	})
}

// Programs that fetch every link they see are led on, but are no clicks.
func TestPreviewsAreNoClicks(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	s.started(s.newTown())
	path := "/l/" + s.parts.Links.Code(4)
	for _, agent := range []string{"facebookexternalhit/1.1", "WhatsApp/2.23.20.0", "Slackbot-LinkExpanding 1.0", "Mozilla/5.0 (Macintosh) facebookexternalhit/1.1 Facebot Twitterbot/1.0"} {
		require.Equal(t, 302, s.visit("GET", path, map[string]string{"User-Agent": agent}).Code)
	}
	for _, header := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		require.Equal(t, 302, s.visit("GET", path, map[string]string{header: "prefetch;prerender"}).Code)
	}
	require.Equal(t, 302, s.visit("HEAD", path, nil).Code)
	require.Zero(t, s.clicked())
	require.Equal(t, 302, s.visit("GET", path, nil).Code)
	require.EqualValues(t, 1, s.clicked())
}

// Nothing tells a code that was never given out from one that was.
func TestUnknownLinksTellNothing(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	s.started(s.newTown())
	right, other := s.parts.Links.Code(4), s.parts.Unsubscribes.Code(4)
	var pages []string
	for _, path := range []string{"/l/x", "/l/" + other, "/l/" + right[:15] + "0", "/l/" + s.parts.Links.Code(99999), "/l/%2e%2e",
		"/u/x", "/u/" + right, "/u/" + s.parts.Unsubscribes.Code(99999)} {
		w := s.visit("GET", path, nil)
		require.Equal(t, 404, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Type"), "text/html")
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		pages = append(pages, w.Body.String())
		require.Equal(t, pages[0], w.Body.String(), path)
	}
	require.Equal(t, 404, s.visit("HEAD", "/l/x", nil).Code)
	require.Equal(t, 404, s.visit("POST", "/u/x", nil).Code)
	require.Zero(t, s.clicked())
	require.Zero(t, s.rows()["suppressions"])
}

func TestOneClickUnsubscribes(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)
		path := "/u/" + s.parts.Unsubscribes.Code(6)
		for range 2 { // a scanner opens it: nothing happens
			w := s.visit("GET", path, nil)
			require.Equal(t, 200, w.Code)
			require.Contains(t, w.Body.String(), `<form method="post">`)
			require.Contains(t, w.Body.String(), "Northern Courses")
			require.Empty(t, w.Header().Get("Set-Cookie"))
		}
		require.Zero(t, s.rows()["suppressions"])
		for range 2 {
			w := s.do(call{Method: "POST", Path: path, Body: "List-Unsubscribe=One-Click", Headers: map[string]string{
				"Authorization": "-", "Content-Type": "application/x-www-form-urlencoded"}})
			require.Equal(t, 200, w.Code)
			require.Contains(t, w.Body.String(), "You are unsubscribed")
		}
		found := ask[gen.SuppressionList](s, 200, "GET", "/v1/suppressions?channel=email&address=FAY@example.com", "").Data
		require.Len(t, found, 1)
		require.Equal(t, gen.SuppressionReasonUnsubscribe, found[0].Reason)
		fay := ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+town.people["fay"].ID.String(), "")
		require.Equal(t, gen.ConsentStatusUnsubscribed, fay.Consents.Email.Status)
		require.Equal(t, "link", fay.Consents.Email.Source)
		require.Equal(t, gen.ConsentStatusSubscribed, fay.Consents.SMS.Status, "only what was asked for")

		// Who was erased since has nothing left to unsubscribe, and no error.
		ask[struct{}](s, 204, "DELETE", "/v1/contacts/"+fay.ID.String(), "")
		require.Equal(t, 200, s.visit("POST", path, nil).Code)
	})
}

// The e-mail carries the address that the button page stands at.
func TestMessagesCarryTheLinksThatAreServed(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	s.started(s.newTown())
	mail := s.carriers[channel.Email].sent[0]
	require.Equal(t, 200, s.visit("GET", strings.TrimPrefix(mail.Unsubscribe, publicURL), nil).Code)
	text := string(s.carriers[channel.SMS].sent[0].Body)
	at := strings.Index(text, publicURL+"/l/")
	require.Positive(t, at)
	require.Equal(t, 302, s.visit("GET", strings.Fields(text[at+len(publicURL):])[0], nil).Code)
}

// A page's name is text, whatever is in it.
func TestPagesForPeopleEscapeNames(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	town := s.newTown()
	ask[gen.Page](s, 200, "PATCH", "/v1/pages/"+town.page.ID.String(), `{"name":"<script>alert(1)</script>"}`)
	s.started(town)
	w := s.visit("GET", "/u/"+s.parts.Unsubscribes.Code(6), nil)
	require.NotContains(t, w.Body.String(), "<script>")
	require.Contains(t, w.Body.String(), "&lt;script&gt;")
}

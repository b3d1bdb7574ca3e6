package api

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db/dbtest"
)

// The three callbacks as their providers sign them.

func messengerCall(body string) call {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(body))
	return call{Method: "POST", Path: "/webhooks/messenger", Body: body, Headers: map[string]string{
		"Authorization": "-", "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}}
}

func twilioCall(path string, form url.Values) call {
	signed := publicURL + path
	for _, key := range slices.Sorted(maps.Keys(form)) {
		signed += key + form.Get(key)
	}
	mac := hmac.New(sha1.New, []byte(twilioToken))
	mac.Write([]byte(signed))
	return call{Method: "POST", Path: path, Body: form.Encode(), Headers: map[string]string{
		"Authorization": "-", "Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
}

func (s *service) sendGridCall(body string) call {
	s.t.Helper()
	sum := sha256.Sum256([]byte("1772442000" + body))
	signature, err := ecdsa.SignASN1(rand.Reader, s.mailKey, sum[:])
	require.NoError(s.t, err)
	return call{Method: "POST", Path: "/webhooks/sendgrid", Body: body, Headers: map[string]string{
		"Authorization":                            "-",
		"X-Twilio-Email-Event-Webhook-Signature":   base64.StdEncoding.EncodeToString(signature),
		"X-Twilio-Email-Event-Webhook-Timestamp":   "1772442000",
		"X-Twilio-Email-Event-Webhook-Unspecified": "x"}}
}

func (s *service) message(psid, text string) string {
	ms := s.clock.Now().UnixMilli()
	return fmt.Sprintf(`{"object":"page","entry":[{"id":"%s","time":%d,"messaging":[{"sender":{"id":"%s"},"recipient":{"id":"%s"},"timestamp":%d,"message":{"mid":"m1","text":"%s"}}]}]}`,
		graphID, ms, psid, graphID, ms, text)
}

func TestCallbacksAreStoredAndThenApplied(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)

		w := s.do(messengerCall(s.message("1003", "hello")))
		require.Equal(t, "EVENT_RECEIVED", w.Body.String())
		require.Equal(t, 204, s.do(twilioCall("/webhooks/twilio/status/4", url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}})).Code)
		require.Equal(t, 204, s.do(s.sendGridCall(`[{"event":"delivered","bk_delivery":"`+s.marks.Code(6)+`","timestamp":1772442000,"sg_message_id":"x.y","email":"fay@example.com"}]`)).Code)
		require.EqualValues(t, 3, s.rows()["callbacks"], "stored before it was answered")
		s.do(messengerCall(s.message("1003", "hello")))
		require.EqualValues(t, 3, s.rows()["callbacks"], "the same again changes nothing")

		s.work()
		cat := ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+town.people["cat"].ID.String(), "")
		require.Equal(t, s.clock.Now().Add(24*60*60e9), cat.Messenger[0].WindowClosesAt.UTC())
		for _, id := range []string{"4", "6"} {
			d := ask[gen.DeliveryDetail](s, 200, "GET", "/v1/deliveries/"+id, "")
			require.Equal(t, gen.DeliveryStateDelivered, d.State, id)
		}
		require.NotContains(t, s.logs.String(), "hello")
		require.NotContains(t, s.logs.String(), "fay@")
	})
}

// Twilio signs the address byte for byte: it is used as it came.
func TestTheAddressOfACallbackIsNotTouched(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	for _, path := range []string{"/webhooks/twilio/status/7?a=%2f&b=+%20&a=", "/webhooks/twilio/status/7?", "/webhooks/twilio/status/%37"} {
		require.Equal(t, 204, s.do(twilioCall(path, url.Values{"MessageSid": {"SM1"}, "Body": {"a b&c=ü"}})).Code, path)
	}
	var addresses []string
	require.NoError(t, s.db.Read(t.Context()).Raw("SELECT url FROM callbacks ORDER BY id").Scan(&addresses).Error)
	require.Contains(t, addresses, publicURL+"/webhooks/twilio/status/7?a=%2f&b=+%20&a=")
}

// Who passes a webhook on needs its type and its signature as they came.
func TestTheTypeAndSignatureOfACallbackAreKept(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	c := messengerCall(s.message("1003", "hello"))
	c.Headers["Content-Type"] = "application/json; charset=utf-8"
	require.Equal(t, 200, s.do(c).Code)
	var headers string
	require.NoError(t, s.db.Read(t.Context()).Raw("SELECT headers FROM callbacks").Scan(&headers).Error)
	require.JSONEq(t, `{"Content-Type":"application/json; charset=utf-8","X-Hub-Signature-256":"`+c.Headers["X-Hub-Signature-256"]+`"}`, headers)
}

func TestUnsignedCallbacksAreRefused(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		s.newPage()
		before := s.rows()
		calls := map[string]call{
			"X-Hub-Signature-256":                    messengerCall(s.message("1", "x")),
			"X-Twilio-Signature":                     twilioCall("/webhooks/twilio/status/4", url.Values{"MessageStatus": {"delivered"}}),
			"X-Twilio-Email-Event-Webhook-Signature": s.sendGridCall(`[]`),
		}
		for header, c := range calls {
			right := c.Headers[header]
			for _, wrong := range []string{"-", "x", "sha256=", strings.Repeat("0", 4096), right[:len(right)-4] + "AAA=", "sha256=" + strings.Repeat("0", 64)} {
				c.Headers[header] = wrong
				s.refused(403, "bad_signature", c)
			}
			c.Headers[header] = right
			c.Body = strings.Replace(c.Body+" ", "delivered", "failed", 1)
			s.refused(403, "bad_signature", c)
		}
		require.Equal(t, before, s.rows())
	})
}

func TestCallbacksAreLimitedToAMegabyte(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	for _, c := range []call{messengerCall("x"), twilioCall("/webhooks/twilio/status/4", nil), s.sendGridCall("[]")} {
		c.Body = strings.Repeat("x", maxBody+1)
		s.refused(413, "too_large", c)
		req := httptest.NewRequestWithContext(t.Context(), "POST", c.Path, strings.NewReader(c.Body))
		req.ContentLength = -1
		req.Header.Set("Content-Type", map[bool]string{true: "application/x-www-form-urlencoded", false: "application/json"}[strings.Contains(c.Path, "twilio")])
		w := httptest.NewRecorder()
		s.e.ServeHTTP(w, req)
		require.Equal(t, "too_large", s.problem(w).Code)
	}
	require.Zero(t, s.rows()["callbacks"])
}

func TestMetaCanCheckTheAddress(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	verify := func(token, challenge string) call {
		return call{Method: "GET", Headers: map[string]string{"Authorization": "-"},
			Path: "/webhooks/messenger?hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=" + url.QueryEscape(challenge)}
	}
	w := s.do(verify(verifyToken, "<b>1158201444"))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "<b>1158201444", w.Body.String())
	require.Contains(t, w.Header().Get("Content-Type"), "text/plain")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	s.refused(403, "wrong_verify_token", verify("wrong", "1"))
	s.refused(403, "wrong_verify_token", call{Method: "GET", Path: "/webhooks/messenger"})
	require.NotContains(t, s.logs.String(), verifyToken)
}

func TestCallbacksOfAnAbsentChannelAreNotFound(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t), channel.Messenger, channel.SMS, channel.Email)
	for _, c := range []call{messengerCall("{}"), twilioCall("/webhooks/twilio/status/4", nil), s.sendGridCall("[]"), {Method: "GET", Path: "/webhooks/messenger"}} {
		s.refused(404, "channel_absent", c)
	}
}

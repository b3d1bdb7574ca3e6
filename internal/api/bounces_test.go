package api

import (
	"bytes"
	"encoding/base64"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
	"beckon/internal/db/dbtest"
)

const bounceSecret = "token-of-the-bounces-0123"

// bySMTP has an SMTP server send the e-mails.
func (s *service) bySMTP() *service {
	s.t.Helper()
	r, err := smtp.NewReceiver(smtp.Settings{From: "news@shop.example", BounceToken: bounceSecret})
	require.NoError(s.t, err)
	s.parts.Inbox.Receivers[channel.Email] = r
	return s
}

// arrivedAt is a report that the message of a delivery arrived.
func (s *service) arrivedAt(delivery int64) string {
	return "From: mailer-daemon@mx.example.com\r\nContent-Type: multipart/report; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; fay@example.com\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n" +
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + s.marks.Code(delivery) + "@shop.example>\r\n\r\n--b--\r\n"
}

func bounceCall(kind, body, authorization string) call {
	return call{Method: "POST", Path: "/webhooks/smtp/bounces?as=mime", Body: body, Headers: map[string]string{"Content-Type": kind, "Authorization": authorization}}
}

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("bounces:"+password))
}

func TestBouncesAreTakenInEveryForm(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)
		s.bySMTP()
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		require.NoError(t, w.WriteField("body-mime", s.arrivedAt(5)))
		require.NoError(t, w.WriteField("recipient", "bounces@shop.example"))
		require.NoError(t, w.Close())
		for _, c := range []call{
			bounceCall("message/rfc822", s.arrivedAt(6), "Bearer "+bounceSecret),
			bounceCall("message/rfc822", s.arrivedAt(6), basic(bounceSecret)),
			bounceCall(w.FormDataContentType(), form.String(), basic(bounceSecret)),
			bounceCall("application/x-www-form-urlencoded", url.Values{"body-mime": {s.arrivedAt(4)}}.Encode(), basic(bounceSecret)),
		} {
			require.Equal(t, 204, s.do(c).Code)
		}
		require.EqualValues(t, 3, s.rows()["callbacks"], "the same again changes nothing")
		var headers []string
		require.NoError(t, s.db.Read(t.Context()).Raw("SELECT headers FROM callbacks").Scan(&headers).Error)
		require.NotContains(t, strings.Join(headers, ""), bounceSecret, "the token is not kept")
		s.work()
		require.Equal(t, gen.DeliveryStateDelivered, ask[gen.DeliveryDetail](s, 200, "GET", "/v1/deliveries/6", "").State)
		require.NotContains(t, s.logs.String(), bounceSecret)
		require.NotContains(t, s.logs.String(), "fay@")
	})
}

func TestBouncesOfStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t)).bySMTP()
	for _, authorization := range []string{"-", "Bearer", "Bearer x", "Bearer " + bounceSecret + "x", basic(""), basic("bounces"), "Digest " + bounceSecret} {
		s.refused(403, "bad_signature", bounceCall("message/rfc822", s.arrivedAt(6), authorization))
	}
	s.refused(400, "malformed", bounceCall("application/x-www-form-urlencoded", "subject=x", basic(bounceSecret)))
	s.refused(400, "malformed", bounceCall("multipart/form-data; boundary=b", "--b\r\n", basic(bounceSecret)))
	s.refused(413, "too_large", bounceCall("message/rfc822", strings.Repeat("x", maxBody+1), basic(bounceSecret)))
	s.refused(413, "too_large", bounceCall("multipart/form-data; boundary=b", strings.Repeat("x", maxBody+1), basic(bounceSecret)))
	require.Zero(t, s.rows()["callbacks"])
}

// TestOnlyTheProviderThatSendsIsHeard: what comes for the other one is not found.
func TestOnlyTheProviderThatSendsIsHeard(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	s.refused(404, "channel_absent", bounceCall("message/rfc822", "From: x\r\n\r\n", "Bearer "+bounceSecret))
	s.bySMTP()
	s.refused(404, "channel_absent", s.sendGridCall("[]"))
}

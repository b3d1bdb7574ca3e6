package simulator

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/sendgrid/sendgrid-go"
	"github.com/sendgrid/sendgrid-go/helpers/mail"
	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// elsewhere sends what is meant for api.twilio.com to the stand-in.
type elsewhere struct{ base *url.URL }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = e.base.Scheme, e.base.Host, ""
	r.URL.Path = e.base.Path + r.URL.Path
	return http.DefaultTransport.RoundTrip(r)
}

func TestTwiliosOwnLibraryIsAtHome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	base, err := url.Parse(b.url + "/twilio")
	require.NoError(t, err)
	c := &client.Client{
		Credentials: client.NewCredentials(testAccount, testAuth),
		HTTPClient:  &http.Client{Transport: elsewhere{base}},
	}
	c.SetAccountSid(testAccount)
	service := api.NewApiServiceWithClient(c)

	p := new(api.CreateMessageParams).SetTo("+14155550100").SetMessagingServiceSid(testService).SetBody("hi")
	for range 3 {
		m, err := service.CreateMessage(p)
		require.NoError(t, err)
		require.Equal(t, "accepted", *m.Status)
		require.Nil(t, m.From)
	}
	all, err := service.ListMessage(new(api.ListMessageParams).SetTo("+14155550100").SetPageSize(2))
	require.NoError(t, err)
	require.Len(t, all, 3, "over two pages")

	_, err = service.CreateMessage(p.SetTo("+15005550004"))
	var refused *client.TwilioRestError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 21610, refused.Code)
	require.Equal(t, 400, refused.Status)
}

func TestSendGridsOwnLibraryIsAtHome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := sendgrid.NewSendClient(testKey)
	c.BaseURL = b.url + "/sendgrid/v3/mail/send"
	m := mail.NewSingleEmail(mail.NewEmail("Shop", "shop@example.com"), "Hi", mail.NewEmail("", "ann@example.org"), "text", "<p>html</p>")
	res, err := c.SendWithContext(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, res.StatusCode, res.Body)
	require.Equal(t, "<p>html</p>", b.sim.Mail("ann@example.org")[0].HTML)
}

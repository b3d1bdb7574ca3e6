package sendgrid_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/wire"
)

// accountAt reads an account from a server.
func accountAt(t *testing.T, h http.HandlerFunc) *sendgrid.Account {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	a, err := sendgrid.NewAccount(settings(srv.URL+"/"), nil)
	require.NoError(t, err)
	return a
}

// The answers are those of SendGrid's own description of its API.
func TestAnAccountIsReadAsSendGridDescribesIt(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/v3/scopes": `{"scopes":["mail.send","alerts.create"]}`,
		"/v3/whitelabel/domains?limit=200&offset=0": `[{"id":1,"subdomain":"mail","domain":"example.com","valid":false,"default":true,"dns":{
			"mail_cname":{"valid":true,"type":"cname","host":"mail.example.com","data":"u7.wl.sendgrid.net"},
			"dkim1":{"valid":false,"type":"cname","host":"s1._domainkey.example.com","data":"s1.domainkey.u7.wl.sendgrid.net"},
			"dkim2":{"valid":true,"type":"cname","host":"s2._domainkey.example.com","data":"s2.domainkey.u7.wl.sendgrid.net"}}},
			{"id":2,"subdomain":"news","domain":"example2.com","valid":true,"dns":{
			"mail_server":{"valid":true,"type":"mx","host":"news.example2.com","data":"sendgrid.net"},
			"subdomain_spf":{"valid":true,"type":"txt","host":"news.example2.com","data":"v=spf1 include:sendgrid.net ~all"},
			"domain_spf":{"valid":true,"type":"txt","host":"example2.com","data":"v=spf1 include:news.example2.com -all"},
			"dkim":{"valid":true,"type":"txt","host":"smtpapi._domainkey.example2.com","data":"k=rsa; t=s; p=publicKey"}}}]`,
		"/v3/verified_senders": `{"results":[{"id":1,"from_email":"new@example.com","verified":false},{"id":2,"from_email":"Orders@example.com","verified":true}]}`,
		"/v3/user/webhooks/event/settings/all": `{"max_allowed":5,"webhooks":[{"enabled":true,"url":"https://go.example/webhooks/sendgrid","group_resubscribe":true,"delivered":true,
			"bounce":false,"id":"77d4a5da","friendly_name":null,"public_key":"MFkw"},{"enabled":false,"url":"https://b.example","open":true,"public_key":null}]}`,
		"/v3/tracking_settings": `{"result":[{"name":"open","title":"Open Tracking","enabled":true},{"name":"click","enabled":false}]}`,
	}
	a := accountAt(t, func(w http.ResponseWriter, r *http.Request) {
		if answers[r.RequestURI] == "" || r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+apiKey {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(answers[r.RequestURI]))
	})
	ctx := t.Context()
	scopes, err := a.Scopes(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"mail.send", "alerts.create"}, scopes)
	domains, err := a.Domains(ctx)
	require.NoError(t, err)
	require.Equal(t, []sendgrid.Domain{
		{Domain: "example.com", Default: true, ReturnPath: "mail.example.com", Missing: []sendgrid.Record{{Host: "s1._domainkey.example.com", Data: "s1.domainkey.u7.wl.sendgrid.net"}},
			Keys: []sendgrid.Record{{Host: "s1._domainkey.example.com", Data: "s1.domainkey.u7.wl.sendgrid.net"}, {Host: "s2._domainkey.example.com", Data: "s2.domainkey.u7.wl.sendgrid.net"}}},
		{Domain: "example2.com", Valid: true, ReturnPath: "news.example2.com", Keys: []sendgrid.Record{{Host: "smtpapi._domainkey.example2.com", Data: "k=rsa; t=s; p=publicKey"}}},
	}, domains)
	for address, want := range map[string]bool{"orders@example.com": true, "new@example.com": false, "else@example.com": false} {
		verified, err := a.SenderVerified(ctx, address)
		require.NoError(t, err)
		require.Equal(t, want, verified, address)
	}
	hooks, err := a.Webhooks(ctx)
	require.NoError(t, err)
	require.Equal(t, "https://go.example/webhooks/sendgrid", hooks[0].URL)
	require.Equal(t, []any{true, "MFkw", true, false, false}, []any{hooks[0].Enabled, hooks[0].PublicKey, hooks[0].Events["delivered"], hooks[0].Events["bounce"], hooks[0].Events["dropped"]})
	require.Equal(t, []any{false, ""}, []any{hooks[1].Enabled, hooks[1].PublicKey})
	on, err := a.Tracking(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"open"}, on)
}

func TestAKeyThatMayNotReadIsToldFromSilence(t *testing.T) {
	t.Parallel()
	a := accountAt(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := a.Domains(t.Context())
	require.Equal(t, http.StatusForbidden, wire.Refused(err))
	away, err := sendgrid.NewAccount(settings("http://127.0.0.1:1"), nil)
	require.NoError(t, err)
	_, err = away.Scopes(t.Context())
	require.ErrorIs(t, err, wire.ErrSilent)
	_, err = sendgrid.NewAccount(sendgrid.Settings{APIURL: "http://127.0.0.1:1"}, nil)
	require.Error(t, err)
}

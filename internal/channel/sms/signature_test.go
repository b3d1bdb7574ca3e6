package sms_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	twilio "github.com/twilio/twilio-go/client"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
)

// The vectors that Twilio's own libraries are tested with.
const (
	vectorToken = "12345"
	vectorURL   = "https://mycompany.com/myapp.php?foo=1&bar=2"
	vectorForm  = "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309"
)

func vectors(tb testing.TB) *sms.Receiver {
	tb.Helper()
	r, err := sms.NewReceiver(sms.Settings{AuthToken: vectorToken})
	require.NoError(tb, err)
	return r
}

func TestVerifyPassesThePublishedVectors(t *testing.T) {
	t.Parallel()
	http := strings.Replace(vectorURL, "https", "http", 1)
	port := func(address, p string) string { return strings.Replace(address, ".com", ".com:"+p, 1) }
	for name, v := range map[string]struct{ url, form, signature string }{
		"plain":                     {vectorURL, vectorForm, "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		"plain, called with a port": {port(vectorURL, "443"), vectorForm, "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		"https, signed with a port": {vectorURL, vectorForm, "kvajT1Ptam85bY51eRf/AJRuM3w="},
		"https with a port":         {port(vectorURL, "443"), vectorForm, "kvajT1Ptam85bY51eRf/AJRuM3w="},
		"http, signed with a port":  {http, vectorForm, "0ZXoZLH/DfblKGATFgpif+LLRf4="},
		"http with another port":    {port(http, "1234"), vectorForm, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="},
		"a key with equal values":   {vectorURL, "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234", "IK+Dwps556ElfBT0I3Rgjkr1wJU="},
		"fragment is not signed":    {vectorURL + "#rc=3", vectorForm, "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
	} {
		require.NoError(t, vectors(t).Verify(channel.Callback{
			URL: v.url, Body: []byte(v.form), Header: map[string]string{"X-Twilio-Signature": v.signature},
		}), name)
	}
}

func TestVerifyOfABodyThatIsNoForm(t *testing.T) {
	t.Parallel()
	body := `{"property": "value", "boolean": true}`
	cb := channel.Callback{
		URL:    vectorURL + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620",
		Body:   []byte(body),
		Header: map[string]string{"X-Twilio-Signature": "a9nBmqA0ju/hNViExpshrM61xv4="},
	}
	require.NoError(t, vectors(t).Verify(cb))
	cb.Body = []byte(body + " ")
	require.Error(t, vectors(t).Verify(cb))
}

func TestVerifyRefusesAnotherAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "mycompany.com", "https://", "https://evil.com/myapp.php?foo=1&bar=2", vectorURL + "&x=1", "%zz://x"} {
		require.Error(t, vectors(t).Verify(channel.Callback{
			URL: address, Body: []byte(vectorForm), Header: map[string]string{"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		}), address)
	}
	require.Error(t, vectors(t).Verify(channel.Callback{
		URL: vectorURL, Body: []byte("a=%zz"), Header: map[string]string{"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
	}))
}

func TestVerifyAgreesWithTwiliosLibrary(t *testing.T) {
	t.Parallel()
	theirs := twilio.NewRequestValidator(authToken)
	ours := newReceiver(t)
	word := rapid.StringMatching(`[A-Za-z0-9+ &=é👋]{0,12}`)
	rapid.Check(t, func(rt *rapid.T) {
		address := rapid.SampledFrom([]string{
			public + "/a", public + ":443/a?b=c%20d", "http://u:p@h.example/x?y=%27", "http://h.example:8080", "https://h.example?q",
		}).Draw(rt, "address")
		form, plain := url.Values{}, map[string]string{}
		for k, v := range rapid.MapOfN(word, word, 0, 6).Draw(rt, "form") {
			form.Set(k, v)
			plain[k] = v
		}
		signature := sign(authToken, address, form)
		require.True(rt, theirs.Validate(address, plain, signature))
		require.NoError(rt, ours.Verify(channel.Callback{
			URL: address, Body: []byte(form.Encode()), Header: map[string]string{"X-Twilio-Signature": signature},
		}))
	})
}

package sms_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	twilio "github.com/twilio/twilio-go/client"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
)

// vector is a signature that is known to be right, or wrong, mostly from the
// tests of Twilio's own libraries.
type vector struct {
	Name, From, URL, Body, Signature string
	// PortUnsigned: the port in the address is not part of what is signed.
	PortUnsigned bool `json:"port_unsigned"`
}

func (v vector) callback() channel.Callback {
	return channel.Callback{URL: v.URL, Body: []byte(v.Body), Header: map[string]string{"X-Twilio-Signature": v.Signature}}
}

// vectors are those on file, and a receiver with their token.
func vectors(tb testing.TB) (r *sms.Receiver, right, wrong []vector) {
	tb.Helper()
	var file struct {
		Token        string
		Right, Wrong []vector
	}
	require.NoError(tb, json.Unmarshal([]byte(fixture(tb, "signatures.json")), &file))
	r, err := sms.NewReceiver(sms.Settings{AuthToken: file.Token})
	require.NoError(tb, err)
	return r, file.Right, file.Wrong
}

func TestVerifyPassesThePublishedVectors(t *testing.T) {
	t.Parallel()
	r, right, wrong := vectors(t)
	require.Greater(t, len(right), 20)
	for _, v := range right {
		require.NoError(t, r.Verify(v.callback()), v.Name)
		fragment := v.callback()
		fragment.URL += "#rc=3&rp=ct,rt,5xx"
		require.NoError(t, r.Verify(fragment), "%s: the fragment is not signed", v.Name)
	}
	for _, v := range wrong {
		require.Error(t, r.Verify(v.callback()), v.Name)
	}
}

// others are bytes that differ from b: the next one, the one of the other case,
// and some that mean something in an address, a form or Base64.
func others(b byte) []byte {
	out := []byte{b ^ 1, b ^ ' ', b ^ 0x80}
	for _, c := range []byte("#?&=/:@+%;0A\x00\n ") {
		if c != b {
			out = append(out, c)
		}
	}
	return out
}

// changed calls try with every version of a text that differs in one byte.
func changed(text string, try func(at int, text string)) {
	for at := range len(text) {
		for _, b := range others(text[at]) {
			try(at, text[:at]+string([]byte{b})+text[at+1:])
		}
	}
}

func TestVerifyRefusesEveryVectorWithOneByteChanged(t *testing.T) {
	t.Parallel()
	r, right, _ := vectors(t)
	for _, v := range right {
		cb := v.callback()
		changed(v.Signature, func(at int, s string) {
			cb.Header = map[string]string{"X-Twilio-Signature": s}
			require.Error(t, r.Verify(cb), "%s: byte %d of the signature: %q", v.Name, at, s)
		})
		cb = v.callback()
		changed(v.Body, func(at int, s string) {
			cb.Body = []byte(s)
			require.True(t, sameForm(v.Body, s) || r.Verify(cb) != nil, "%s: byte %d of the body: %q", v.Name, at, s)
		})
		cb = v.callback()
		port := strings.Index(v.URL, ":1234")
		changed(v.URL, func(at int, s string) {
			if v.PortUnsigned && at >= port && at < port+len(":1234") {
				return
			}
			cb.URL = s
			require.Error(t, r.Verify(cb), "%s: byte %d of the address: %q", v.Name, at, s)
		})
	}
}

// sameForm reports whether two bodies say the same, which is what is signed: a
// blank may be written as "+" or as "%20".
func sameForm(a, b string) bool {
	x, err := url.ParseQuery(a)
	y, errY := url.ParseQuery(b)
	return err == nil && errY == nil && x.Encode() == y.Encode() && !strings.HasPrefix(a, "{")
}

func TestVerifyRefusesAnotherAddress(t *testing.T) {
	t.Parallel()
	r, right, _ := vectors(t)
	cb := right[0].callback()
	for _, address := range []string{"", "mycompany.com", "https://", "https://evil.com/myapp.php?foo=1&bar=2", cb.URL + "&x=1", "%zz://x", "https://mycompany.com:1234@evil.com/myapp.php?foo=1&bar=2"} {
		cb.URL = address
		require.Error(t, r.Verify(cb), address)
	}
	cb = right[0].callback()
	cb.Body = []byte("a=%zz")
	require.Error(t, r.Verify(cb))
}

// Another token, an empty one among them, signs nothing for us.
func TestVerifyRefusesWhatAnotherTokenSigned(t *testing.T) {
	t.Parallel()
	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"sent"}}
	const at = "/webhooks/twilio/status/1"
	for _, token := range []string{"", "0", authToken[1:], authToken + "0", strings.ToUpper(authToken)} {
		cb := callback(at, form)
		require.NoError(t, newReceiver(t).Verify(cb))
		cb.Header["X-Twilio-Signature"] = sign(token, public+at, form)
		err := newReceiver(t).Verify(cb)
		require.Error(t, err, token)
		require.NotContains(t, err.Error(), sign(authToken, public+at, form), "what would be right is not told")
	}
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

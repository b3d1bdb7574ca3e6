package sendgrid_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/fault"
)

// told is what an event says, with the zero parts left out.
func told(e channel.Event) string {
	out := string(e.Kind)
	for _, part := range []string{e.Mark, e.Address, string(e.Outcome), e.Code, e.Reason} {
		if part != "" {
			out += " " + part
		}
	}
	if e.Soft {
		out += " soft"
	}
	return out
}

func TestEventsReadsEveryKind(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	events, err := webhook.receiver(t).Events(webhook.callback(t, fixture(t, "events.json")))
	require.NoError(t, err)
	var got []string
	for _, e := range events {
		got = append(got, told(e))
		require.Zero(t, e.Delivery, "whose mark it is, is not for the channel to say")
	}
	require.Equal(t, []string{
		"accepted mark101 ada@example.com",
		"delivered mark101 ada@example.com",
		"deferred mark101 ada@example.com",
		"failed mark102 ben@example.com gone bounce/5.1.1",
		"failed mark103 eve@example.com refused blocked/4.7.1",
		"failed mark103 eve@example.com refused expired soft",
		"failed mark104 kim@example.com gone dropped/bounced",
		"failed mark105 kim@example.com opted_out dropped/unsubscribed unsubscribe",
		"stop kim@example.com unsubscribe",
		"failed mark106 kim@example.com opted_out dropped/spam_report complaint",
		"stop kim@example.com complaint",
		"failed mark107 kim@example gone dropped/invalid",
		"failed mark108 kim@example.com refused dropped/header",
		"failed mark109 kim@example.com stop_the_line dropped/quota",
		"failed mark110 kim@example.com refused dropped/spam_content",
		"stop mark111 lou@example.com complaint",
		"stop mark112 lou@example.com unsubscribe",
		"stop mark113 lou@example.com unsubscribe",
		"other",
	}, got)
	require.Equal(t, time.Unix(1764000000, 0).UTC(), events[0].At)
	require.Equal(t, []string{"14c5d75ce93.filter1"}, events[0].ProviderIDs)
	require.True(t, events[18].At.IsZero())
	require.Nil(t, events[18].ProviderIDs)
}

// one is what the receiver makes of a single event.
func one(t *testing.T, event string) []channel.Event {
	t.Helper()
	events, err := newSigner(t).receiver(t).Events(channel.Callback{Body: []byte("[" + event + "]")})
	require.NoError(t, err, event)
	return events
}

func TestABounceBlamesTheAddressOrTheSender(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"event":"bounce"}`:                                                                                 "failed gone bounce",
		`{"event":"bounce","status":"5.0.0"}`:                                                                "failed gone bounce/5.0.0",
		`{"event":"bounce","type":"bounce","status":"5.1.1"}`:                                                "failed gone bounce/5.1.1",
		`{"event":"bounce","type":"bounce","status":511}`:                                                    "failed gone bounce",
		`{"event":"bounce","type":"blocked"}`:                                                                "failed refused blocked soft",
		`{"event":"bounce","type":"blocked","status":"5.2.2"}`:                                               "failed refused blocked/5.2.2 soft",
		`{"event":"bounce","type":"blocked","status":"4.4.7"}`:                                               "failed refused blocked/4.4.7 soft",
		`{"event":"bounce","type":"blocked","status":"5.7.1"}`:                                               "failed refused blocked/5.7.1",
		`{"event":"bounce","type":"blocked","status":"5.6.1"}`:                                               "failed refused blocked/5.6.1",
		`{"event":"bounce","type":"expired","status":"4.7.26"}`:                                              "failed refused expired/4.7.26",
		`{"event":"bounce","type":"expired"}`:                                                                "failed refused expired soft",
		`{"event":"bounce","status":"550 kim@example.com unknown"}`:                                          "failed gone bounce",
		`{"event":"bounce","status":"123456789012"}`:                                                         "failed gone bounce",
		`{"event":"bounce","type":"blocked","status":"5.7.1","bounce_classification":"Mailbox Unavailable"}`: "failed refused blocked/5.7.1 soft",
		`{"event":"bounce","type":"blocked","status":"5.2.2","bounce_classification":"Reputation"}`:          "failed refused blocked/5.2.2",
		`{"event":"bounce","type":"blocked","bounce_classification":"Content"}`:                              "failed refused blocked",
		`{"event":"bounce","type":"blocked","bounce_classification":"Frequency/Volume"}`:                     "failed refused blocked",
		`{"event":"bounce","type":"blocked","bounce_classification":"Frequency or Volume Too High"}`:         "failed refused blocked",
		`{"event":"bounce","type":"blocked","bounce_classification":"Technical Failure"}`:                    "failed refused blocked soft",
		`{"event":"bounce","type":"blocked","status":"4.7.0","bounce_classification":"Unclassified"}`:        "failed refused blocked/4.7.0",
	} {
		require.Equal(t, want, told(one(t, event)[0]), event)
	}
}

func TestEventsReadsWhatIsSpelledInAnotherWay(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"event":"deferred","attempt":5,"category":"news"}`:                                         "deferred",
		`{"event":"deferred","attempt":"5","category":["news","spring"]}`:                            "deferred",
		`{"event":"group_resubscribe","email":"lou@example.com","asm_group_id":"10"}`:                "start lou@example.com unsubscribe",
		`{"event":"delivered","Event":"a party","bk_delivery":"m","BK_DELIVERY":"theirs"}`:           "delivered m",
		`{"event":"delivered","bk_delivery":17,"email":{"a":1},"reason":[]}`:                         "delivered",
		`{"event":"delivered","smtp-id":"<m@shop.example>"}`:                                         "delivered m",
		`{"event":"delivered","smtp-id":"<other@ismtpd>","bk_delivery":"m"}`:                         "delivered m",
		`{"event":"dropped","reason":"BOUNCED ADDRESS (suppressed)"}`:                                "failed gone dropped/bounced",
		`{"event":"dropped","reason":"Something new about kim@example.com","email":"a@example.com"}`: "failed a@example.com refused dropped",
		`{"event":"dropped"}`:     "failed refused dropped",
		`{"event":"a new thing"}`: "other",
	} {
		require.Equal(t, want, told(one(t, event)[0]), event)
	}
}

func TestADropForAnOptOutIsNotAComplaintAboutThisMail(t *testing.T) {
	t.Parallel()
	events := one(t, `{"event":"dropped","reason":"Spam Reporting Address","email":"kim@example.com","timestamp":1764000000,"bk_delivery":"mark1"}`)
	require.Len(t, events, 2)
	require.Equal(t, channel.Event{Kind: channel.EventStop, Address: "kim@example.com", Reason: channel.ByComplaint, At: time.Unix(1764000000, 0).UTC()}, events[1])
}

func TestEventsTakesNoTimeThatCannotBe(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[string]int64{`1764000000`: 1764000000, `"1764000000"`: 1764000000, `1764000000.5`: 1764000000, `1.764e9`: 1764000000,
		`0`: 0, `-5`: 0, `1e300`: 0, `9223372036854775807`: 0, `"soon"`: 0, `null`: 0, `{}`: 0} {
		at := one(t, `{"event":"deferred","timestamp":`+stamp+`}`)[0].At
		require.Equal(t, want == 0, at.IsZero(), stamp)
		if want != 0 {
			require.Equal(t, time.Unix(want, 0).UTC(), at, stamp)
		}
	}
}

func TestEventsReturnsTheRestOfABrokenBody(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	body := `[{"event":"delivered","bk_delivery":"mark1"},{"event":["hidden@example.com"]},17,null,{"event":"delivered","bk_delivery":"-2 ü"},{"event":"delivered"}]`
	events, err := webhook.receiver(t).Events(webhook.callback(t, body))
	require.True(t, fault.Is(err, fault.Malformed))
	require.ErrorContains(t, err, "event 1")
	require.ErrorContains(t, err, "event 2")
	require.ErrorContains(t, err, "event 3")
	require.NotContains(t, err.Error(), "hidden")
	require.Len(t, events, 3)
	require.Equal(t, []string{"mark1", "-2 ü", ""}, []string{events[0].Mark, events[1].Mark, events[2].Mark})

	_, err = webhook.receiver(t).Events(channel.Callback{Body: []byte(`{}`)})
	require.True(t, fault.Is(err, fault.Malformed))
}

func TestVerifyAgreesWithSendGridsLibrary(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	theirs, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(webhook.public)
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		cb := webhook.callback(t, rapid.String().Draw(rt, "body"))
		if rapid.Bool().Draw(rt, "change the time") {
			cb.Header[stamp] += "0"
		}
		good, err := eventwebhook.VerifySignature(theirs, cb.Body, cb.Header[signature], cb.Header[stamp])
		require.NoError(rt, err)
		require.Equal(rt, good, webhook.receiver(t).Verify(cb) == nil)
	})
}

func TestVerifyRefusesAnotherKeyOrTime(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	cb := webhook.callback(t, fixture(t, "events.json"))
	require.True(t, fault.Is(newSigner(t).receiver(t).Verify(cb), fault.Unauthorized))
	cb.Header[stamp] = "1764000001"
	require.True(t, fault.Is(webhook.receiver(t).Verify(cb), fault.Unauthorized))
	delete(cb.Header, stamp)
	require.True(t, fault.Is(webhook.receiver(t).Verify(cb), fault.Unauthorized))
}

func TestReceiverWithoutAUsableKey(t *testing.T) {
	t.Parallel()
	r, err := sendgrid.NewReceiver(sendgrid.Settings{})
	require.NoError(t, err)
	require.True(t, fault.Is(r.Verify(newSigner(t).callback(t, "[]")), fault.Unavailable))

	public, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	for _, key := range []string{"%", "aGVsbG8=", base64.StdEncoding.EncodeToString(der), strings.Repeat("A", 40)} {
		_, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: key})
		require.True(t, fault.Is(err, fault.Invalid))
	}
}

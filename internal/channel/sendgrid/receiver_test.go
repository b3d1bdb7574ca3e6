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

func TestEventsReadsEveryKind(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	events, err := webhook.receiver(t).Events(webhook.callback(t, fixture(t, "events.json")))
	require.NoError(t, err)
	type short struct {
		Kind    channel.EventKind
		Mark    string
		Outcome channel.Outcome
		Code    string
	}
	got := make([]short, 0, len(events))
	for _, e := range events {
		got = append(got, short{e.Kind, e.Mark, e.Outcome, e.Code})
		require.Zero(t, e.Delivery, "whose mark it is, is not for the channel to say")
	}
	require.Equal(t, []short{
		{channel.EventAccepted, "mark101", "", ""},
		{channel.EventDelivered, "mark101", "", ""},
		{channel.EventOther, "mark101", "", ""},
		{channel.EventFailed, "mark102", channel.Gone, "bounce/5.1.1"},
		{channel.EventFailed, "mark103", channel.Refused, "blocked/4.7.1"},
		{channel.EventFailed, "mark103", channel.Refused, "expired"},
		{channel.EventFailed, "mark104", channel.Gone, "dropped/bounced"},
		{channel.EventFailed, "mark105", channel.OptedOut, "dropped/unsubscribed"},
		{channel.EventFailed, "mark106", channel.OptedOut, "dropped/spam_report"},
		{channel.EventFailed, "mark107", channel.Gone, "dropped/invalid"},
		{channel.EventFailed, "mark108", channel.Refused, "dropped/header"},
		{channel.EventFailed, "mark109", channel.StopTheLine, "dropped/quota"},
		{channel.EventFailed, "mark110", channel.Refused, "dropped"},
		{channel.EventFailed, "mark111", channel.OptedOut, "spamreport"},
		{channel.EventFailed, "mark112", channel.OptedOut, "unsubscribe"},
		{channel.EventFailed, "mark113", channel.OptedOut, "group_unsubscribe"},
		{channel.EventOther, "mark114", "", ""},
		{channel.EventOther, "mark114", "", ""},
		{channel.EventOther, "", "", ""},
	}, got)
	require.Equal(t, time.Unix(1764000000, 0).UTC(), events[0].At)
	require.Equal(t, []string{"14c5d75ce93.filter1"}, events[0].ProviderIDs)
	require.True(t, events[18].At.IsZero())
	require.Nil(t, events[18].ProviderIDs)
}

func TestEventsReturnsTheRestOfABrokenBody(t *testing.T) {
	t.Parallel()
	webhook := newSigner(t)
	body := `[{"event":"delivered","bk_delivery":"mark1"},{"event":["hidden@example.com"]},17,{"event":"delivered","bk_delivery":"-2 ü"},{"event":"delivered"}]`
	events, err := webhook.receiver(t).Events(webhook.callback(t, body))
	require.True(t, fault.Is(err, fault.Malformed))
	require.ErrorContains(t, err, "event 1")
	require.ErrorContains(t, err, "event 2")
	require.NotContains(t, err.Error(), "hidden")
	require.Len(t, events, 3)
	require.Equal(t, []string{"mark1", "-2 ü", ""}, []string{events[0].Mark, events[1].Mark, events[2].Mark})

	_, err = webhook.receiver(t).Events(channel.Callback{Body: []byte(`{}`)})
	require.True(t, fault.Is(err, fault.Malformed))
}

func TestBounceKeepsALongStatusOut(t *testing.T) {
	t.Parallel()
	body := `[{"event":"bounce","status":"550 kim@example.com unknown","bk_delivery":"mark1"}]`
	events, err := newSigner(t).receiver(t).Events(channel.Callback{Body: []byte(body)})
	require.NoError(t, err)
	require.Equal(t, "bounce", events[0].Code)
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

func TestVerifyPassesSendGridsOwnVector(t *testing.T) {
	t.Parallel()
	r, err := sendgrid.NewReceiver(sendgrid.Settings{
		WebhookKey: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
	})
	require.NoError(t, err)
	cb := channel.Callback{
		Header: map[string]string{
			signature: "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
			stamp:     "1600112502",
		},
		Body: []byte(`[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",` +
			`"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",` +
			`"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",` +
			`"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]` + "\r\n"),
	}
	require.NoError(t, r.Verify(cb))
	cb.Body = cb.Body[:len(cb.Body)-2]
	require.Error(t, r.Verify(cb), "the body must stay as it came, line end included")
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

package sms_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

func TestEventsOfEveryStatus(t *testing.T) {
	t.Parallel()
	for status, kind := range map[string]channel.EventKind{
		"accepted": channel.EventAccepted, "scheduled": channel.EventAccepted, "queued": channel.EventAccepted,
		"sending": channel.EventAccepted, "sent": channel.EventAccepted,
		"delivered": channel.EventDelivered, "partially_delivered": channel.EventDelivered, "read": channel.EventRead,
		"undelivered": channel.EventFailed, "failed": channel.EventFailed, "canceled": channel.EventFailed,
		"received": channel.EventOther, "": channel.EventOther,
	} {
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {status}, "From": {"+15005550006"}, "To": {phone}}
		events, err := newReceiver(t).Events(callback("/webhooks/twilio/status/41?x=1", form))
		require.NoError(t, err)
		want := channel.Event{Kind: kind, Delivery: 41, ProviderIDs: []string{"SM1"}, Address: phone}
		if kind == channel.EventFailed {
			want.Outcome = channel.Refused
		}
		require.Equal(t, []channel.Event{want}, events)
	}
}

func TestEventsSayWhyAMessageDidNotArrive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, from string
		want       channel.Outcome
	}{
		{"21610", "+15005550006", channel.OptedOut},
		{"30005", "+15005550006", channel.Gone},
		{"30034", "+15005550006", channel.StopTheLine},
		{"30001", "+15005550006", channel.TryLater},
		{"30004", "+15005550006", channel.Refused},
		{"30004", "+18005550006", channel.OptedOut},
		{"30004", "+18885550006", channel.OptedOut},
		{"30004", "+188855500", channel.Refused},
		{"30004", "+448005550006", channel.Refused},
		{"12345", "+15005550006", channel.Refused},
	} {
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"undelivered"}, "ErrorCode": {c.code}, "From": {c.from}}
		events, err := newReceiver(t).Events(callback("/webhooks/twilio/status/41", form))
		require.NoError(t, err)
		require.Equal(t, c.want, events[0].Outcome, "%s from %s", c.code, c.from)
		require.Equal(t, c.code, events[0].Code)
	}
}

func TestEventsWithoutANumberInTheAddress(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"/webhooks/twilio/status/", "/webhooks/twilio/status/-4", "/webhooks/twilio/status/9x", "/webhooks/twilio/status/99999999999999999999"} {
		events, err := newReceiver(t).Events(callback(at, url.Values{"MessageStatus": {"sent"}}))
		require.NoError(t, err)
		require.Equal(t, []channel.Event{{Kind: channel.EventAccepted}}, events)
	}
	events, err := newReceiver(t).Events(channel.Callback{URL: "%zz", Body: []byte("MessageStatus=sent")})
	require.NoError(t, err)
	require.Zero(t, events[0].Delivery)
	_, err = newReceiver(t).Events(channel.Callback{Body: []byte("a=%zz")})
	require.True(t, fault.Is(err, fault.Malformed))
}

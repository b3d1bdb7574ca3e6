package messenger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/fault"
)

func receiver() *messenger.Receiver { return messenger.NewReceiver(settings("https://graph.example")) }

// at is a moment of the fixture: milliseconds after its first event.
func at(ms int64) time.Time { return time.UnixMilli(1764000000000 + ms).UTC() }

func TestEventsReadsEveryShape(t *testing.T) {
	t.Parallel()
	got, err := receiver().Events(signed(fixture(t, "webhook_all.json")))
	require.NoError(t, err)
	want := []channel.Event{
		{Kind: channel.EventMessage, At: at(0), MID: "m_text", Text: "Labas! 👋"},
		{Kind: channel.EventMessage, At: at(1000), MID: "m_quick", Text: "Yes", Payload: "ASK_YES"},
		{Kind: channel.EventMessage, At: at(2000), MID: "m_image"},
		{Kind: channel.EventPostback, At: at(3000), MID: "m_start", Payload: "GET_STARTED", Ref: "k7Qp2Zx9"},
		{Kind: channel.EventReferral, At: at(4000), Ref: "w3Hn8Tt1"},
		{Kind: channel.EventOptIn, At: at(5000), OptInType: "one_time_notif_req", Payload: "bk:topic:courses", Token: "7799553311"},
		{Kind: channel.EventOptIn, At: at(6000), OptInType: "notification_messages/stop_notifications", Payload: "topic=courses", Token: "NMT-42"},
		{Kind: channel.EventEcho, At: at(7000), Mark: "4hT0pQ9zLw2KxN7b", ProviderIDs: []string{"m_echo"}},
		{Kind: channel.EventEcho, At: at(7500), ProviderIDs: []string{"m_inbox"}},
		{Kind: channel.EventDelivered, At: at(8000), ProviderIDs: []string{"m_echo", "m_other"}, Watermark: at(7600)},
		{Kind: channel.EventDelivered, At: at(9000), Watermark: at(7700)},
		{Kind: channel.EventRead, At: at(8500), Watermark: at(7800)},
		{Kind: channel.EventReaction, At: at(8600), ProviderIDs: []string{"m_echo"}},
		{Kind: channel.EventOther, At: at(8700), ProviderIDs: []string{"m_echo"}},
		{Kind: channel.EventOther, At: at(8800)},
		{Kind: channel.EventOptIn, At: at(8900), Ref: "from-plugin"},
		{Kind: channel.EventMessage, At: at(8950), MID: "m_ad", Text: "Hi", Ref: "adRef"},
		{Kind: channel.EventOther, At: at(9000)},
		{Kind: channel.EventOther, At: at(10000)},
	}
	for i := range want {
		want[i].Page, want[i].PSID = pageID, person
	}
	want[14].PSID, want[18].PSID = "", "" // about the Page, not a person
	require.Equal(t, want, got)
}

func TestEventsReturnsTheRestOfABrokenBody(t *testing.T) {
	t.Parallel()
	body := `{"object":"page","entry":[
		{"id":"1","messaging":[{"sender":{"id":"11"},"timestamp":1764000000000,"message":{"mid":"a","text":"one"}},
			{"sender":{"id":["370600"]},"message":{"text":"hidden words"}},
			{"sender":{"id":"13"},"read":{"watermark":"not a number"}},
			{"sender":{"id":"14"},"timestamp":"1764000000","message":{"mid":"b"}}]},
		"nonsense", 7, null,
		{"id":"2","messaging":[{"sender":{"id":"15"},"message":{"mid":"c"}}]}]}`
	events, err := receiver().Events(signed(body))
	require.True(t, fault.Is(err, fault.Malformed))
	for _, place := range []string{"entry 0, event 1", "entry 0, event 2", "entry 1", "entry 2"} {
		require.ErrorContains(t, err, place)
	}
	require.NotContains(t, err.Error(), "hidden words")
	require.NotContains(t, err.Error(), "370600")
	mids := make([]string, 0, len(events))
	for _, e := range events {
		mids = append(mids, e.MID)
	}
	require.Equal(t, []string{"a", "b", "c"}, mids)
	require.Equal(t, at(0), events[1].At, "seconds in quotes are read as well")
	require.True(t, events[2].At.IsZero())
}

func TestEventsOfAnythingElse(t *testing.T) {
	t.Parallel()
	_, err := receiver().Events(signed("{"))
	require.True(t, fault.Is(err, fault.Malformed))
	events, err := receiver().Events(signed(`{"object":"instagram","entry":[{"id":"1"}]}`))
	require.NoError(t, err)
	require.Equal(t, []channel.Event{{Kind: channel.EventOther}}, events)
}

func TestStandbyNeverOpensTheWindow(t *testing.T) {
	t.Parallel()
	body := strings.ReplaceAll(fixture(t, "webhook_all.json"), `"messaging":`, `"standby":`)
	body = strings.ReplaceAll(body, ` "standby":[{"sender"`, ` "other":[{"sender"`)
	events, err := receiver().Events(signed(body))
	require.NoError(t, err)
	require.NotEmpty(t, events)
	for _, e := range events {
		require.False(t, e.Kind.OpensWindow())
		require.Empty(t, e.Text+e.Token+e.Ref)
	}
}

func TestMarksComeBackFromTheEcho(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	rapid.Check(t, func(rt *rapid.T) {
		mark := rapid.StringN(1, 40, -1).Draw(rt, "mark")
		client.Send(t.Context(), on(channel.Window, channel.Message{Delivery: 42, Mark: mark, To: person, Body: []byte("{}")}))
		_, sent, _ := strings.Cut(last.body, `"message":{`)
		echo := `{"object":"page","entry":[{"id":"1","messaging":[{"message":{"is_echo":true,` + strings.TrimSuffix(sent, "}") + `}]}]}`
		events, err := receiver().Events(signed(echo))
		require.NoError(rt, err)
		require.Equal(rt, mark, events[0].Mark)
		require.Zero(rt, events[0].Delivery, "whose mark it is, is not for the channel to say")
	})
}

func TestForeignMetadataIsNoMark(t *testing.T) {
	t.Parallel()
	for _, metadata := range []string{"", "bk:", "bk", "12", "BK:12", " bk:12", "b:k12"} {
		events, err := receiver().Events(signed(`{"object":"page","entry":[{"messaging":[{"message":{"is_echo":true,"metadata":"` + metadata + `"}}]}]}`))
		require.NoError(t, err)
		require.Equal(t, channel.EventEcho, events[0].Kind)
		require.Empty(t, events[0].Mark, metadata)
		require.Zero(t, events[0].Delivery, metadata)
	}
}

func TestVerifyNeedsASecret(t *testing.T) {
	t.Parallel()
	err := messenger.NewReceiver(messenger.Settings{}).Verify(signed("{}"))
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestVerifySubscription(t *testing.T) {
	t.Parallel()
	challenge, err := receiver().VerifySubscription("subscribe", "let-me-in", "1158201444")
	require.NoError(t, err)
	require.Equal(t, "1158201444", challenge)
	for _, c := range [][2]string{{"subscribe", "let-me-out"}, {"subscribe", ""}, {"unsubscribe", "let-me-in"}, {"", "let-me-in"}} {
		_, err := receiver().VerifySubscription(c[0], c[1], "1")
		require.True(t, fault.Is(err, fault.Forbidden))
	}
	_, err = messenger.NewReceiver(messenger.Settings{}).VerifySubscription("subscribe", "", "1")
	require.True(t, fault.Is(err, fault.Forbidden), "an empty verify token lets nobody in")
}

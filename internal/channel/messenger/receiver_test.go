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

func TestMarksComeBackFromTheEcho(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	rapid.Check(t, func(rt *rapid.T) {
		mark := rapid.StringMatching(`[^\x00]{1,40}`).Draw(rt, "mark")
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

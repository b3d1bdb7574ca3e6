package messenger_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
)

func TestUploadAsksForWhatCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	client, last := answering(t, http.StatusOK, `{"attachment_id":"1745504518999123"}`)
	id, r := client.Upload(t.Context(), somePage, "image", `https://a.example/"a".png`)
	require.Equal(t, channel.Result{Outcome: channel.Accepted}, r)
	require.Equal(t, "1745504518999123", id)
	require.Equal(t, "POST /v25.0/"+pageID+"/message_attachments", last.path)
	require.JSONEq(t, `{"message":{"attachment":{"type":"image","payload":{"is_reusable":true,"url":"https://a.example/\"a\".png"}}}}`, last.body)
	require.Regexp(t, `^appsecret_proof=[0-9a-f]{64}$`, last.query)
	require.Equal(t, "Bearer "+pageToken, last.authorization)
}

func TestWhatGraphSaysToAnUpload(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		answer string
		want   channel.Outcome
	}{
		"cannot be fetched": {400, `{"error":{"code":100,"error_subcode":2018008,"message":"https://a.example/a.png"}}`, channel.Refused},
		"token dead":        {400, `{"error":{"code":190,"message":"x"}}`, channel.StopTheLine},
		"too many":          {400, `{"error":{"code":613,"message":"x"}}`, channel.TryLater},
		"names nothing":     {200, `{}`, channel.Unknown},
		"not JSON":          {200, `<html>`, channel.Unknown},
		"broken":            {500, ``, channel.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := answering(t, c.status, c.answer)
			id, r := client.Upload(t.Context(), somePage, "image", "https://a.example/a.png")
			require.Empty(t, id)
			require.Equal(t, c.want, r.Outcome)
			require.NotContains(t, r.Detail, "a.example")
		})
	}
}

// A tag is never written: what goes out has the type of its lane, and none where
// a token is the permission.
func TestMessagingTypeIsTheLanes(t *testing.T) {
	t.Parallel()
	client, last := recorder(t)
	for lane, want := range map[channel.Lane]string{channel.Window: `,"messaging_type":"UPDATE"`, channel.Utility: `,"messaging_type":"UTILITY"`, channel.OneTime: "", channel.Recurring: ""} {
		for _, answer := range []bool{false, true} {
			b := on(lane, channel.Message{To: person, Token: "t", Quiet: "NO_PUSH", Body: []byte(`{"text":"x"}`)})
			b.Answer = answer
			if answer && lane == channel.Window {
				want = `,"messaging_type":"RESPONSE"`
			}
			require.Equal(t, channel.Accepted, client.Send(t.Context(), b)[0].Outcome)
			require.Contains(t, last.body, `"}`+want+`,"notification_type":"NO_PUSH","message":{"text":"x"`, "%s %t", lane, answer)
			require.NotContains(t, last.body, "tag")
		}
	}
}

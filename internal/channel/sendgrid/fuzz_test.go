package sendgrid_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
)

// FuzzEvents holds that any body is read without harm: at most two events for
// each that is told, of kinds and outcomes there are, with nothing in them that a
// database cannot keep, and no address in a code or in the error.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(fixture(f, "events.json")))
	f.Add([]byte(`[{"event":"dropped","reason":"Spam Reporting Address","email":"kim@example.com"},null,[],{"event":"bounce","status":"5.1.1@"}]`))
	f.Add([]byte(`[{"event":"bounce","type":"blocked","email":"a\u0000b\ud800","sg_message_id":"\u0000","timestamp":1e99,"smtp-id":"<<@@>"}]`))
	r, err := sendgrid.NewReceiver(sendgrid.Settings{})
	require.NoError(f, err)
	outcomes := map[channel.Outcome]bool{"": true}
	for _, o := range channel.Outcomes() {
		outcomes[o] = true
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := r.Events(channel.Callback{Body: body})
		if err != nil {
			require.NotContains(t, err.Error(), "@")
		}
		var all []json.RawMessage
		_ = json.Unmarshal(body, &all)
		require.LessOrEqual(t, len(events), 2*len(all))
		for _, e := range events {
			require.True(t, outcomes[e.Outcome])
			require.NotContains(t, e.Code, "@")
			require.False(t, e.Soft && e.Outcome != channel.Refused)
			require.Equal(t, e.Kind == channel.EventFailed, e.Outcome != "")
			require.True(t, e.At.IsZero() || e.At.Year() < 10000)
			for _, kept := range append([]string{e.Mark, e.Address, e.Code}, e.ProviderIDs...) {
				require.False(t, strings.ContainsRune(kept, 0))
				require.LessOrEqual(t, len(kept), 1000)
			}
			if e.Kind == channel.EventStop || e.Kind == channel.EventStart {
				require.Contains(t, []string{channel.ByUnsubscribe, channel.ByComplaint}, e.Reason)
			}
		}
	})
}

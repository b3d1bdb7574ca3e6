package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type selfTestAnswer struct{ ID, State, Code string }

type pageAnswer struct {
	Capabilities map[string]struct{ State, How string }
}

// A tester writes, is asked, taps, and gets one message: from then on it is known
// that the page may, and no campaign has the token.
func TestFlowSelfTest(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.hidden = append(w.hidden, "Tess-psid", "secret-hello")
		at := "/v1/pages/" + w.page + "/self-test"
		require.Equal(t, "no_address", ask[problem](t, w, 422, "POST", at, map[string]any{"psid": "Tess-psid"}).Code)
		require.NoError(t, w.sim.VerifyWebhook(t.Context()))
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Tess-psid", "secret-hello"))
		tess := w.known(t, "Tess-psid")
		require.Equal(t, "waiting", ask[selfTestAnswer](t, w, 201, "POST", at, map[string]any{"psid": "Tess-psid"}).State)
		token, err := w.sim.TapNotifyMe(t.Context(), simulatorPage, "Tess-psid")
		require.NoError(t, err)
		w.hidden = append(w.hidden, token)
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, "passed", ask[selfTestAnswer](c, w, 200, "GET", at, nil).State)
		})
		got := ask[pageAnswer](t, w, 200, "GET", "/v1/pages/"+w.page, nil).Capabilities["one_time"]
		require.Equal(t, []string{"works", "self_test"}, []string{got.State, got.How})
		require.Empty(t, list[map[string]any](t, w, "/v1/contacts/"+tess.ID+"/tokens"))
		messages := w.sim.Received(simulatorPage, "Tess-psid")
		require.True(t, messages[len(messages)-1].ByToken)
	})
}

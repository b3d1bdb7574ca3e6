package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// threadAnswer is who holds a thread.
type threadAnswer struct {
	Owner *string `json:"owner_app_id"`
	Held  bool    `json:"held"`
}

// TestFlowAnotherAppTakesOver has a person talk with another app of the page,
// and then with us again.
func TestFlowAnotherAppTakesOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, _ := servingApp(t, database, func(c *simulator.Config) { c.AppID = "100100" })
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "Hello"))
		anna := w.known(t, "Anna-psid")
		thread := func(t require.TestingT) threadAnswer {
			return ask[threadAnswer](t, w, 200, "GET", "/v1/contacts/"+anna.ID+"/thread?page_id="+w.page, nil)
		}
		require.Equal(t, "100100", *thread(t).Owner)

		require.NoError(t, w.sim.HandOver(t.Context(), simulatorPage, "Anna-psid", "200200"))
		eventually(t, func(c *assert.CollectT) { require.True(c, thread(c).Held) })
		require.Equal(t, "200200", *thread(t).Owner)
		require.Equal(t, "thread_held", w.askPermission(t, anna, 422).Code)
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "Hello, you"))
		require.Empty(t, w.sentTo(), "nothing is said past the holder")

		require.NoError(t, w.sim.HandOver(t.Context(), simulatorPage, "Anna-psid", "100100"))
		eventually(t, func(c *assert.CollectT) { require.False(c, thread(c).Held) })
		w.askPermission(t, anna, 201)
		require.Equal(t, map[string]int{"Anna-psid": 1}, w.sentTo())
	})
}

// TestFlowSomebodyWantsToBeForgotten asks for it in the chat.
func TestFlowSomebodyWantsToBeForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.hidden = append(w.hidden, "Anna-psid", "Please delete my data")
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "Hello"))
		anna := w.known(t, "Anna-psid")
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "Please delete my data!"))
		var got []simulator.Message
		eventually(t, func(c *assert.CollectT) {
			got = w.sim.Received(simulatorPage, "Anna-psid")
			require.NotEmpty(c, got)
		})
		require.Len(t, got, 1)
		ask[problem](t, w, 404, "GET", "/v1/contacts/"+anna.ID, nil)
		at, err := url.Parse(got[0].Text[strings.Index(got[0].Text, "http"):])
		require.NoError(t, err)
		page, err := w.call(t.Context(), "GET", at.Path, "", nil)
		require.NoError(t, err)
		require.Equal(t, 200, page.status)
		require.Contains(t, page.body, "Your data has been deleted")
		require.Empty(t, list[contactAnswer](t, w, "/v1/contacts"))
	})
}

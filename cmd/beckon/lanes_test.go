package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
)

// TestFlowRecurringPermission goes from the question to two campaigns: the first
// goes out with the token, which rests then.
func TestFlowRecurringPermission(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, a := servingApp(t, database, nil)
		w.hidden = append(w.hidden, "Anna-psid")
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, "Anna-psid", "hello"))
		anna := w.known(t, "Anna-psid")
		request := ask[optIn](t, w, 201, "POST", "/v1/opt-in-requests", map[string]any{"contact_id": anna.ID, "page_id": w.page, "topic": "courses", "kind": "recurring"})
		token, err := w.sim.TapGetUpdates(t.Context(), simulatorPage, "Anna-psid")
		require.NoError(t, err)
		w.hidden = append(w.hidden, token)
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, "granted", ask[optIn](c, w, 200, "GET", "/v1/opt-in-requests/"+request.ID, nil).State)
		})
		w.sim.CloseWindow(simulatorPage, "Anna-psid") // a day later
		require.NoError(t, a.db.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("UPDATE messenger_addresses SET last_action_at = NULL").Error }))
		for i, want := range []string{"recurring", ""} {
			id := w.campaign(t, "recurring")
			eventually(t, func(c *assert.CollectT) { require.Equal(c, "finished", w.report(c, id).State) })
			require.Equal(t, want, w.lane(t, id), "campaign %d", i)
		}
		require.NoError(t, w.sim.StopRecurring(t.Context(), token))
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, "unsubscribed", w.reason(c, anna.ID, "recurring"))
		})
		require.NoError(t, w.sim.ResumeRecurring(t.Context(), token))
		eventually(t, func(c *assert.CollectT) { require.Equal(c, "too_soon", w.reason(c, anna.ID, "recurring")) })
	})
}

// lane is the lane of the only delivery of a campaign; "" when it has none.
func (w *world) lane(t require.TestingT, campaign string) string {
	got := list[struct {
		Lane *string `json:"lane"`
	}](t, w, "/v1/campaigns/"+campaign+"/deliveries")
	require.Len(t, got, 1)
	if got[0].Lane == nil {
		return ""
	}
	return *got[0].Lane
}

// reason is why a lane is closed to a contact; "" when it is open.
func (w *world) reason(t require.TestingT, contact, lane string) string {
	got := ask[struct {
		Lanes []struct{ Lane, Reason string }
	}](t, w, 200, "GET", "/v1/contacts/"+contact+"/reach?topic=courses&page_id="+w.page, nil)
	for _, l := range got.Lanes {
		if l.Lane == lane {
			return l.Reason
		}
	}
	return "no such lane"
}

// TestFlowUtilityTemplate goes from a template that Meta still looks at to a
// campaign that goes out with it.
func TestFlowUtilityTemplate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.sim.SlowReview()
		path := "/v1/pages/" + w.page + "/message-templates"
		type template struct{ Status string }
		made := ask[template](t, w, 201, "POST", path, map[string]any{"name": "visit", "language": "en", "body": "See you on {{day}}.", "examples": map[string]any{"day": "Monday"}})
		require.Equal(t, "pending", made.Status)
		w.imported(t, file{"application/x-ndjson", `{"external_id":"a","attributes":{"day":"Friday"},"messenger":[{"page_id":"` + w.page + `","psid":"psid-1"}]}` + "\n"})
		w.sim.AddPeople(simulatorPage, 1)
		w.sim.CloseWindow(simulatorPage, "psid-1")
		c := map[string]any{"name": "Visits", "page_id": w.page, "topic": "courses", "transactional": true, "content": map[string]any{
			"utility": map[string]any{"template": "visit", "language": "en", "parameters": map[string]any{"day": "{{ contact.attributes.day }}"}}}}
		send := func() string {
			id := ask[struct{ ID string }](t, w, 201, "POST", "/v1/campaigns", c).ID
			ask[any](t, w, 202, "POST", "/v1/campaigns/"+id+"/start", nil)
			eventually(t, func(c *assert.CollectT) { require.Equal(c, "finished", w.report(c, id).State) })
			return w.lane(t, id)
		}
		require.Empty(t, send(), "Meta has not approved it yet")
		require.NoError(t, w.sim.ReviewTemplate(t.Context(), simulatorPage, "visit", "en", "APPROVED", "NONE"))
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, "approved", list[template](c, w, path)[0].Status)
		})
		require.Equal(t, "utility", send())
		got := w.sim.Received(simulatorPage, "psid-1")
		require.Len(t, got, 1)
		require.Contains(t, string(got[0].Raw), `"text":"Friday"`)
		require.True(t, json.Valid(got[0].Raw))
	})
}

package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
)

// A test that waits is shown as it is, and its tap is heard by the service.
func TestASelfTestIsStartedAndShown(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		at := "/v1/pages/" + town.page.ID.String() + "/self-test"
		s.refused(404, "self_test_not_found", call{Method: "GET", Path: at})
		began := ask[gen.SelfTest](s, 201, "POST", at, `{"psid":"1001"}`)
		require.Equal(t, gen.SelfTestStateWaiting, began.State)
		require.Equal(t, town.people["amy"].ID, began.ContactID)
		require.Equal(t, began, ask[gen.SelfTest](s, 200, "GET", at, ""))
		again := ask[gen.SelfTest](s, 201, "POST", at, `{"contact_id":"`+town.people["ben"].ID.String()+`","capability":"one_time"}`)
		require.Equal(t, gen.SelfTestCapabilityOneTime, again.Capability)
		require.Equal(t, again.ID, ask[gen.SelfTest](s, 200, "GET", at, "").ID, "the last one")
		other := ask[gen.SelfTest](s, 201, "POST", at, `{"psid":"1001","capability":"recurring"}`)
		require.Equal(t, gen.SelfTestCapabilityRecurring, other.Capability)
	})
}

// What Meta says about asking is shown, until somebody resumes it.
func TestAskingIsShownAndResumed(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		at := "/v1/pages/" + town.page.ID.String() + "/asking"
		require.Equal(t, gen.AskingStateOpen, ask[gen.Asking](s, 200, "GET", at, "").State)
		note := func(r channel.Result) {
			require.NoError(t, s.db.Transact(t.Context(), func(tx *db.Tx) error { return s.parts.Tokens.NoteAsked(tx, town.page.ID, r) }))
		}
		note(channel.Result{Outcome: channel.TryLater, Code: "9/2018352"})
		slowed := ask[gen.Asking](s, 200, "GET", at, "")
		require.Equal(t, gen.AskingStateSlowed, slowed.State)
		require.NotNil(t, slowed.Until)
		note(channel.Result{Outcome: channel.StopTheLine, Code: "10/1404170"})
		stopped := ask[gen.Asking](s, 200, "GET", at, "")
		require.Equal(t, gen.AskingStateStopped, stopped.State)
		require.Equal(t, "10/1404170", *stopped.Code)
		require.NotNil(t, stopped.Since)
		require.Equal(t, gen.Asking{State: gen.AskingStateOpen}, ask[gen.Asking](s, 200, "POST", at+"/resume", ""))
	})
}

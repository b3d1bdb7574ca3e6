package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

func TestHandingAThreadOver(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		page, amy := town.page.ID.String(), "/v1/contacts/"+town.people["amy"].ID.String()
		at := amy + "/thread"
		got := ask[gen.Thread](s, 200, "GET", at+"?page_id="+page, "")
		require.Equal(t, "263902037430900", *got.OwnerAppID)
		require.False(t, got.Held)
		require.Nil(t, got.HeldBy)

		got = ask[gen.Thread](s, 200, "POST", at, `{"page_id":"`+page+`","action":"pass","target_app_id":"263902037430900"}`)
		require.True(t, got.Held)
		require.Equal(t, "263902037430900", *got.HeldBy)
		require.Equal(t, got.HeldUntil, ask[gen.Contact](s, 200, "GET", amy, "").Messenger[0].ThreadHeldUntil)
		body := `{"contact_id":"` + town.people["amy"].ID.String() + `","page_id":"` + page + `","topic":"courses"}`
		s.refused(422, "thread_held", post("/v1/opt-in-requests", body))
		reach := ask[gen.Reach](s, 200, "GET", amy+"/reach?page_id="+page, "")
		require.Equal(t, "thread_held", *reach.Lanes[0].Reason)
		require.False(t, reach.Lanes[0].Open)

		s.clock.Pass(1)
		got = ask[gen.Thread](s, 200, "POST", at, `{"page_id":"`+page+`","action":"take"}`)
		require.False(t, got.Held)
		require.Equal(t, "100100", *got.OwnerAppID)
		require.Nil(t, ask[gen.Contact](s, 200, "GET", amy, "").Messenger[0].ThreadHeldUntil)
	})
}

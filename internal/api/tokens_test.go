package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

// A permission is moved to the topic it was given for, and taken back.
func TestATokenIsMovedAndRevoked(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.newTopic("sales")
		at := "/v1/contacts/" + town.people["cat"].ID.String() + "/tokens/" + town.token.String()
		moved := ask[gen.Token](s, 200, "PATCH", at, `{"topic":"sales"}`)
		require.Equal(t, "sales", moved.Topic)
		require.Equal(t, gen.TokenStatusAvailable, moved.Status)
		for range 2 {
			require.Equal(t, 204, s.do(call{Method: "DELETE", Path: at}).Code)
		}
		list := ask[gen.TokenList](s, 200, "GET", "/v1/contacts/"+town.people["cat"].ID.String()+"/tokens", "")
		require.Equal(t, gen.TokenStatusVoid, list.Data[0].Status)
		s.refused(404, "token_not_found", call{Method: "PATCH", Path: at, Body: `{"topic":"courses"}`, Headers: mergePatch})
		others := "/v1/contacts/" + town.people["amy"].ID.String() + "/tokens/" + town.token.String()
		s.refused(404, "token_not_found", call{Method: "DELETE", Path: others})
	})
}

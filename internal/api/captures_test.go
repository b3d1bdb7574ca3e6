package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
)

func TestAnAddressIsAskedForAndTheQuestionKept(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		page := s.newPage()
		c := s.newContact(`"first_name":"Ann","messenger":[{"page_id":"%s","psid":"77"}]`, page.ID)
		body := fmt.Sprintf(`{"contact_id":"%s","page_id":"%s","channel":"email","text":"Where may we write?","consent_text":"You agree to e-mails."}`, c.ID, page.ID)
		refused := func(code string) {
			t.Helper()
			w := s.do(call{Method: "POST", Path: "/v1/captures", Body: body})
			require.Equal(t, 422, w.Code, w.Body)
			require.Equal(t, code, s.problem(w).Code)
		}
		refused("window_closed")
		s.acted(s.clock.Now().Add(-time.Minute))
		made := ask[gen.Capture](s, 201, "POST", "/v1/captures", body)
		require.Equal(t, gen.CaptureState("asked"), made.State)
		require.Equal(t, made, ask[gen.Capture](s, 200, "GET", "/v1/captures/"+made.ID.String(), ""))
		require.Contains(t, string(s.carriers["messenger"].sent[0].Body), "user_email")
		refused("capture_pending")
		w := s.do(call{Method: "GET", Path: "/v1/captures/" + c.ID.String()})
		require.Equal(t, 404, w.Code)
	})
}

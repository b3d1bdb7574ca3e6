package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
)

// TestAPersonResolvesWhatIsUnknown is the way of a person with a report in hand.
func TestAPersonResolvesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		s.carriers[channel.SMS].outcome = func(channel.Message) channel.Result {
			return channel.Result{Outcome: channel.Unknown, Detail: "sent, but the answer was lost"}
		}
		c := s.started(s.newTown())
		at := "/v1/campaigns/" + c.ID.String()
		unknown := ask[gen.DeliveryList](s, 200, "GET", at+"/deliveries?state=unknown", "").Data
		require.Len(t, unknown, 2)
		require.Equal(t, gen.UnknownCount{Settling: 2}, ask[gen.Report](s, 200, "GET", at+"/report", "").Unknown)
		resolve := func(d gen.Delivery) string { return fmt.Sprintf("/v1/deliveries/%d/resolve", d.ID) }
		w := s.do(post(resolve(unknown[0]), `{"action":"resend"}`))
		require.Equal(t, 409, w.Code)
		p := s.problem(w)
		require.Equal(t, "still_settling", p.Code)
		require.Contains(t, p.Detail, unknown[0].SentAt.Add(24*time.Hour).UTC().Format(time.RFC3339))

		s.carriers[channel.SMS].outcome = nil
		d := ask[gen.DeliveryDetail](s, 200, "POST", resolve(unknown[0]), `{"action":"resend","force":true}`)
		require.Equal(t, gen.DeliveryStatePending, d.State)
		require.Equal(t, gen.AttemptOutcomeUnknown, d.Attempts[0].Outcome)
		s.refused(409, "wrong_state", post(resolve(unknown[0]), `{"action":"resend","force":true}`))
		s.clock.Pass(time.Minute) // the two before it used up the sender's pace
		s.work()
		d = ask[gen.DeliveryDetail](s, 200, "GET", fmt.Sprintf("/v1/deliveries/%d", unknown[0].ID), "")
		require.Equal(t, gen.DeliveryStateAccepted, d.State)
		require.Len(t, d.Attempts, 2)

		require.Equal(t, gen.Resolved{}, ask[gen.Resolved](s, 200, "POST", at+"/resolve", `{"action":"give_up"}`))
		s.clock.Pass(24 * time.Hour)
		require.Equal(t, gen.UnknownCount{ToResolve: 1}, ask[gen.Report](s, 200, "GET", at+"/report", "").Unknown)
		require.Equal(t, gen.Resolved{Resolved: 1}, ask[gen.Resolved](s, 200, "POST", at+"/resolve", `{"action":"give_up"}`))
		require.Equal(t, gen.Resolved{}, ask[gen.Resolved](s, 200, "POST", at+"/resolve", `{"action":"resend","force":true}`))
		failed := ask[gen.DeliveryList](s, 200, "GET", at+"/deliveries?state=failed", "").Data
		require.Len(t, failed, 1)
		require.Equal(t, "given_up", *failed[0].Reason)
		require.Equal(t, gen.UnknownCount{}, ask[gen.Report](s, 200, "GET", at+"/report", "").Unknown)
	})
}

// Pressing the button twice with the same key is pressing it once.
func TestResolvingTakesAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		s.carriers[channel.SMS].outcome = func(channel.Message) channel.Result { return channel.Result{Outcome: channel.Unknown} }
		c := s.started(s.newTown())
		again := post("/v1/campaigns/"+c.ID.String()+"/resolve", `{"action":"resend","force":true}`)
		again.Headers = map[string]string{headerIdempotency: "k"}
		first := s.do(again)
		require.Equal(t, 200, first.Code)
		require.JSONEq(t, `{"resolved":2,"left":0}`, first.Body.String())
		require.Equal(t, first.Body.String(), s.do(again).Body.String())
	})
}

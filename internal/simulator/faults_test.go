package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sends is one good send to each provider.
func (b *bundle) sends(t *testing.T) map[Provider]func() *http.Request {
	b.sim.AddPeople(testPage, 1)
	return map[Provider]func() *http.Request{
		Graph: func() *http.Request { return b.graphRequest(t, toPSID("psid-1", `{"text":"x"}`)) },
		Twilio: func() *http.Request {
			return b.twilioRequest(t, http.MethodPost, "/Messages.json", "To=%2B14155550100&Body=x&From=%2B15005550006")
		},
		SendGrid: func() *http.Request {
			req := b.request(t, http.MethodPost, "/sendgrid/v3/mail/send", mailTo("ann@example.org"))
			req.Header.Set("Authorization", "Bearer "+testKey)
			return req
		},
	}
}

func TestFaultsStrikeAndLift(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults   Faults
		statuses map[Provider][]int
		accepted int64
	}{
		"throttle":    {Faults{ThrottleRate: 1}, map[Provider][]int{Graph: {400, 403}, Twilio: {429}, SendGrid: {429}}, 0},
		"server":      {Faults{ServerErrorRate: 1}, map[Provider][]int{Graph: {500}, Twilio: {500, 503}, SendGrid: {500}}, 0},
		"false error": {Faults{FalseErrorRate: 1}, map[Provider][]int{Graph: {500}, Twilio: {500}, SendGrid: {500}}, 1},
		"latency":     {Faults{Latency: time.Millisecond, LatencyJitter: time.Millisecond}, map[Provider][]int{Graph: {200}, Twilio: {201}, SendGrid: {202}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for p, send := range b.sends(t) {
				b.sim.SetFaults(p, c.faults)
				require.Contains(t, c.statuses[p], b.do(t, send()).status, p)
				require.Equal(t, c.accepted, b.sim.Counts()[p].Accepted, p)
				b.sim.SetFaults(p, Faults{})
				require.Less(t, b.do(t, send()).status, 300, p)
			}
		})
	}
}

func TestThrottleSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	headers := map[Provider]string{Graph: "Retry-After", Twilio: "Retry-After", SendGrid: "X-RateLimit-Reset"}
	want := map[Provider]string{Graph: "3", Twilio: "3", SendGrid: "1795338003"}
	for p, send := range b.sends(t) {
		b.sim.SetFaults(p, Faults{ThrottleRate: 1, RetryAfter: 3 * time.Second})
		require.Equal(t, want[p], b.do(t, send()).header.Get(headers[p]), p)
	}
}

func TestEveryFormOfThrottleAndErrorComesUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sends := b.sends(t)
	b.sim.SetFaults(Graph, Faults{ThrottleRate: 1})
	b.sim.SetFaults(Twilio, Faults{ServerErrorRate: 1})
	for range 32 {
		b.do(t, sends[Graph]())
		b.do(t, sends[Twilio]())
	}
	counts := b.sim.Counts()
	require.Len(t, counts[Graph].Refused, 2)
	require.Equal(t, int64(32), counts[Graph].Refused["613"]+counts[Graph].Refused["4"])
	require.Len(t, counts[Twilio].Refused, 2)
	require.Equal(t, int64(32), counts[Twilio].Refused["20500"]+counts[Twilio].Refused["503"])
}

func TestLostAnswerIsAcceptedAllTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for p, send := range b.sends(t) {
		b.sim.SetFaults(p, Faults{LostAnswerRate: 1})
		_, err := http.DefaultClient.Do(send())
		require.ErrorIs(t, err, io.EOF, p)
		require.Equal(t, int64(1), b.sim.Counts()[p].Accepted, p)
	}
}

func TestHangLastsUntilTheClientGivesUpOrTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sends := b.sends(t)
	b.sim.SetFaults(Graph, Faults{HangRate: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	call, ended := sends[Graph]().WithContext(ctx), make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(call)
		ended <- err
	}()
	require.Eventually(t, func() bool { return b.sim.Counts()[Graph].Accepted == 1 }, 30*time.Second, time.Millisecond)
	cancel()
	err := <-ended
	require.ErrorIs(t, err, context.Canceled)

	b.sim.SetFaults(Twilio, Faults{HangRate: 1})
	b.sim.Close()
	b.sim.Close()
	_, err = http.DefaultClient.Do(sends[Twilio]())
	require.ErrorIs(t, err, io.EOF)
}

func TestLatencyEndsWithTheClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := b.sends(t)[Graph]
	b.sim.SetFaults(Graph, Faults{Latency: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := http.DefaultClient.Do(send().WithContext(ctx))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, b.sim.Counts()[Graph].Accepted)
}

func TestRefuseRateTurnsPeopleDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sends := b.sends(t)
	for _, p := range Providers() {
		b.sim.SetFaults(p, Faults{RefuseRate: 1})
	}
	require.Equal(t, "10/2018278", b.do(t, sends[Graph]()).code(t))
	token := b.sim.GrantToken(testPage, "psid-1")
	require.Equal(t, "100", b.graph(t, toToken(token)).code(t))
	require.Equal(t, http.StatusCreated, b.do(t, sends[Twilio]()).status)
	require.Equal(t, 30005, b.sim.Texts("+14155550100")[0].ErrorCode)
	require.Equal(t, http.StatusAccepted, b.do(t, sends[SendGrid]()).status)
	require.Equal(t, "bounce", b.sim.Mail("ann@example.org")[0].Event)
	b.sim.SetFaults(Graph, Faults{})
	require.Equal(t, http.StatusOK, b.graph(t, toToken(token)).status, "the refusal did not use the token")
}

func TestUsageIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := b.sends(t)[Graph]
	b.sim.SetFaults(Graph, Faults{Usage: 100})
	require.Contains(t, b.do(t, send()).header.Get("X-Business-Use-Case-Usage"), `"call_count":100,"total_cputime":100,"total_time":100,"estimated_time_to_regain_access":1`)
}

func TestSameSeedSameFaults(t *testing.T) {
	t.Parallel()
	throws := func(seed uint64) (hits []bool) {
		d := dice{seed: seed}
		for range 1000 {
			hits = append(hits, d.hit(0.3))
		}
		return hits
	}
	first := throws(1)
	require.Equal(t, first, throws(1))
	require.NotEqual(t, first, throws(2))
	n := 0
	for _, hit := range first {
		if hit {
			n++
		}
	}
	require.InDelta(t, 300, n, 60)
}

func TestFaultsReadBackFromJSON(t *testing.T) {
	t.Parallel()
	want := Faults{
		Latency: 50 * time.Millisecond, LatencyJitter: time.Second, ThrottleRate: .1, RetryAfter: time.Minute, ServerErrorRate: .2,
		LostAnswerRate: .3, HangRate: .4, FalseErrorRate: .5, RefuseRate: .6, DuplicateCallbacks: .7, Usage: 80,
	}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got Faults
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, want, got)
	require.Error(t, json.Unmarshal([]byte(`{"latency":"long"}`), &got))
	require.Error(t, json.Unmarshal([]byte(`{"usage":"high"}`), &got))
	require.Equal(t, want, got, "a wrong one changes nothing")
}

func TestBurstsThrottleEverythingForAWhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sends := b.sends(t)
	for p := range sends {
		b.sim.SetFaults(p, Faults{BurstEvery: 10 * time.Second, BurstLength: 2 * time.Second})
	}
	for second, throttled := range []bool{true, true, false, false, false, false, false, false, false, false, true} {
		for p, send := range sends {
			require.Equal(t, throttled, b.do(t, send()).status >= 400, "%s in second %d", p, second)
		}
		b.clock.add(time.Second)
	}
}

func TestLateReceiptsComeAllAndOutOfOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	b.sim.SetFaults(Graph, Faults{LateCallbacks: 0.5, LateBy: 100 * time.Millisecond, DuplicateCallbacks: 0.5})
	for range 50 {
		require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", `{"text":"x"}`)).status)
	}
	queued := b.sim.Counts()[Graph].Callbacks.Queued
	require.Greater(t, queued, 100, "late receipts are counted while they wait")
	require.NoError(t, b.sim.Drain(t.Context()))
	require.Equal(t, CallbackCount{Posted: int64(queued)}, b.sim.Counts()[Graph].Callbacks)
	deliveredFirst, echoed := 0, map[string]bool{}
	for _, e := range messaging(t, b.bot.take()) {
		if m, ok := e["message"].(map[string]any); ok {
			echoed[m["mid"].(string)] = true
			continue
		}
		if mid := e["delivery"].(map[string]any)["mids"].([]any)[0].(string); !echoed[mid] {
			deliveredFirst++
		}
	}
	require.Len(t, echoed, 50)
	require.Positive(t, deliveredFirst, "some are told as delivered before they are told as sent")
}

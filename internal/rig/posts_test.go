package rig_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/rig"
)

// hook is where webhooks are posted to. It answers the first few late, and refuses
// every tenth.
type hook struct {
	mu     sync.Mutex
	came   []time.Time
	events int
	people map[string]int
	wrong  int
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, _ := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(rig.AppSecret))
	mac.Write(body)
	var read struct {
		Entry []struct {
			Messaging []struct{ Sender struct{ ID string } }
		}
	}
	err := json.Unmarshal(body, &read)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.came = append(h.came, at)
	if err != nil || r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		h.wrong++
	}
	if len(h.came)%10 == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	for _, e := range read.Entry {
		for _, m := range e.Messaging {
			h.events++
			h.people[m.Sender.ID]++
		}
	}
}

func TestPostsKeepTheirRateAndCountWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	h := &hook{people: map[string]int{}}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	p := rig.Posts{Rate: 200, For: 500 * time.Millisecond, People: 7}.Run(t.Context(), rig.NewClient(s.URL, ""))
	require.Equal(t, 100, p.Posts)
	require.Len(t, h.came, 100)
	require.Zero(t, h.wrong)
	require.Equal(t, 10, p.Failed)
	require.Len(t, p.Answers, 90)
	require.Equal(t, h.events, p.Events)
	require.Len(t, h.people, 7)
	require.LessOrEqual(t, len(p.Acted), 7)
	require.GreaterOrEqual(t, p.Took, 495*time.Millisecond, "no faster than the rate")
	require.IsIncreasing(t, []time.Duration{0, p.Answer(0.01), p.Answer(1) + 1})
	require.Zero(t, rig.Posted{}.Answer(0.5))

	h.people = map[string]int{}
	p = rig.Posts{Rate: 1000, For: 50 * time.Millisecond, Once: true}.Run(t.Context(), rig.NewClient(s.URL, ""))
	require.Len(t, h.people, p.Events, "each person acts once")
}

// TestAnAnswerIsLateFromWhenItWasDue has a server that is stuck at first: those that
// were due meanwhile were posted meanwhile, or count as late.
func TestAnAnswerIsLateFromWhenItWasDue(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(s.Close)
	time.AfterFunc(300*time.Millisecond, func() { close(stuck) })
	p := rig.Posts{Rate: 1000, For: 200 * time.Millisecond, People: 5}.Run(t.Context(), rig.NewClient(s.URL, ""))
	require.Len(t, p.Answers, 200)
	require.GreaterOrEqual(t, p.Answer(0), 90*time.Millisecond, "the last one was due 100 ms before")
	require.GreaterOrEqual(t, p.Answer(1), 290*time.Millisecond)
}

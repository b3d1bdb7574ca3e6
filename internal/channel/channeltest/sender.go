package channeltest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
)

// serve starts a server that reads each request to its end before h answers.
func (s Suite) serve(tb testing.TB, h http.Handler) string {
	tb.Helper()
	if s.Serve != nil {
		return s.Serve(tb, h)
	}
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv.URL
}

// read drains the body, as a provider does before it decides anything.
func read(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

func tellsKind(t *testing.T, s Suite) {
	sender := s.New(t, s.serve(t, s.Accept))
	require.Equal(t, s.Kind, sender.Kind())
	require.Positive(t, sender.MaxBatch())
}

func takesEmpty(t *testing.T, s Suite) {
	var calls atomic.Int32
	sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
	require.Empty(t, sender.Send(t.Context(), s.Batch(0)))
	require.Zero(t, calls.Load())
}

func keepsOrder(t *testing.T, s Suite) {
	const odd = 7
	sender := s.New(t, s.serve(t, s.AcceptBut(odd)))
	results := sender.Send(t.Context(), s.Batch(20))
	require.Len(t, results, 20)
	for i, r := range results {
		if i == odd-1 {
			require.NotEqual(t, channel.Accepted, r.Outcome, "message %d", i)
			require.Empty(t, r.ProviderID)
			continue
		}
		require.Equal(t, channel.Accepted, r.Outcome, "message %d: %s", i, r.Detail)
		require.NotEmpty(t, r.ProviderID)
	}
}

func isConcurrent(t *testing.T, s Suite) {
	sender := s.New(t, s.serve(t, s.Accept))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, r := range sender.Send(t.Context(), s.Batch(25)) {
				if r.Outcome != channel.Accepted {
					t.Errorf("outcome %s: %s", r.Outcome, r.Detail)
				}
			}
		})
	}
	wg.Wait()
}

func cancelledIsTryLater(t *testing.T, s Suite) {
	var calls atomic.Int32
	sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expectAll(t, s, s.Batch(5), sender.Send(ctx, s.Batch(5)), channel.TryLater)
	require.Zero(t, calls.Load(), "nothing may be written")
}

func haltedIsTryLater(t *testing.T, s Suite) {
	var calls atomic.Int32
	sender := s.New(t, s.serve(t, count(&calls, s.Accept)))
	b := s.Batch(5)
	b.Halted = func() bool { return true }
	expectAll(t, s, b, sender.Send(t.Context(), b), channel.TryLater)
	require.Zero(t, calls.Load(), "nothing may be written")
}

// leavesOutTheSilent: those who refused after the batch was made get nothing, and
// the others get theirs.
func leavesOutTheSilent(t *testing.T, s Suite) {
	sender, b := s.New(t, s.serve(t, s.Accept)), s.Batch(6)
	b.Silenced = func(i int) bool { return i%2 == 1 }
	for i, r := range sender.Send(t.Context(), b) {
		if i%2 == 1 {
			require.Equal(t, channel.LeftOut(), r)
			continue
		}
		require.Equal(t, channel.Accepted, r.Outcome)
	}
	var calls atomic.Int32
	sender = s.New(t, s.serve(t, count(&calls, s.Accept)))
	b.Silenced = func(int) bool { return true }
	expectAll(t, s, b, sender.Send(t.Context(), b), channel.TryLater)
	require.Zero(t, calls.Load(), "nothing may be written")
}

func cancelledLateIsUnknown(t *testing.T, s Suite) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sender := s.New(t, s.serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read(r)
		cancel()
		<-r.Context().Done()
	})))
	expectAll(t, s, s.Batch(1), sender.Send(ctx, s.Batch(1)), channel.Unknown)
}

// A deadline may pass before the connection is up on a busy machine; it is then
// doubled until the request gets through.
func lostByDeadlineIsUnknown(t *testing.T, s Suite) {
	var reached atomic.Int32
	sender := s.New(t, s.serve(t, count(&reached, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read(r)
		<-r.Context().Done()
	}))))
	for patience := 50 * time.Millisecond; ; patience *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		results := sender.Send(ctx, s.Batch(1))
		cancel()
		if reached.Load() > 0 {
			expectAll(t, s, s.Batch(1), results, channel.Unknown)
			return
		}
		require.Less(t, patience, 10*time.Second, "no request came through")
	}
}

func refusedConnectionIsTryLater(t *testing.T, s Suite) {
	srv := httptest.NewServer(s.Accept)
	srv.Close()
	results := s.New(t, srv.URL).Send(t.Context(), s.Batch(3))
	expectAll(t, s, s.Batch(3), results, channel.TryLater)
	for _, r := range results {
		require.True(t, r.Unreached)
		require.False(t, r.Throttled)
	}
}

func lostAnswerIsUnknown(t *testing.T, s Suite) {
	sender := s.New(t, s.serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read(r)
		panic(http.ErrAbortHandler) // hangs up without a word
	})))
	expectAll(t, s, s.Batch(3), sender.Send(t.Context(), s.Batch(3)), channel.Unknown)
}

func followsNoRedirect(t *testing.T, s Suite) {
	if s.Serve != nil {
		return // only HTTP knows them
	}
	var calls atomic.Int32
	elsewhere := s.serve(t, count(&calls, s.Accept))
	sender := s.New(t, s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read(r)
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})))
	expectAll(t, s, s.Batch(1), sender.Send(t.Context(), s.Batch(1)), channel.StopTheLine)
	require.Zero(t, calls.Load(), "credentials went to another host")
}

func mapsAnswers(t *testing.T, s Suite) {
	for _, a := range s.Answers {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			b := s.Batch(1)
			if a.Batch != nil {
				b = *a.Batch
			}
			sender := s.New(t, s.serve(t, a))
			results := sender.Send(t.Context(), b)
			expectAll(t, s, b, results, a.Want)
			require.Equal(t, a.Code, results[0].Code)
			require.Equal(t, a.ProviderID, results[0].ProviderID)
			require.Equal(t, a.Throttled, results[0].Throttled)
			require.Equal(t, a.Load, results[0].Load)
			require.False(t, results[0].Unreached, "it was reached")
			require.InDelta(t, a.RetryAfter.Seconds(), results[0].RetryAfter.Seconds(), a.RetryAfter.Seconds()/20)
		})
	}
}

// ServeHTTP gives the recorded answer.
func (a Answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	read(r)
	w.Header().Set("Content-Type", "application/json")
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func count(n *atomic.Int32, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h.ServeHTTP(w, r)
	})
}

// expectAll checks that there is one result per message, all of one outcome,
// and that none tells what must stay inside.
func expectAll(t *testing.T, s Suite, b channel.Batch, results []channel.Result, want channel.Outcome) {
	t.Helper()
	require.Len(t, results, len(b.Messages))
	for _, r := range results {
		require.Equal(t, want, r.Outcome, "code %s: %s", r.Code, r.Detail)
		require.Contains(t, channel.Outcomes(), r.Outcome)
		if want != channel.Accepted {
			require.NotEmpty(t, r.Detail, "a person must be able to read what happened")
			require.Empty(t, r.ProviderID)
		}
		requireSilent(t, s, b, r.Code+" "+r.Detail)
	}
}

// requireSilent checks that said holds no address, token, text or secret.
func requireSilent(t *testing.T, s Suite, b channel.Batch, said string) {
	t.Helper()
	for _, secret := range append(Private(b), s.Secrets...) {
		require.False(t, strings.Contains(said, secret), "%d bytes that must stay inside were told", len(secret))
	}
}

// Private lists what is in a batch that no error, log line or detail may hold.
func Private(b channel.Batch) []string {
	all := []string{b.Page.AccessToken, b.Page.GraphID, b.Mail.Subject, b.Mail.HTML, b.Mail.Text}
	for _, m := range b.Messages {
		all = append(all, m.To, m.Token, m.Mark, string(m.Body), m.Unsubscribe)
		all = append(all, m.Fill...)
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < 4 })
}

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"beckon/internal/simulator"
)

// node is the program while it serves, in this process.
type node struct {
	address string
	cancel  context.CancelFunc
	code    chan int
}

// serve starts the program and leads the gate to it. At the end of the test it
// is stopped, if it was not before.
func (w *world) serve(t *testing.T, settings ...string) *node {
	t.Helper()
	before := len(w.logs.lines(t, "serving"))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	n := &node{cancel: cancel, code: make(chan int, 1)}
	go func() {
		n.code <- run(ctx, []string{"serve"}, environment(append(w.settings, settings...)...), io.Discard, w.logs)
		close(n.code)
	}()
	t.Cleanup(func() {
		cancel()
		<-n.code
	})
	n.address = w.served(t, before)
	return n
}

// served waits until the log says once more that it serves, and where.
func (w *world) served(t *testing.T, before int) (address string) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		lines := w.logs.lines(c, "serving")
		require.Greater(c, len(lines), before, w.logs)
		address = lines[len(lines)-1]["address"].(string)
	})
	w.leadTo(address)
	return address
}

// stopped waits until nobody listens any more.
func (n *node) stopped(t *testing.T) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		conn, err := net.Dial("tcp", n.address)
		if err == nil {
			_ = conn.Close()
		}
		require.Error(c, err)
	})
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	require.Equal(t, 0, <-n.code)
}

// upload is an import whose lines come one by one.
type upload struct {
	lines *io.PipeWriter
	got   chan answer
}

// upload begins an import. It returns once the program is reading the body.
func (w *world) upload(t *testing.T, n *node) *upload {
	t.Helper()
	r, body := io.Pipe()
	u := &upload{body, make(chan answer, 1)}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "http://"+n.address+"/v1/contacts/import", r)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Content-Type", ndjson)
	req.Header.Set("Expect", "100-continue") // so the body is asked for before it is sent
	client := &http.Transport{ExpectContinueTimeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	go func() {
		defer close(u.got)
		resp, err := client.RoundTrip(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		u.got <- answer{resp.StatusCode, resp.Header, string(text)}
	}()
	u.write(t, `{"external_id":"u1"}`)
	return u
}

func (u *upload) write(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(u.lines, line+"\n")
	require.NoError(t, err)
}

func TestStopCutsNothingOffAndAStartGoesOn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, people := newWorld(t, database, nil), crowd{sms: 120}
		n := w.serve(t)
		w.open(t)
		require.Equal(t, 120, w.imported(t, people.file(w)).Created)
		w.sim.SetFaults(simulator.Twilio, simulator.Faults{Latency: 20 * time.Millisecond})
		slow := w.upload(t, n)
		campaign := w.campaign(t, "sms")
		require.Eventually(t, func() bool { return w.sim.Counts()[simulator.Twilio].Requests > 0 }, patience, time.Millisecond)

		n.cancel()
		n.stopped(t)
		slow.write(t, `{"external_id":"u2"}`)
		require.NoError(t, slow.lines.Close())
		got := <-slow.got
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Equal(t, 0, <-n.code)
		sent := w.sim.Counts()[simulator.Twilio].Accepted
		require.GreaterOrEqual(t, sent, int64(32), "the chunk that was under way was cut off")

		w.serve(t)
		upload := w.importDone(t, strings.TrimPrefix(got.header.Get("Location"), "/v1/imports/"))
		require.Equal(t, 2, upload.Created)
		eventually(t, func(c *assert.CollectT) {
			r := w.report(c, campaign)
			require.Equal(c, "finished", r.State)
			require.Equal(c, 120, r.count("delivered"), r.progress())
		})
		require.Equal(t, w.addressed(t, campaign, "delivered"), w.sentTo())
		w.logs.holdsNone(t, w.hidden)
	})
}

func TestWhatDoesNotEndInTimeIsBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, onSQLite(t), nil)
	n := w.serve(t, "BECKON_STOP_WITHIN=50ms")
	endless := w.upload(t, n)
	n.cancel()
	require.Equal(t, exitFailed, <-n.code)
	require.NoError(t, endless.lines.Close()) // Go's client reads on
	_, answered := <-endless.got
	require.False(t, answered)
	require.Contains(t, w.logs.String(), "requests were broken off that did not end within 50ms")
}

// A click that comes while the program stops is not lost.
func TestTheLastClicksAreWrittenDown(t *testing.T) {
	t.Parallel()
	w, people := newWorld(t, onSQLite(t), nil), crowd{sms: 1}
	first := w.serve(t)
	w.open(t)
	w.imported(t, people.file(w))
	campaign := w.campaign(t, "sms")
	eventually(t, func(c *assert.CollectT) { require.Equal(c, 1, w.report(c, campaign).count("delivered")) })
	sent := w.deliveries(t, campaign)[0].ID
	first.stop(t)

	c, err := readConfig(w.environ)
	require.NoError(t, err)
	a, err := newApp(t.Context(), c, newLogger(c, w.logs))
	require.NoError(t, err)
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.run(ctx, l) }()
	n := &node{address: l.Addr().String()}
	slow := w.upload(t, n) // holds the stop up
	cancel()
	n.stopped(t)
	a.clicks.Note(sent)
	require.NoError(t, slow.lines.Close())
	require.NoError(t, <-done)
	require.NoError(t, a.close())
	w.serve(t)
	require.Equal(t, 1, w.report(t, campaign).Clicked)
}

// Not parallel: it looks at everything that runs.
func TestServingLeavesNothingBehind(t *testing.T) {
	for engine, database := range map[string]func(*testing.T) string{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(engine, func(t *testing.T) {
			settings := database(t)
			before := goleak.IgnoreCurrent()
			t.Run("serve", func(t *testing.T) {
				w, people := newWorld(t, settings, nil), crowd{window: 3, sms: 3, email: 3}
				n := w.serve(t)
				w.open(t)
				w.imported(t, people.file(w))
				w.chat(t, people)
				campaign := w.campaign(t, "window", "sms", "email")
				eventually(t, func(c *assert.CollectT) { require.Equal(c, 9, w.report(c, campaign).count("delivered")) })
				n.stop(t)
			})
			http.DefaultTransport.(*http.Transport).CloseIdleConnections() // the gate's
			eventually(t, func(c *assert.CollectT) { require.NoError(c, goleak.Find(before)) })
		})
	}
}

func TestServeTellsWhyItCannot(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	defer taken.Close()
	code, _, errOut := told(t, environment(onSQLite(t)), "serve", "--addr", taken.Addr().String())
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "listen on "+taken.Addr().String())
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	code, _, errOut = told(t, environment("BECKON_DATA_DIR="+file), "serve")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "secret key")
	code, _, errOut = told(t, environment("BECKON_DATABASE_URL=postgres://a:hushhush@127.0.0.1:1/x", "BECKON_SECRET_KEY="+testSecret), "serve")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "reach PostgreSQL")
	require.NotContains(t, errOut, "hushhush")
	code, _, errOut = told(t, environment(onSQLite(t)), "serve", "--no-migrate", "--addr", "127.0.0.1:0")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "run: beckon migrate up")
	require.NotContains(t, errOut, "msg=serving")
}

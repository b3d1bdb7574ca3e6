package relay_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/queue"
	"beckon/internal/relay"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bot is the other program: it answers with a status, and keeps what it took.
type bot struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	asked  int
	took   []*http.Request
	bodies []string
}

func newBot(t *testing.T) *bot {
	t.Helper()
	b := &bot{status: http.StatusOK}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	if b.status < 300 {
		b.took, b.bodies = append(b.took, r), append(b.bodies, string(body))
	}
	w.WriteHeader(b.status)
}

func (b *bot) answers(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.asked = status, 0
}

// bundle is a relay to a bot, with a clock that the test sets.
type bundle struct {
	*relay.Relay
	t     *testing.T
	d     *db.DB
	queue *queue.Queue
	bot   *bot
	now   time.Time
	log   bytes.Buffer
}

const secret = "hushhush"

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, bot: newBot(t), now: noon}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	b.queue = queue.New(d, log)
	b.Relay = relay.New(d, b.queue, relay.Settings{URL: b.bot.URL + "/hook?token=" + secret, Log: log, Now: func() time.Time { return b.now }})
	require.NoError(t, b.queue.Open())
	t.Cleanup(func() {
		for _, private := range []string{secret, b.bot.URL, "Hello"} {
			require.NotContains(t, b.log.String(), private)
		}
	})
	return b
}

// come lets n webhooks come in one transaction.
func (b *bundle) come(n int) {
	b.t.Helper()
	ids, callbacks := make([]uuid.UUID, n), make([]channel.Callback, n)
	for i := range n {
		ids[i] = db.IDAt(b.now.Add(time.Duration(i) * time.Microsecond))
		callbacks[i] = channel.Callback{Body: fmt.Appendf(nil, "{ \"n\":%d, \"text\":\"Hello \\ud83d\\ude00\xff\"}", i), Header: map[string]string{
			"X-Hub-Signature-256": fmt.Sprint("sha256=", i), "Content-Type": "application/json; charset=utf-8"}}
	}
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return b.Keep(b.t.Context(), tx, ids, callbacks) }))
}

// pass lets time go by, sweeps and works what is due then.
func (b *bundle) pass(d time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(d)
	require.NoError(b.t, b.Sweep(b.t.Context()))
	b.work()
}

func (b *bundle) work() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now))
}

func (b *bundle) tally() relay.Tally {
	b.t.Helper()
	t, err := b.Tally(b.t.Context())
	require.NoError(b.t, err)
	return t
}

func (b *bundle) count(from string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+from).Scan(&n).Error)
	return n
}

func TestAWebhookIsPassedOnByteForByte(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.come(3)
		require.Empty(t, b.bot.took, "nothing is posted before the commit")
		b.work()
		require.Len(t, b.bot.took, 3)
		for i, r := range b.bot.took {
			var n int
			_, err := fmt.Sscanf(r.Header.Get("X-Hub-Signature-256"), "sha256=%d", &n)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("{ \"n\":%d, \"text\":\"Hello \\ud83d\\ude00\xff\"}", n), b.bot.bodies[i])
			require.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
			require.Equal(t, "/hook?token="+secret, r.RequestURI)
			require.Equal(t, http.MethodPost, r.Method)
		}
		require.Zero(t, b.count("relays"), "nothing of it stays")
		b.pass(time.Minute)
		require.Len(t, b.bot.took, 3)
	})
}

func TestWhatIsRefusedIsTriedAgainLessAndLessOften(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusServiceUnavailable)
		b.come(2)
		b.work()
		require.Equal(t, 2, b.bot.asked)
		require.Equal(t, int64(2), b.tally().Trying)
		require.Equal(t, noon, b.tally().Oldest.UTC())
		b.pass(4 * time.Second)
		require.Equal(t, 2, b.bot.asked, "not so soon")
		b.pass(time.Second)
		require.Equal(t, 4, b.bot.asked)
		b.pass(9 * time.Second)
		require.Equal(t, 4, b.bot.asked, "later than the first time")
		b.pass(time.Second)
		require.Equal(t, 6, b.bot.asked)
		b.bot.answers(http.StatusNoContent)
		b.pass(time.Hour)
		require.Len(t, b.bot.took, 2)
		require.Equal(t, relay.Tally{}, b.tally())
	})
}

func TestOneThatIsNeverTakenHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusBadRequest)
		b.come(1)
		b.work()
		b.bot.answers(http.StatusOK)
		b.now = b.now.Add(time.Second)
		b.come(1)
		b.work()
		require.Len(t, b.bot.took, 1)
		require.Equal(t, int64(1), b.tally().Trying)
	})
}

// TestAProgramThatIsDownIsAskedSeldom has hundreds wait for it: a few are tried, and
// all are there when it is back.
func TestAProgramThatIsDownIsAskedSeldom(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusBadGateway)
		for range 5 {
			b.come(100)
			b.now = b.now.Add(time.Millisecond)
		}
		b.work()
		require.LessOrEqual(t, b.bot.asked, 5+16, "one job's posts under way, and then nothing")
		require.Contains(t, b.log.String(), "status 502")
		asked := b.bot.asked
		b.pass(10 * time.Second)
		require.Equal(t, asked, b.bot.asked, "it rests")
		require.Equal(t, int64(500), b.tally().Waiting)
		b.bot.answers(http.StatusOK)
		b.pass(time.Minute)
		b.pass(time.Minute)
		require.Len(t, b.bot.took, 500)
		require.Zero(t, b.tally().Waiting)
	})
}

func TestNothingIsFollowedElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.bot.answers(http.StatusFound)
	b.come(1)
	b.work()
	require.Equal(t, 1, b.bot.asked)
	require.Equal(t, 1, b.count("relays WHERE problem = 'status 302'"))
	b.bot.Close()
	b.pass(time.Minute)
	require.Equal(t, 1, b.count("relays WHERE problem = 'no answer' AND tries = 2"))
}

func TestAfterADayItIsGivenUpAndTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusGone)
		b.come(3)
		b.work()
		b.pass(24*time.Hour - time.Minute)
		require.Equal(t, int64(3), b.tally().Waiting)
		b.pass(time.Hour)
		require.Equal(t, relay.Tally{Failed: 3}, b.tally())
		require.Equal(t, 3, b.count("relays WHERE length(body) = 0 AND signature = ''"), "what people wrote is gone")
		require.Equal(t, 1, b.count("events WHERE type = 'relay.failed'"))
		var data string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT CAST(data AS text) FROM events").Scan(&data).Error)
		require.JSONEq(t, `{"webhooks": 3, "problem": "status 410"}`, data)

		b.bot.answers(http.StatusOK)
		b.pass(time.Hour)
		require.Empty(t, b.bot.took, "and stays given up")
		b.now = b.now.Add(29 * 24 * time.Hour)
		require.NoError(t, b.Purge(t.Context()))
		require.Equal(t, int64(3), b.tally().Failed)
		b.now = b.now.Add(2 * 24 * time.Hour)
		require.NoError(t, b.Purge(t.Context()))
		require.Zero(t, b.count("relays"))
	})
}

// TestTwoSweepsGiveNothingOutTwice has what is due in the hands of a job already.
func TestTwoSweepsGiveNothingOutTwice(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusConflict)
		b.come(2)
		b.work()
		b.now = b.now.Add(time.Minute)
		require.NoError(t, b.Sweep(t.Context()))
		require.NoError(t, b.Sweep(t.Context()))
		b.bot.answers(http.StatusOK)
		b.work()
		require.Len(t, b.bot.took, 2)
	})
}

// TestWithoutAnAddressNothingIsKept takes the address away while something waits.
func TestWithoutAnAddressNothingIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.bot.answers(http.StatusConflict)
		b.come(1)
		b.work()
		b.come(1)
		b.URL = ""
		b.work()
		require.Equal(t, 1, b.bot.asked)
		require.NoError(t, b.Purge(t.Context()))
		require.Zero(t, b.count("relays"))
		b.come(1)
		require.Zero(t, b.count("relays"))
	})
}

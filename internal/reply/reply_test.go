package reply_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/line"
	"beckon/internal/page"
	"beckon/internal/reply"
	"beckon/internal/seal"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is a speaker over one database with the real Pages and lines, a sender
// that keeps what it is given, and a clock that only waiting moves.
type bundle struct {
	*reply.Speaker
	t     *testing.T
	d     *db.DB
	pages *page.Store
	lines *line.Store
	page  page.Page

	mu      sync.Mutex
	at      time.Time
	sent    []channel.Batch
	outcome channel.Result
	during  func()
}

func (b *bundle) Kind() channel.Kind { return channel.Messenger }
func (b *bundle) MaxBatch() int      { return 500 }

func (b *bundle) Send(_ context.Context, batch channel.Batch) []channel.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, batch)
	if b.during != nil {
		b.during()
	}
	return []channel.Result{b.outcome}
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bundle) wait(_ context.Context, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func setup(t *testing.T, d *db.DB, pace float64) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, at: noon, outcome: channel.Result{Outcome: channel.Accepted, ProviderID: "m_1"}}
	box, err := seal.New(bytes.Repeat([]byte{3}, seal.MinSecret))
	require.NoError(t, err)
	b.pages = page.NewStore(d, box, b.now)
	b.lines = line.NewStore(d, line.Rates{Messenger: pace}, b.now)
	b.page, err = b.pages.Create(t.Context(), page.Draft{FacebookPageID: "5001", Name: "School", AccessToken: "page-token"})
	require.NoError(t, err)
	b.Speaker = reply.New(reply.Parts{DB: d, Pages: b.pages, Lines: b.lines, Sender: b, Now: b.now, Wait: b.wait})
	return b
}

func (b *bundle) say() channel.Result {
	b.t.Helper()
	r, err := b.Say(b.t.Context(), b.page.ID, channel.Window, channel.Message{To: "77", Body: []byte(`{"text":"Thank you!"}`)})
	require.NoError(b.t, err)
	return r
}

func TestAnAnswerGoesOutForItsPage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, 0)
		require.Equal(t, b.outcome, b.say())
		require.Len(t, b.sent, 1)
		got := b.sent[0]
		require.Equal(t, channel.Page{GraphID: "5001", Name: "School", AccessToken: "page-token"}, got.Page)
		require.Equal(t, channel.Window, got.Lane)
		require.True(t, got.Answer, "it answers what the person did")
		require.Equal(t, []channel.Message{{To: "77", Body: []byte(`{"text":"Thank you!"}`)}}, got.Messages)
	})
}

func TestOnlyInTheWindowIsAMessageAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t), 0)
	_, err := b.Say(t.Context(), b.page.ID, channel.OneTime, channel.Message{Token: "otn"})
	require.NoError(t, err)
	require.False(t, b.sent[0].Answer)
}

func TestAnswersKeepThePaceOfTheirPage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, 2)
		for range 8 {
			require.Equal(t, channel.Accepted, b.say().Outcome)
		}
		require.GreaterOrEqual(t, b.now().Sub(noon), 3*time.Second, "8 messages at 2 a second, with one in hand")
		require.LessOrEqual(t, b.now().Sub(noon), 4*time.Second)
	})
}

func TestATurnThatIsTooFarOffPutsTheMessageOff(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, 0.05)
		require.Equal(t, channel.Accepted, b.say().Outcome)
		r := b.say()
		require.Equal(t, channel.TryLater, r.Outcome)
		require.Greater(t, r.RetryAfter, 5*time.Second)
		require.Len(t, b.sent, 1, "nothing was sent")
	})
}

func TestAStoppedPageSaysNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, 15)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return line.Stop(tx, channel.Window.Line(b.page.ID.String()), "10/1893063", "restricted", b.now())
		}))
		r := b.say()
		require.Equal(t, channel.TryLater, r.Outcome)
		require.Positive(t, r.RetryAfter)
		require.Empty(t, b.sent)
		require.Equal(t, noon, b.now(), "and does not wait for what will not come")
	})
}

func TestARefusedPageIsStoppedForEverything(t *testing.T) {
	t.Parallel()
	for code, health := range map[string]page.TokenState{"190": page.TokenRefused, "190/460": page.TokenRefused, "10/1893063": page.TokenUnknown} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d, 15)
				b.outcome = channel.Result{Outcome: channel.StopTheLine, Code: code}
				require.Equal(t, b.outcome, b.say())
				require.Equal(t, channel.TryLater, b.say().Outcome)
				require.Len(t, b.sent, 1)
				p, err := b.pages.Get(t.Context(), b.page.ID)
				require.NoError(t, err)
				require.Equal(t, health, p.TokenHealth)
			})
		})
	}
}

func TestWhatCameOfAMessageIsToldToTheLineThoughTheCallerHasGone(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t), 15)
	ctx, cancel := context.WithCancel(t.Context())
	b.outcome, b.during = channel.Result{Outcome: channel.StopTheLine, Code: "190"}, cancel
	r, err := b.Say(ctx, b.page.ID, channel.Window, channel.Message{To: "77"})
	require.NoError(t, err)
	require.Equal(t, channel.StopTheLine, r.Outcome)
	stopped, err := b.lines.Look(t.Context(), channel.Window.Line(b.page.ID.String()))
	require.NoError(t, err)
	require.NotNil(t, stopped[0].StoppedAt)
}

func TestWithoutItsPageNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t), 15)
	r, err := b.Say(t.Context(), uuid.New(), channel.Window, channel.Message{To: "77"})
	require.Error(t, err)
	require.Empty(t, r.Outcome, "no outcome: no call was made")
	require.Empty(t, b.sent)
}

func TestWhoseTimeIsUpWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := b.Say(ctx, b.page.ID, channel.Window, channel.Message{To: "77"})
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	require.Empty(t, r.Outcome)
	require.Empty(t, b.sent)
}

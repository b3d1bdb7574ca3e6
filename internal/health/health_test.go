package health_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/health"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/simulator"
)

const (
	graphPage = "1001"
	pageToken = "page-token"
	appSecret = "app-secret"
	appID     = "77"
)

type bundle struct {
	t     *testing.T
	d     *db.DB
	sim   *simulator.Simulator
	queue *queue.Queue
	pages *page.Store
	*health.Service
	graph string // its address
	clock atomic.Int64
	logs  bytes.Buffer
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t *testing.T, d *db.DB, change func(*health.Parts)) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d}
	b.clock.Store(time.Now().UnixMicro())
	b.sim = simulator.New(simulator.Config{AppID: appID, AppSecret: appSecret, Pages: map[string]string{graphPage: pageToken}, Clock: b.now})
	server := httptest.NewServer(b.sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(b.sim.Close)
	box, err := seal.New(bytes.Repeat([]byte{3}, seal.MinSecret))
	require.NoError(t, err)
	b.pages = page.NewStore(d, box, b.now)
	log := slog.New(slog.NewTextHandler(&b.logs, nil))
	b.queue = queue.New(d, log)
	p := health.Parts{DB: d, Queue: b.queue, Pages: b.pages, App: appID, Log: log, Now: b.now}
	b.graph = server.URL + "/graph"
	p.Graph = b.client(appSecret)
	if change != nil {
		change(&p)
	}
	b.Service = health.New(p)
	require.NoError(t, b.queue.Open())
	return b
}

func (b *bundle) client(secret string) *messenger.Client {
	b.t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	b.t.Cleanup(transport.CloseIdleConnections)
	c, err := messenger.New(messenger.Settings{GraphURL: b.graph, GraphVersion: "v25.0", AppID: appID, AppSecret: secret, VerifyToken: "v"}, transport)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

func (b *bundle) add() page.Page {
	b.t.Helper()
	p, err := b.Add(b.t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", AccessToken: pageToken})
	require.NoError(b.t, err)
	b.drain()
	return b.get(p.ID)
}

func (b *bundle) get(id uuid.UUID) page.Page {
	b.t.Helper()
	p, err := b.pages.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return p
}

func (b *bundle) check(id uuid.UUID) (page.Page, []string) {
	b.t.Helper()
	p, err := b.Check(b.t.Context(), id)
	require.NoError(b.t, err)
	codes := []string{}
	for _, problem := range p.Problems(b.now()) {
		codes = append(codes, problem.Code)
	}
	return p, codes
}

func everyField() []string {
	return slices.Sorted(slices.Values(slices.Concat(page.NeededFields(), page.UsefulFields())))
}

func TestAPageIsConnectedWhenItIsAdded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		b.sim.SetUpPage(graphPage, simulator.PageSetup{NoGetStarted: true})
		p := b.add()
		require.Equal(t, everyField(), b.sim.Subscription(graphPage))
		require.Equal(t, page.TokenWorks, p.TokenHealth)
		require.Equal(t, page.GetStartedSet, p.Health.GetStarted)
		require.NotNil(t, p.Health.RepairedAt)
		require.Empty(t, p.Problems(b.now()))
		payload, r := b.Graph.GetStarted(t.Context(), channel.Page{GraphID: graphPage, AccessToken: pageToken})
		require.Equal(t, channel.Accepted, r.Outcome)
		require.Equal(t, "GET_STARTED", payload)
	})
}

func TestTheHourlyCheckRepairsASubscriptionAndKeepsWhatElseIsInIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p := b.add()
		first := *p.Health.RepairedAt
		b.sim.SetSubscription(graphPage, "feed", "messages")
		b.advance(time.Hour)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return b.queue.Insert(t.Context(), tx, queue.Order{Args: health.CheckAll{}, Queue: queue.Upkeep})
		}))
		b.drain()
		require.Equal(t, slices.Sorted(slices.Values(append(everyField(), "feed"))), b.sim.Subscription(graphPage))
		require.True(t, b.get(p.ID).Health.RepairedAt.After(first))
		again := *b.get(p.ID).Health.RepairedAt
		b.advance(time.Hour)
		p, _ = b.check(p.ID)
		require.Equal(t, again, *p.Health.RepairedAt, "nothing is written to Meta that is right")
	})
}

func TestAFieldThatNeedsAPermissionDoesNotKeepTheOthersAway(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		b.sim.SetUpPage(graphPage, simulator.PageSetup{Denied: []string{"message_template_status_update"}})
		p := b.add()
		_, codes := b.check(p.ID)
		require.Equal(t, []string{"fields_missing_useful"}, codes)
		require.Equal(t, slices.Sorted(slices.Values(page.NeededFields())), b.sim.Subscription(graphPage))
		b.sim.SetUpPage(graphPage, simulator.PageSetup{Denied: []string{"messages"}})
		b.sim.SetSubscription(graphPage)
		_, codes = b.check(p.ID)
		require.Equal(t, []string{"fields_missing"}, codes)
	})
}

func TestWhatACheckSeesOfTheAccessToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setup simulator.PageSetup
		parts func(*health.Parts)
		want  string
		state page.TokenState
	}{
		"revoked":       {setup: simulator.PageSetup{Revoked: true}, want: "token_refused", state: page.TokenRefused},
		"no permission": {setup: simulator.PageSetup{Scopes: []string{"pages_messaging"}}, want: "scopes_missing", state: page.TokenWorks},
		"ends soon":     {setup: simulator.PageSetup{Expires: time.Now().Add(time.Hour)}, want: "token_expires", state: page.TokenWorks},
		"other app":     {parts: func(p *health.Parts) { p.App = "78" }, want: "token_of_other_app", state: page.TokenWorks},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d, c.parts)
				b.sim.SetUpPage(graphPage, c.setup)
				p, codes := b.check(b.add().ID)
				require.Equal(t, []string{c.want}, codes)
				require.Equal(t, c.state, p.TokenHealth)
				require.NotContains(t, b.logs.String(), pageToken)
			})
		})
	}
}

func TestATokenOfAnotherPageIsToldAndChangesNothingThere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p, err := b.Add(t.Context(), page.Draft{FacebookPageID: "2002", Name: "Other", AccessToken: pageToken})
		require.NoError(t, err)
		_, codes := b.check(p.ID)
		require.Equal(t, []string{"token_of_other_page"}, codes)
		require.Empty(t, b.sim.Subscription(graphPage))
	})
}

func TestWhenGraphIsAwayNothingIsTakenForWrong(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, func(p *health.Parts) {
			gone := httptest.NewServer(http.NotFoundHandler())
			gone.Close()
			var err error
			p.Graph, err = messenger.New(messenger.Settings{GraphURL: gone.URL, GraphVersion: "v25.0", AppSecret: appSecret}, nil)
			require.NoError(t, err)
		})
		p, codes := b.check(b.add().ID)
		require.Equal(t, []string{"check_failed"}, codes)
		require.Equal(t, page.TokenUnknown, p.TokenHealth)
	})
}

func TestWhoRemovesAPageEndsItsWebhook(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p := b.add()
		require.NoError(t, b.Remove(t.Context(), p.ID))
		require.NotEmpty(t, b.sim.Subscription(graphPage))
		b.drain()
		require.Empty(t, b.sim.Subscription(graphPage))

		p = b.add()
		require.NoError(t, b.Remove(t.Context(), p.ID))
		b.add() // both jobs run now
		require.Equal(t, everyField(), b.sim.Subscription(graphPage), "a page that is there again stays subscribed")
		require.True(t, fault.Is(b.Remove(t.Context(), uuid.New()), fault.NotFound))
	})
}

func TestEventsAreHeardAndMetasWordIsHeeded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p := b.add()
		hear := func(events ...channel.Event) {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return b.Hear(context.Background(), tx, channel.Heard{Page: p.ID, Events: events})
			}))
		}
		hear(channel.Event{Kind: channel.EventRead})
		require.Equal(t, b.now(), b.get(p.ID).Health.LastEventAt.UTC())
		block := channel.Event{Kind: channel.EventPolicy, Status: channel.StatusBlock, Reason: "too\x00 much", At: b.now()}
		unblock := channel.Event{Kind: channel.EventPolicy, Status: channel.StatusUnblock, At: b.now().Add(time.Second)}
		hear(unblock, block, channel.Event{Kind: channel.EventPolicy, Status: "something new"})
		require.Equal(t, channel.StatusUnblock, b.get(p.ID).Health.Policy)
		block.At = unblock.At.Add(time.Second)
		hear(block)
		require.True(t, b.get(p.ID).Health.Blocked())
		require.Equal(t, "too much", b.get(p.ID).Health.PolicyReason)
	})
}

func TestWithoutMessengerThereIsNothingToCheck(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, func(p *health.Parts) { p.Graph = nil })
		p := b.add()
		_, err := b.Check(t.Context(), p.ID)
		require.True(t, fault.HasCode(err, "channel_absent"), "%v", err)
		_, err = b.Check(t.Context(), uuid.New())
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
		require.NoError(t, b.Remove(t.Context(), p.ID))
		b.drain()
	})
}

func TestAWrongSecretOfTheAppIsNotTakenForADeadToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p := b.add()
		b.Graph = b.client("another-secret")
		p, codes := b.check(p.ID)
		require.Equal(t, []string{"check_failed"}, codes)
		require.Equal(t, page.TokenWorks, p.TokenHealth)
		var stopped int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM lines WHERE stopped_at IS NOT NULL").Scan(&stopped).Error)
		require.Zero(t, stopped)
	})
}

func TestTheUseOfGraphsLimitsIsShown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, nil)
		p := b.add()
		b.sim.SetFaults(simulator.Graph, simulator.Faults{Usage: 85})
		p, codes := b.check(p.ID)
		require.Equal(t, 85, p.Health.Load)
		require.Equal(t, []string{"usage_high"}, codes)
	})
}

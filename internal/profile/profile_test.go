package profile_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/page"
	"beckon/internal/profile"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/simulator"
)

const graphPage, secret = "1001", "app-secret"

// bundle is the service with Messenger's own client, in front of the simulator.
type bundle struct {
	t        *testing.T
	d        *db.DB
	q        *queue.Queue
	sim      *simulator.Simulator
	contacts *contact.Store
	pages    *page.Store
	service  *profile.Service
	page     uuid.UUID
	clock    atomic.Int64

	calls  atomic.Int32
	client *messenger.Client
	fails  *channel.Result // instead of Graph's answer
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) Profile(ctx context.Context, p channel.Page, psid string, namesOnly bool) (channel.Profile, channel.Result) {
	b.calls.Add(1)
	if b.fails != nil {
		return channel.Profile{}, *b.fails
	}
	return b.client.Profile(ctx, p, psid, namesOnly)
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, q: queue.New(d, slog.New(slog.DiscardHandler))}
	b.clock.Store(time.Now().UnixMicro())
	b.sim = simulator.New(simulator.Config{AppSecret: secret, Pages: map[string]string{graphPage: "token"}, Clock: b.now})
	server := httptest.NewServer(b.sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(b.sim.Close)
	var err error
	b.client, err = messenger.New(messenger.Settings{GraphURL: server.URL + "/graph", GraphVersion: "v25.0", AppSecret: secret, VerifyToken: "v"}, nil)
	require.NoError(t, err)
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.MinSecret))
	require.NoError(t, err)
	b.contacts, b.pages = contact.New(d, nil, box, contact.Options{Now: b.now}), page.NewStore(d, box, b.now)
	b.service = profile.New(profile.Parts{DB: d, Queue: b.q, Pages: b.pages, Contacts: b.contacts, Reader: b, Now: b.now,
		Wait: func(context.Context, time.Duration) {}})
	require.NoError(t, b.q.Open())
	p, err := b.pages.Create(t.Context(), page.Draft{FacebookPageID: graphPage, Name: "p", AccessToken: "token"})
	require.NoError(t, err)
	b.page = p.ID
	b.sim.AddPeople(graphPage, 30)
	return b
}

// wrote makes people who wrote to the page, as the inbox does.
func (b *bundle) wrote(psids ...string) map[string]uuid.UUID {
	b.t.Helper()
	var people map[string]uuid.UUID
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) (err error) {
		if people, err = b.contacts.FindOrMake(b.t.Context(), tx, b.page, psids); err != nil {
			return err
		}
		return b.service.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, People: people})
	}))
	return people
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.q.Drain(b.t.Context(), time.Now()))
}

func (b *bundle) contact(id uuid.UUID) contact.Contact {
	b.t.Helper()
	c, err := b.contacts.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) states() map[string]int {
	b.t.Helper()
	var rows []struct {
		State string
		N     int
	}
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT state, COUNT(*) AS n FROM profile_fetches GROUP BY state").Scan(&rows).Error)
	out := map[string]int{}
	for _, r := range rows {
		out[r.State] = r.N
	}
	return out
}

func (b *bundle) knows(state page.State) {
	b.t.Helper()
	p, err := b.pages.Get(b.t.Context(), b.page)
	require.NoError(b.t, err)
	require.Equal(b.t, state, p.Capabilities[page.Profile].State)
}

func TestPeopleGetTheNamesTheyShowOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.SetProfile(graphPage, "psid-1", simulator.Profile{FirstName: "Anna", LastName: "Ek", Locale: "en_GB", TimeZone: 5.5})
		b.sim.SetProfile(graphPage, "psid-2", simulator.Profile{FirstName: "Ben", TimeZone: 1})
		people := b.wrote("psid-1", "psid-2", "psid-3")
		b.wrote("psid-1", "psid-2", "psid-3")
		b.drain()
		anna, ben := b.contact(people["psid-1"]), b.contact(people["psid-2"])
		require.Equal(t, []string{"Anna", "Ek", "en-GB", "Asia/Kolkata"}, []string{anna.FirstName, anna.LastName, anna.Locale, anna.TimeZone})
		require.Equal(t, []string{"Ben", "", "", ""}, []string{ben.FirstName, ben.LastName, ben.Locale, ben.TimeZone}, "an hour from UTC may be anywhere")
		require.Equal(t, map[string]int{"done": 2, "none": 1}, b.states())
		b.knows(page.Works)
		require.EqualValues(t, 3, b.calls.Load())
		b.wrote("psid-3")
		b.drain()
		require.EqualValues(t, 3, b.calls.Load(), "who shows nothing is not asked for again")
	})
}

func TestWhatTheCRMSaidStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.SetProfile(graphPage, "psid-1", simulator.Profile{FirstName: "Anna", LastName: "Ek", Locale: "en_GB", TimeZone: 5.5})
		id := b.wrote("psid-1")["psid-1"]
		_, err := b.contacts.Patch(t.Context(), id, contact.Draft{LastName: contact.Of("Oak"), TimeZone: contact.Of("Europe/Paris")})
		require.NoError(t, err)
		b.drain()
		c := b.contact(id)
		require.Equal(t, []string{"", "Oak", "en-GB", "Europe/Paris"}, []string{c.FirstName, c.LastName, c.Locale, c.TimeZone})
		b.wrote("psid-1")
		named := b.wrote("psid-2")["psid-2"]
		b.drain()
		calls := b.calls.Load()
		_, err = b.contacts.Patch(t.Context(), named, contact.Draft{FirstName: contact.Of("Zoe")})
		require.NoError(t, err)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("DELETE FROM profile_fetches").Error }))
		b.wrote("psid-2")
		b.drain()
		require.Equal(t, calls, b.calls.Load(), "who has a name is not asked for")
	})
}

func TestWhatIsBarredIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.SetProfile(graphPage, "psid-1", simulator.Profile{FirstName: "Anna", Locale: "en_GB"})
		b.sim.BarProfiles(graphPage, "locale", "timezone")
		anna := b.wrote("psid-1")["psid-1"]
		b.drain()
		require.Equal(t, "Anna", b.contact(anna).FirstName, "the names alone")
		b.knows(page.Works)
		b.sim.BarProfiles(graphPage, "first_name")
		b.wrote("psid-2", "psid-3", "psid-4")
		calls := b.calls.Load()
		b.drain()
		require.Equal(t, calls+2, b.calls.Load(), "one person shows it")
		b.knows(page.Off)
		b.wrote("psid-5")
		b.drain()
		require.Equal(t, calls+2, b.calls.Load())
		require.Equal(t, map[string]int{"done": 1}, b.states())
	})
}

func TestProfilesThatCannotBeReadNowArePutOff(t *testing.T) {
	t.Parallel()
	for name, res := range map[string]channel.Result{
		"throttled":      {Outcome: channel.TryLater, Code: "4", Throttled: true, RetryAfter: time.Minute},
		"nobody knows":   {Outcome: channel.Unknown},
		"token refused":  {Outcome: channel.StopTheLine, Code: "190"},
		"not to be read": {Outcome: channel.Refused, Code: "100/33"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				b.sim.SetProfile(graphPage, "psid-2", simulator.Profile{FirstName: "Ben"})
				b.fails = &res
				people := b.wrote("psid-2", "psid-3")
				b.drain()
				b.knows(page.Unknown)
				if res.Outcome == channel.Refused {
					require.Equal(t, map[string]int{"none": 2}, b.states())
					return
				}
				require.EqualValues(t, 1, b.calls.Load(), "the others are not tried")
				b.fails = nil
				require.NoError(t, b.service.Again(t.Context()))
				b.drain()
				require.EqualValues(t, 1, b.calls.Load(), "not yet")
				b.clock.Add((15 * time.Minute).Microseconds())
				require.NoError(t, b.service.Again(t.Context()))
				b.drain()
				require.Equal(t, "Ben", b.contact(people["psid-2"]).FirstName)
				require.Equal(t, map[string]int{"done": 1, "none": 1}, b.states())
			})
		})
	}
}

// A page that never gets better is not asked for ever, and a dead node's people
// are taken up by another.
func TestNobodyIsAskedForWithoutEnd(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.fails = &channel.Result{Outcome: channel.Unknown}
		b.wrote("psid-1")
		for range 8 {
			require.NoError(t, b.service.Again(t.Context()))
			b.drain()
			b.clock.Add((15 * time.Minute).Microseconds())
		}
		require.EqualValues(t, 5, b.calls.Load())
		require.Equal(t, map[string]int{"none": 1}, b.states())
	})
}

func TestErasingAPersonLeavesNothingToAskFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.wrote("psid-1")["psid-1"]
		require.NoError(t, b.contacts.Erase(t.Context(), id))
		require.Empty(t, b.states())
		b.drain()
		require.Zero(t, b.calls.Load())
	})
}

// However many people write, the jobs that ask for them stay few.
func TestAPageHasOneJobHoweverManyWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.wrote("psid-1", "psid-2")
		b.wrote("psid-3")
		b.wrote("psid-4", "psid-1")
		var jobs int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM river_job WHERE kind = 'profile.read'").Scan(&jobs).Error)
		require.Equal(t, 1, jobs)
		b.drain()
		require.EqualValues(t, 4, b.calls.Load())
		b.wrote("psid-5")
		b.drain()
		require.EqualValues(t, 5, b.calls.Load())
	})
}

package page_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
)

func (b *bundle) learn(t *testing.T, id uuid.UUID, name page.Capability, state page.State, how page.How) {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return page.Learn(tx, id, name, state, how, b.now) }))
}

func (b *bundle) tried(t *testing.T, id uuid.UUID, lane channel.Lane, accepted, dead int) {
	t.Helper()
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error { return b.store.Tried(tx, id, lane, accepted, dead) }))
}

func (b *bundle) says(t *testing.T, id uuid.UUID, name page.Capability, state page.State) {
	t.Helper()
	_, err := b.store.Patch(t.Context(), id, page.Patch{Capabilities: map[page.Capability]page.State{name: state}})
	require.NoError(t, err)
}

func (b *bundle) known(t *testing.T, id uuid.UUID, name page.Capability) page.Known {
	t.Helper()
	p, err := b.store.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, p.Capabilities, len(page.Capabilities()))
	return p.Capabilities[name]
}

func (b *bundle) told(t *testing.T) int {
	t.Helper()
	return b.count(t, "SELECT COUNT(*) FROM events WHERE type = 'page.capability_changed'")
}

func TestCapabilityIsLearntOnceAndToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p, other := b.create(t, "1"), b.create(t, "2")
		at := b.now.UTC().Truncate(time.Microsecond)
		b.learn(t, p.ID, page.Utility, page.Works, page.BySend)
		b.now = b.now.Add(time.Hour)
		b.learn(t, p.ID, page.Utility, page.Works, page.ByGraph)
		require.Equal(t, page.Known{State: page.Works, How: page.BySend, At: at}, b.known(t, p.ID, page.Utility))
		require.Equal(t, page.Known{State: page.Unknown}, b.known(t, p.ID, page.OneTime))
		require.Equal(t, page.Known{State: page.Unknown}, b.known(t, other.ID, page.Utility))
		require.Equal(t, 1, b.told(t))
		b.learn(t, p.ID, page.Utility, page.Off, page.ByGraph)
		require.Equal(t, page.Off, b.known(t, p.ID, page.Utility).State)
		require.Equal(t, 2, b.told(t))

		list, err := b.store.List(t.Context(), uuid.Nil, 5)
		require.NoError(t, err)
		require.Equal(t, page.Unknown, list[0].Capabilities[page.Utility].State)
		require.Equal(t, page.Off, list[1].Capabilities[page.Utility].State)
	})
}

func TestWhatAnOperatorSaidYieldsToASelfTestOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.create(t, "1")
		b.says(t, p.ID, page.OneTime, page.Off)
		for _, how := range []page.How{page.BySend, page.ByGraph, page.ByRegion} {
			b.learn(t, p.ID, page.OneTime, page.Works, how)
		}
		b.tried(t, p.ID, channel.OneTime, 1, 0)
		require.Equal(t, page.Off, b.known(t, p.ID, page.OneTime).State)
		require.Equal(t, page.ByOperator, b.known(t, p.ID, page.OneTime).How)
		b.learn(t, p.ID, page.OneTime, page.Works, page.BySelfTest)
		require.Equal(t, page.Works, b.known(t, p.ID, page.OneTime).State)
		require.Equal(t, page.BySelfTest, b.known(t, p.ID, page.OneTime).How)

		b.says(t, p.ID, page.OneTime, page.Unknown)
		require.Equal(t, page.Known{State: page.Unknown}, b.known(t, p.ID, page.OneTime), "to be found out anew")
		b.tried(t, p.ID, channel.OneTime, 1, 0)
		require.Equal(t, page.BySend, b.known(t, p.ID, page.OneTime).How)
	})
}

func TestALaneOfTokensIsLearntFromWhatComesOfThem(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.create(t, "1")
		b.tried(t, p.ID, channel.OneTime, 0, 4)
		require.Equal(t, page.Unknown, b.known(t, p.ID, page.OneTime).State, "four dead tokens may be four dead tokens")
		b.tried(t, p.ID, channel.OneTime, 0, 1)
		require.Equal(t, page.Off, b.known(t, p.ID, page.OneTime).State)
		require.Equal(t, page.BySend, b.known(t, p.ID, page.OneTime).How)

		b.tried(t, p.ID, channel.Recurring, 1, 7)
		require.Equal(t, page.Works, b.known(t, p.ID, page.Recurring).State, "one was taken")
		b.tried(t, p.ID, channel.Recurring, 0, 50)
		require.Equal(t, page.Works, b.known(t, p.ID, page.Recurring).State, "what is known stays")

		b.tried(t, p.ID, channel.Utility, 0, 9)
		require.Equal(t, page.Unknown, b.known(t, p.ID, page.Utility).State, "it has no tokens")
		b.tried(t, p.ID, channel.Window, 1, 0)
		b.tried(t, p.ID, channel.LaneSMS, 1, 0)
		require.Equal(t, 2, b.told(t))
	})
}

func TestRecurringIsOffWhereMetaEndedIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		us, err := b.store.Create(t.Context(), page.Draft{FacebookPageID: "1", Name: "n", AccessToken: "t", Country: "US"})
		require.NoError(t, err)
		require.Equal(t, "US", us.Country)
		require.Equal(t, page.ByRegion, us.Capabilities[page.Recurring].How)
		require.Equal(t, page.Off, us.Capabilities[page.Recurring].State)
		require.Equal(t, page.Unknown, us.Capabilities[page.OneTime].State)
		lives := func(country string) page.Known {
			got, err := b.store.Patch(t.Context(), us.ID, page.Patch{Country: &country})
			require.NoError(t, err)
			return got.Capabilities[page.Recurring]
		}
		for _, country := range []string{"GB", "JP", "KR", "AU", "DE", "NO", ""} {
			require.Equal(t, page.Known{State: page.Unknown}, lives(country), country)
			require.Equal(t, page.ByRegion, lives("BR").How)
		}
		b.learn(t, us.ID, page.Recurring, page.Works, page.BySelfTest)
		require.Equal(t, page.Works, lives("US").State, "a proof is surer than a list")
		b.says(t, us.ID, page.Recurring, page.Off)
		require.Equal(t, page.ByOperator, lives("GB").How)
	})
}

func TestAPageThatIsGoneLearnsNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.create(t, "1")
		b.says(t, p.ID, page.OneTime, page.Off)
		require.NoError(t, b.store.Delete(t.Context(), p.ID))
		require.Zero(t, b.count(t, "SELECT COUNT(*) FROM capabilities"))
		err := d.Transact(t.Context(), func(tx *db.Tx) error {
			return page.Learn(tx, p.ID, page.OneTime, page.Works, page.BySend, b.now)
		})
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	})
}

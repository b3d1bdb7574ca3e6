package delivery_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

const smallLeaf = 100

// leafy is setup with leaves of a hundred deliveries.
func leafy(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := setup(t, d)
	b.SetLeafWidth(smallLeaf)
	return b
}

// another makes the campaign that is written to from here on.
func (b *bundle) another() uuid.UUID {
	b.campaign = uuid.Must(uuid.NewV7())
	b.tx(func(tx *db.Tx) error {
		return tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, 'c', ?, 'unsorted', '{}', '[]', '{}', 'running', ?, ?)`, b.campaign, b.page, b.now, b.now).Error
	})
	return b.campaign
}

func (b *bundle) end(campaign uuid.UUID, ago time.Duration) {
	b.tx(func(tx *db.Tx) error {
		return tx.Exec("UPDATE campaigns SET state = 'finished', finished_at = ? WHERE id = ?", b.now.Add(-ago), campaign).Error
	})
}

// leaves are the first numbers of the ledger's leaves; none on SQLite.
func (b *bundle) leaves() (lows []string) {
	both := map[string]int{}
	all, err := b.d.Leaves(b.ctx(), "deliveries", "attempts")
	require.NoError(b.t, err)
	for _, l := range all {
		if both[l.Low]++; both[l.Low] == 2 {
			lows = append(lows, l.Low)
		}
	}
	require.Len(b.t, all, 2*len(lows), "each leaf has its attempts beside it")
	return lows
}

func (b *bundle) rows(table string) (n int) {
	require.NoError(b.t, b.d.Read(b.ctx()).Raw("SELECT COUNT(*) FROM "+table).Scan(&n).Error)
	return n
}

const month = 30 * 24 * time.Hour

func (b *bundle) forget() {
	done, err := b.Forget(b.ctx(), b.now.Add(-month), b.now.Add(time.Hour))
	require.NoError(b.t, err)
	require.True(b.t, done)
}

func TestNumbersAlwaysHaveALeaf(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	b := leafy(t, d)
	require.Empty(t, b.leaves())
	require.NoError(t, b.Grow(t.Context()))
	require.Equal(t, []string{"0"}, b.leaves(), "ahead of the first number")
	rapid.Check(t, func(rt *rapid.T) {
		b.another()
		first := b.write(people(rapid.IntRange(1, 330).Draw(rt, "n"), channel.LaneSMS)...)
		b.SetLeafWidth(rapid.SampledFrom([]int64{smallLeaf, smallLeaf / 2, 3 * smallLeaf}).Draw(rt, "width")) // another release may have another
		require.Equal(t, first, b.get(first).ID)
	})
	require.Equal(t, b.rows("deliveries"), b.rows("deliveries WHERE id >= 1"))
}

// A block of numbers may cross into leaves that nobody made yet, from many
// plans at once; and one that is given up takes its leaf with it.
func TestPlansSideBySideMakeTheirLeaves(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := leafy(t, d)
		no := errors.New("no")
		require.ErrorIs(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			_, err := b.Write(tx, b.campaign, people(450, channel.LaneSMS))
			return errors.Join(err, no)
		}), no)
		require.Empty(t, b.leaves())
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				errs[i] = d.Transact(t.Context(), func(tx *db.Tx) error {
					_, err := b.Write(tx, b.campaign, people(130, channel.LaneSMS))
					return err
				})
			})
		}
		wg.Go(func() { require.NoError(t, b.Grow(t.Context())) })
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 8*130, b.rows("deliveries"))
	})
}

func TestInALeafEachContactHasOnePlaceInACampaign(t *testing.T) {
	t.Parallel()
	b := leafy(t, dbtest.Postgres(t))
	who := people(1, channel.LaneSMS)
	b.write(append(people(smallLeaf-2, channel.LaneSMS), who...)...)
	b.write(people(10, channel.LaneSMS)...)
	err := b.d.Transact(t.Context(), func(tx *db.Tx) error { _, err := b.Write(tx, b.campaign, append(who, who...)); return err })
	require.Equal(t, "deliveries_campaign_id_contact_id", db.DuplicateOf(err))
}

// history is one old campaign, one that spans two leaves and is old too, one
// that ended a while ago and one that runs, with attempts and receipts.
func (b *bundle) history() (old, long, young, running uuid.UUID) {
	old = b.campaign
	first := b.write(append(people(40, channel.LaneSMS), delivery.Place{Contact: uuid.Must(uuid.NewV7()), Reason: "no_consent"})...)
	for i, c := range b.claim(b.batch(channel.LaneSMS, first, first+39), 1) {
		s := accepted(c, channel.LaneSMS, fmt.Sprint("SM", i))
		if i%4 == 0 {
			s.Outcome, s.To, s.Result = channel.Refused, delivery.Failed, channel.Result{Outcome: channel.Refused, Code: "x"}
		}
		b.settle(s)
	}
	b.tx(func(tx *db.Tx) error { return b.Clicked(tx, []delivery.Seen{{Delivery: first + 1, At: b.now}}) })
	long = b.another()
	b.write(people(120, channel.LaneEmail)...)
	young = b.another()
	b.write(people(60, channel.LaneEmail)...)
	running = b.another()
	b.write(people(10, channel.LaneSMS)...)
	b.end(old, 2*month)
	b.end(long, 2*month)
	b.end(young, month/2)
	return old, long, young, running
}

func TestForgetGivesUpOldCampaignsAndKeepsTheirReports(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := leafy(t, d)
		old, long, young, running := b.history()
		reports := map[uuid.UUID]delivery.Report{}
		for _, id := range []uuid.UUID{old, long, young, running} {
			r, err := b.Report(t.Context(), id)
			require.NoError(t, err)
			reports[id] = r
		}
		require.Equal(t, 10, reports[old].LinkBack.States[delivery.Failed])
		require.Equal(t, 10, b.rows("attempts"))
		b.forget()
		b.forget()
		for id, want := range reports {
			got, err := b.Report(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for _, id := range []uuid.UUID{young, running} {
			list, err := b.List(t.Context(), delivery.Filter{Campaign: id, Limit: 1000})
			require.NoError(t, err)
			require.Len(t, list, reports[id].Audience)
		}
		list, err := b.List(t.Context(), delivery.Filter{Campaign: old, Limit: 1000})
		require.NoError(t, err)
		require.Empty(t, list)
		require.Zero(t, b.rows("attempts"))
		require.Zero(t, b.rows("batches"))
		if d.Engine() == "postgres" {
			require.Equal(t, []string{"100", "200"}, b.leaves(), "what is left of a campaign goes with its leaf")
			return
		}
		require.Equal(t, 70, b.rows("deliveries"))
	})
}

// A campaign's report counts what came of its escalation: neither is given up
// before the other is over.
func TestForgetKeepsACampaignAndItsEscalationTogether(t *testing.T) {
	t.Parallel()
	for name, endedLast := range map[string]int{"the campaign": 0, "its escalation": 1} {
		t.Run(name+" ended last", func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := leafy(t, d)
				who := people(150, channel.Window)
				pair := []uuid.UUID{b.campaign}
				b.write(who...)
				pair = append(pair, b.another())
				b.tx(func(tx *db.Tx) error {
					return tx.Exec("UPDATE campaigns SET escalation_of = ? WHERE id = ?", pair[0], pair[1]).Error
				})
				for i := range who {
					who[i].Lane = channel.LaneSMS
				}
				b.write(who...)
				b.another()
				b.write(people(1, channel.LaneSMS)...)
				want, err := b.Report(t.Context(), pair[0])
				require.NoError(t, err)
				require.Equal(t, 150, want.Escalated.Total)
				b.end(pair[endedLast], month/2)
				b.end(pair[1-endedLast], 2*month)
				b.forget()
				require.Equal(t, 301, b.rows("deliveries"))
				b.end(pair[endedLast], 2*month)
				b.forget()
				require.Less(t, b.rows("deliveries"), 150)
				got, err := b.Report(t.Context(), pair[0])
				require.NoError(t, err)
				require.Equal(t, want, got)
			})
		})
	}
}

func TestForgetDeletesRowsOfTheLeafThatIsFilling(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d) // everything is in one leaf
		old, long, _, _ := b.history()
		require.NoError(t, b.Grow(t.Context()))
		done, err := b.Forget(t.Context(), b.now.Add(-month), b.now.Add(-time.Second))
		require.NoError(t, err)
		require.False(t, done, "there was no time for it")
		require.Equal(t, 231, b.rows("deliveries"))
		b.forget()
		require.Equal(t, 70, b.rows("deliveries"))
		for id, want := range map[uuid.UUID]int{old: 41, long: 120} {
			r, err := b.Report(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, r.Audience)
		}
	})
}

// A plan that has taken numbers of a leaf and not committed yet keeps it.
func TestForgetKeepsALeafThatAPlanStillWritesTo(t *testing.T) {
	t.Parallel()
	b := leafy(t, dbtest.Postgres(t))
	old := b.campaign
	b.write(people(60, channel.LaneSMS)...)
	b.end(old, 2*month)
	slow := b.another()
	wrote, commit, committed := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		committed <- b.d.Transact(b.ctx(), func(tx *db.Tx) error {
			_, err := b.Write(tx, slow, people(30, channel.LaneSMS))
			close(wrote)
			<-commit
			return err
		})
	}()
	<-wrote
	b.tx(func(tx *db.Tx) error { return tx.GrowLedger(1, 2*smallLeaf, smallLeaf) }) // the next leaf is there
	b.forget()
	close(commit)
	require.NoError(t, <-committed)
	b.another()
	b.write(people(30, channel.LaneSMS)...) // and is filling now
	b.forget()
	r, err := b.Report(t.Context(), slow)
	require.NoError(t, err)
	require.Equal(t, 30, r.Audience)
	require.Equal(t, 60, b.rows("deliveries"), "the old campaign's rows were deleted while its leaf was filling")
	require.Equal(t, []string{"0", "100"}, b.leaves())
}

func TestLinksOfGivenUpDeliveriesStillLeadHome(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := leafy(t, d)
		b.history()
		first := b.rows("deliveries") + 1
		before, err := b.Home(t.Context(), 5)
		require.NoError(t, err)
		b.forget()
		after, err := b.Home(t.Context(), 5)
		require.NoError(t, err)
		require.NotEqual(t, uuid.Nil, before.ContactID)
		require.Equal(t, uuid.Nil, after.ContactID)
		after.ContactID = before.ContactID
		require.Equal(t, before, after)
		for _, id := range []int64{0, int64(first), 1 << 40} {
			_, err = b.Home(t.Context(), id)
			require.ErrorIs(t, err, delivery.ErrNone)
		}
		b.tx(func(tx *db.Tx) error {
			homes, err := b.HomesIn(tx, []int64{5})
			require.Empty(t, homes)
			return err
		})
	})
}

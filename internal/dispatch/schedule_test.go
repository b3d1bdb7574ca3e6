package dispatch_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
)

// monday is early in the morning, in London.
var monday = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// early is a bundle on that morning.
func early(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := setup(t, d, options{})
	b.clock.Store(monday.UnixMicro())
	return b
}

func byDay(p *campaign.Patch) { p.AllowedHours = json.RawMessage("null") }

func (b *bundle) heldUntil(c campaign.Campaign, who made) time.Time {
	b.t.Helper()
	d, _ := b.of(c, who)
	require.Equal(b.t, delivery.Held, d.State)
	return d.NotBefore.UTC()
}

func TestWhoeverIsAsleepIsHeldUntilTheirMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		london, tokyo := b.make(human{phone: "new"}), b.make(human{phone: "new", zone: "Asia/Tokyo"})
		york, mail := b.make(human{phone: "+12125550123"}), b.make(human{email: "new"})
		c := b.draft(byDay)

		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, dispatch.Held{Total: 2, First: monday.Add(6 * time.Hour), Last: monday.Add(11 * time.Hour)}, p.Held)

		b.start(c)
		b.drain()
		require.Equal(t, monday.Add(6*time.Hour), b.heldUntil(c, london))
		require.Equal(t, monday.Add(11*time.Hour), b.heldUntil(c, york), "by the number")
		for _, who := range []made{tokyo, mail} {
			d, _ := b.of(c, who)
			require.Equal(t, delivery.Accepted, d.State)
		}
		require.Equal(t, 1, b.texted())

		b.advance(6*time.Hour - time.Second)
		b.drain()
		require.Equal(t, 1, b.texted())
		b.advance(time.Second)
		b.drain()
		require.Equal(t, 2, b.texted(), "London is up")
		require.Equal(t, campaign.Running, b.state(c))
		b.advance(5 * time.Hour)
		b.drain()
		require.Equal(t, 3, b.texted(), "and New York")
		require.Equal(t, campaign.Finished, b.state(c))
		b.onceEach()
	})
}

func TestThePagesTimeZoneCountsWhereNothingElseIsKnown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		who := b.make(human{email: "new"})
		b.tx(func(tx *db.Tx) error { return tx.Exec("UPDATE pages SET time_zone = 'America/Chicago'").Error })
		c := b.draft(func(p *campaign.Patch) { p.AllowedHours = json.RawMessage(`{"email":{"from":"10:00","to":"11:00"}}`) })
		b.start(c)
		b.drain()
		require.Equal(t, monday.Add(13*time.Hour), b.heldUntil(c, who))
	})
}

func TestALocalStartGoesRoundTheWorld(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		kiritimati, london, york := b.make(human{email: "new", zone: "Pacific/Kiritimati"}), b.make(human{email: "new", zone: "Europe/London"}), b.make(human{email: "new", zone: "America/New_York"})
		start, local := monday.Add(20*time.Hour), true // 23:00 on everybody's wall
		c := b.draft(func(p *campaign.Patch) { p.StartsAt, p.StartsLocal = &start, &local })
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, dispatch.Held{Total: 2, First: start, Last: start.Add(5 * time.Hour)}, p.Held)
		b.start(c)
		b.drain()
		require.Equal(t, campaign.Scheduled, b.state(c))
		require.Zero(t, b.report(c).Audience)
		for i, who := range []made{kiritimati, london, york} {
			b.advance([]time.Duration{6 * time.Hour, 14 * time.Hour, 5 * time.Hour}[i])
			b.drain()
			got, _ := b.of(c, who)
			require.Equal(t, delivery.Accepted, got.State)
			require.Equal(t, i+1, b.report(c).LinkBack.States[delivery.Accepted])
		}
		require.Equal(t, campaign.Finished, b.state(c))
	})
}

// ending is a draft whose deadline comes an hour from now.
func (b *bundle) ending(change func(*campaign.Patch)) campaign.Campaign {
	end := b.now().Add(time.Hour)
	return b.draft(func(p *campaign.Patch) {
		p.EndsAt = &end
		if change != nil {
			change(p)
		}
	})
}

func TestAtTheDeadlineWhatIsHeldIsGivenUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		for range 70 {
			b.make(human{phone: "new"})
		}
		b.make(human{email: "new"})
		c := b.ending(byDay)
		p, err := b.engine.Preview(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, 70, p.Held.Late)
		b.start(c)
		b.drain()
		require.Equal(t, 70, b.report(c).LinkBack.States[delivery.Held])
		b.advance(time.Hour)
		b.drain()
		require.Equal(t, map[delivery.State]int{delivery.Expired: 70, delivery.Accepted: 1}, b.report(c).LinkBack.States)
		require.Equal(t, campaign.Finished, b.state(c))
		b.advance(24 * time.Hour)
		b.drain()
		require.Zero(t, b.texted())
	})
}

func TestTheDeadlineEndsAPauseAndNobodyIsSentAnything(t *testing.T) {
	t.Parallel()
	for name, planned := range map[string]bool{"before planning": false, "after planning": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := early(t, d)
				for range 60 {
					b.make(human{email: "new"})
				}
				b.make(human{})
				c := b.ending(nil)
				b.start(c)
				if planned {
					require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
				}
				_, err := b.campaigns.Pause(t.Context(), c.ID)
				require.NoError(t, err)
				b.drain()
				require.Equal(t, campaign.Paused, b.state(c))
				b.advance(time.Hour)
				b.drain()
				r := b.report(c)
				require.Equal(t, map[delivery.State]int{delivery.Expired: 60}, r.LinkBack.States)
				require.Equal(t, 1, r.Unreachable.Total)
				require.Equal(t, campaign.Finished, b.state(c))
			})
		})
	}
}

func TestTheDeadlineLeavesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		who := b.make(human{email: "new"})
		b.make(human{phone: "new"})
		c := b.ending(nil)
		b.start(c)
		require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
		b.tx(func(tx *db.Tx) error {
			return tx.Exec("UPDATE deliveries SET state = 'sending', attempt = 1 WHERE contact_id = ?", who.id).Error
		})
		b.advance(time.Hour)
		b.tx(func(tx *db.Tx) error {
			last, err := b.ledger.End(tx, c.ID, uuid.Nil, delivery.Expired)
			require.NotZero(t, last)
			return err
		})
		require.Equal(t, map[delivery.State]int{delivery.Sending: 1, delivery.Expired: 1}, b.report(c).LinkBack.States)
		var open []string
		require.NoError(t, d.Read(t.Context()).Raw("SELECT lane FROM batches WHERE finished_at IS NULL").Scan(&open).Error)
		require.Equal(t, []string{string(channel.LaneEmail)}, open)
	})
}

// TestAPageIsPlannedInAFixedNumberOfStatements wherever its people live.
func TestAPageIsPlannedInAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/London", "America/New_York", "America/Denver", "Asia/Tokyo", "Australia/Perth", "Asia/Kolkata"}
	plan := func(n int) (statements int64) {
		var count atomic.Int64
		d, err := db.Open(t.Context(), db.Options{Dir: t.TempDir(), Statements: func(sql string) {
			if !strings.Contains(sql, "river_") {
				count.Add(1)
			}
		}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		require.NoError(t, d.Migrate(t.Context()))
		b := early(t, d)
		for i := range n {
			b.make(human{phone: "new", zone: zones[i%len(zones)]})
		}
		c := b.draft(byDay)
		b.start(c)
		count.Store(0)
		require.NoError(t, b.engine.PlanNow(t.Context(), c.ID))
		require.Equal(t, n, b.report(c).Audience)
		return count.Load()
	}
	require.Equal(t, plan(1), plan(40))
}

package campaign_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/hours"
)

// scheduled is a campaign with both sides, changed as the test likes.
func scheduled(t *testing.T, change func(*campaign.Campaign)) (*campaign.Definition, error) {
	t.Helper()
	c := written(t, everything, channel.Window, channel.LaneSMS, channel.LaneEmail)
	change(&c)
	return c.Define(school)
}

func later(d time.Duration) *time.Time { return ptr(noon.Add(d)) }

func TestDefineTellsEachMistakeInTheSchedule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*campaign.Campaign)
		want   string
	}{
		"ends at its start":      {func(c *campaign.Campaign) { c.StartsAt, c.EndsAt = later(0), later(0) }, "/ends_at before_start"},
		"local without a time":   {func(c *campaign.Campaign) { c.StartsLocal = true }, "/starts_local needs_starts_at"},
		"ends before the first":  {func(c *campaign.Campaign) { c.StartsAt, c.StartsLocal, c.EndsAt = later(0), true, later(-14*time.Hour) }, "/ends_at before_start"},
		"hours":                  {func(c *campaign.Campaign) { c.AllowedHours = ptr(`{"sms": 1}`) }, "/allowed_hours/sms type"},
		"no hour":                {func(c *campaign.Campaign) { c.EscalateAfterHours = -1 }, "/escalate_after_hours out_of_range"},
		"too many hours":         {func(c *campaign.Campaign) { c.EscalateAfterHours = campaign.MostEscalateHours + 1 }, "/escalate_after_hours out_of_range"},
		"nothing to escalate to": {func(c *campaign.Campaign) { c.EscalateAfterHours, c.Route = 4, `["window"]` }, "/escalate_after_hours needs_both"},
		"only before":            {func(c *campaign.Campaign) { c.EscalateAfterHours, c.Route = 4, `["sms","window"]` }, "/escalate_after_hours needs_both"},
		"nothing to listen on":   {func(c *campaign.Campaign) { c.EscalateAfterHours, c.Route = 4, `["sms"]` }, "/escalate_after_hours needs_both"},
	} {
		_, err := scheduled(t, c.change)
		require.Equal(t, []string{c.want}, mistakes(t, err), name)
	}
	for name, change := range map[string]func(*campaign.Campaign){
		"a deadline alone":              func(c *campaign.Campaign) { c.EndsAt = later(0) },
		"a deadline for half the world": func(c *campaign.Campaign) { c.StartsAt, c.StartsLocal, c.EndsAt = later(0), true, later(-time.Hour) },
		"everything": func(c *campaign.Campaign) {
			c.StartsAt, c.EndsAt, c.EscalateAfterHours = later(0), later(time.Hour), 720
		},
	} {
		_, err := scheduled(t, change)
		require.NoError(t, err, name)
	}
}

func TestAContactIsWrittenToAfterTheirStartAndInsideTheirHours(t *testing.T) {
	t.Parallel()
	atlas := hours.NewAtlas()
	def, err := scheduled(t, func(c *campaign.Campaign) {
		c.StartsAt, c.StartsLocal, c.EndsAt = later(-5*time.Hour), true, later(30*time.Hour) // at 07:00 on everybody's wall
	})
	require.NoError(t, err)
	at := func(lane channel.Lane, after time.Duration, zone string) string {
		when := def.NotBefore(lane, noon.Add(after), atlas.Zone(zone, "", ""))
		if when.IsZero() {
			return "now"
		}
		return when.Format("02 15:04")
	}
	require.Equal(t, "now", at(channel.Window, 0, "Europe/London"))
	require.Equal(t, "22 15:00", at(channel.Window, 0, "America/Los_Angeles"), "07:00 there")
	require.Equal(t, "22 17:00", at(channel.LaneSMS, 0, "America/Los_Angeles"), "text messages wait for 09:00")
	require.Equal(t, "23 00:00", at(channel.LaneSMS, 0, "Asia/Tokyo"), "21:00 is too late")
	require.Equal(t, "now", at(channel.LaneEmail, 0, "Asia/Tokyo"))
	require.Equal(t, "now", at(channel.LaneSMS, 5*time.Hour, "America/Los_Angeles"))

	require.Equal(t, noon.Add(-19*time.Hour), def.Begins())
	require.Equal(t, noon.Add(8*time.Hour), def.Closes(channel.LaneSMS, noon, atlas.Zone("Europe/London", "", "")), "until 20:00")
	require.Equal(t, noon.Add(30*time.Hour), def.Closes(channel.LaneSMS, noon.Add(28*time.Hour), atlas.Zone("America/New_York", "", "")), "until the deadline")
	require.Equal(t, noon.Add(30*time.Hour), def.Closes(channel.LaneEmail, noon, nil))
	require.Equal(t, noon.Add(10*time.Hour), def.Closes(channel.LaneSMS, noon.Add(10*time.Hour), nil), "never without limit")
	require.False(t, def.Over(noon.Add(30*time.Hour-1)))
	require.True(t, def.Over(noon.Add(30*time.Hour)))
}

func TestACampaignWithoutAScheduleHasNoLimits(t *testing.T) {
	t.Parallel()
	def, err := scheduled(t, func(c *campaign.Campaign) { c.AllowedHours = ptr("{}") })
	require.NoError(t, err)
	require.Zero(t, def.NotBefore(channel.LaneSMS, noon.Add(12*time.Hour), nil))
	require.Zero(t, def.Closes(channel.LaneSMS, noon, nil))
	require.Zero(t, def.Begins())
	require.False(t, def.Over(noon.AddDate(100, 0, 0)))
}

func TestTheScheduleIsKeptAsItWasWritten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.patch(content.Source{Messenger: chat, SMS: text})
		there := time.FixedZone("", -5*3600)
		start, end := time.Date(2026, 11, 27, 9, 30, 0, 0, there), time.Date(2026, 11, 29, 9, 30, 0, 0, there)
		p.StartsAt, p.EndsAt, p.AllowedHours, p.EscalateAfterHours = &start, &end, json.RawMessage(`{"sms": {"from": "10:00", "to": "11:00"}}`), ptr(24)
		c, _, err := b.Create(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, start.UTC(), c.StartsAt.UTC())
		require.Equal(t, end.UTC(), c.EndsAt.UTC())
		require.JSONEq(t, `{"sms": {"from": "10:00", "to": "11:00"}}`, *c.AllowedHours)
		require.Equal(t, 24, c.EscalateAfterHours)

		c, _, err = b.Update(t.Context(), c.ID, campaign.Patch{StartsAt: &start, StartsLocal: ptr(true)})
		require.NoError(t, err)
		require.Equal(t, time.Date(2026, 11, 27, 9, 30, 0, 0, time.UTC), c.StartsAt.UTC(), "half past nine, wherever it was written")
		c, def, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Autumn")})
		require.NoError(t, err)
		require.Equal(t, time.Date(2026, 11, 27, 9, 30, 0, 0, time.UTC), def.StartsAt, "what is not named stays")

		c, _, err = b.Update(t.Context(), c.ID, campaign.Patch{StartsAt: &time.Time{}, StartsLocal: ptr(false), EndsAt: &time.Time{}, AllowedHours: json.RawMessage("null"), EscalateAfterHours: ptr(0)})
		require.NoError(t, err)
		require.Nil(t, c.StartsAt)
		require.Nil(t, c.EndsAt)
		require.Nil(t, c.AllowedHours)
		require.Zero(t, c.EscalateAfterHours)
	})
}

func (b *bundle) timed(change func(*campaign.Patch)) campaign.Campaign {
	b.t.Helper()
	p := b.patch(content.Source{Messenger: chat, SMS: text})
	change(&p)
	c, _, err := b.Create(b.t.Context(), p)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

func TestACampaignWithAStartAheadBeginsByItself(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i, ahead := range []time.Duration{20 * time.Hour, 6 * time.Hour} {
			local := i == 1
			b.clock.Store(noon.UnixMicro())
			c := b.timed(func(p *campaign.Patch) { p.StartsAt, p.StartsLocal = later(20*time.Hour), ptr(local) })
			c, err := b.Start(t.Context(), c.ID)
			require.NoError(t, err)
			require.Equal(t, campaign.Scheduled, c.State)
			require.Nil(t, c.StartedAt)
			_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Another")})
			require.True(t, fault.HasCode(err, "campaign_frozen"))
			for _, move := range []func() error{
				func() error { _, err := b.Start(t.Context(), c.ID); return err },
				func() error { _, err := b.Pause(t.Context(), c.ID); return err },
				func() error { _, err := b.Resume(t.Context(), c.ID); return err },
			} {
				require.True(t, fault.HasCode(move(), "wrong_state"))
			}

			b.advance(ahead - time.Second)
			b.drain()
			require.Equal(t, campaign.Scheduled, b.get(c.ID).State)
			last := b.contact()
			b.advance(time.Second)
			b.drain()
			c = b.get(c.ID)
			require.Equal(t, campaign.Running, c.State)
			require.Equal(t, noon.Add(ahead), c.StartedAt.UTC())
			require.Equal(t, last, *c.PlannedUntil, "who came before the start is in the audience")
			require.Equal(t, i+1, b.count(planJobs))
			require.NoError(t, b.Begin(t.Context(), c.ID), "begins once")
			require.Equal(t, i+1, b.count(planJobs))
		}
	})
}

func TestAScheduledCampaignCanBeCancelled(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.timed(func(p *campaign.Patch) { p.StartsAt = later(time.Hour) })
		_, err := b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		_, err = b.Cancel(t.Context(), c.ID)
		require.NoError(t, err)
		b.advance(2 * time.Hour)
		b.drain()
		require.Equal(t, campaign.Cancelled, b.get(c.ID).State)
		require.Zero(t, b.count(planJobs))
	})
}

func TestAStartThatHasPassedIsAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.timed(func(p *campaign.Patch) {
			p.StartsAt, p.StartsLocal, p.EndsAt = later(13*time.Hour), ptr(true), later(time.Hour)
		})
		c, err := b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Running, c.State, "in the east it is that late already")
		require.Equal(t, 1, b.count("river_job WHERE kind = 'campaign.end'"))
	})
}

func TestNothingStartsAfterItsDeadline(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.timed(func(p *campaign.Patch) { p.EndsAt = later(time.Hour) })
		b.advance(time.Hour)
		_, err := b.Start(t.Context(), c.ID)
		require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "deadline_passed"), "%v", err)
		require.Equal(t, []string{"/ends_at deadline_passed"}, mistakes(t, err))
		require.Equal(t, campaign.Draft, b.get(c.ID).State)
	})
}

func TestADeadlineEndsAPause(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.timed(func(p *campaign.Patch) { p.EndsAt = later(time.Hour) })
		_, err := b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		_, err = b.Pause(t.Context(), c.ID)
		require.NoError(t, err)
		require.NoError(t, b.EndPause(t.Context(), c.ID))
		require.Equal(t, campaign.Paused, b.get(c.ID).State, "not yet")
		b.advance(time.Hour)
		require.NoError(t, b.EndPause(t.Context(), c.ID))
		require.Equal(t, campaign.Running, b.get(c.ID).State)
		require.NoError(t, b.EndPause(t.Context(), uuid.New()), "one that is gone")
	})
}

// TestTheEdgesOfWhenATextMayArrive: whenever a text may go out, it has long enough
// to arrive, and is given up at the very moment its hours or its campaign end.
func TestTheEdgesOfWhenATextMayArrive(t *testing.T) {
	t.Parallel()
	atlas := hours.NewAtlas()
	rapid.Check(t, func(rt *rapid.T) {
		zone := atlas.Zone(rapid.SampledFrom([]string{"Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"}).Draw(rt, "zone"), "", "")
		from, to := rapid.IntRange(0, 1439).Draw(rt, "from"), rapid.IntRange(0, 1439).Draw(rt, "to")
		if from == to {
			to = (to + 1) % 1440
		}
		deadline := noon.Add(time.Duration(rapid.Int64Range(0, 3*24*3600).Draw(rt, "deadline")) * time.Second)
		def, err := scheduled(t, func(c *campaign.Campaign) {
			c.AllowedHours = ptr(fmt.Sprintf(`{"sms": {"from": "%02d:%02d", "to": "%02d:%02d"}}`, from/60, from%60, to/60, to%60))
			if rapid.Bool().Draw(rt, "ends") {
				c.EndsAt = &deadline
			}
		})
		require.NoError(rt, err)
		now := noon.Add(time.Duration(rapid.Int64Range(0, 3*24*3600).Draw(rt, "now")) * time.Second)
		if rapid.Bool().Draw(rt, "at an edge") {
			now = def.Hours.Next(channel.LaneSMS, now, zone)
			left, _ := def.Hours.Left(channel.LaneSMS, now, zone)
			now = now.Add(left - time.Duration(rapid.Int64Range(-15, 15).Draw(rt, "seconds"))*time.Second)
		}
		if def.Over(now) {
			return
		}
		at := def.NotBefore(channel.LaneSMS, now, zone)
		if !at.IsZero() {
			require.True(rt, at.After(now))
			closes := def.Closes(channel.LaneSMS, at, zone)
			require.True(rt, def.Over(at) || !def.TooLate(channel.LaneSMS, at, closes) || closes.Equal(def.EndsAt), "who waits until then does not wait again")
			return
		}
		closes := def.Closes(channel.LaneSMS, now, zone)
		require.GreaterOrEqual(rt, closes.Sub(now), campaign.LeastValidity)
		require.False(rt, def.TooLate(channel.LaneSMS, now, closes))
		require.True(rt, def.TooLate(channel.LaneSMS, closes.Add(1-campaign.LeastValidity), closes))
		last := closes.Add(-time.Microsecond)
		require.Equal(rt, last, def.Hours.Next(channel.LaneSMS, last, zone), "allowed up to the last moment")
		require.True(rt, def.Over(closes) || def.Hours.Next(channel.LaneSMS, closes, zone).After(closes), "and not one later")
	})
}

package hours_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/hours"
)

func TestAContactsZoneIsTheirOwnThenTheirPhonesThenThePages(t *testing.T) {
	t.Parallel()
	atlas := hours.NewAtlas()
	for _, c := range []struct {
		contact, phone, page string
		want                 []string
	}{
		{"Asia/Tokyo", "+12125550100", "Europe/Paris", []string{"Asia/Tokyo"}},
		{"", "+12125550100", "Europe/Paris", []string{"America/New_York"}},
		{"Mars/Olympus", "+12125550100", "Europe/Paris", []string{"America/New_York"}},
		{"", "+447700900001", "Europe/Paris", []string{"Europe/Guernsey", "Europe/Isle_of_Man", "Europe/London"}},
		{"", "", "Europe/Paris", []string{"Europe/Paris"}},
		{"", "+99900000000", "Europe/Paris", []string{"Europe/Paris"}},
		{"", "not a number", "Europe/Paris", []string{"Europe/Paris"}},
		{"Local", "", "Local", []string{"UTC"}},
		{"", "", "Mars/Olympus", []string{"UTC"}},
		{"", "", "", []string{"UTC"}},
	} {
		for range 2 { // found, and found again
			require.Equal(t, c.want, atlas.Zone(c.contact, c.phone, c.page).Names(), "%+v", c)
		}
	}
	require.True(t, hours.Known("America/Argentina/Ushuaia"))
	for _, name := range []string{"", "Local", "../etc/passwd", "Mars/Olympus"} {
		require.False(t, hours.Known(name), name)
	}
}

func TestATimeOnTheWallIsReachedWhenTheLastClockShowsIt(t *testing.T) {
	t.Parallel()
	atlas, wall := hours.NewAtlas(), moment(t, "2026-03-29T01:30:00Z")
	for name, want := range map[string]string{
		"":                   "2026-03-29T01:30:00Z",
		"Pacific/Kiritimati": "2026-03-28T11:30:00Z",
		"Pacific/Pago_Pago":  "2026-03-29T12:30:00Z",
		"Europe/London":      "2026-03-29T01:00:00Z", // there is no 01:30 on that day: 02:00
	} {
		require.Equal(t, moment(t, want), atlas.Zone(name, "", "").Reach(wall), name)
	}
	require.Equal(t, moment(t, "2026-10-25T00:30:00Z"), atlas.Zone("Europe/London", "", "").Reach(moment(t, "2026-10-25T01:30:00Z")), "the first of two")
	require.Equal(t, moment(t, "2026-03-29T12:30:00Z"), atlas.Zone("", "+18005550100", "").Reach(wall), "the last of all zones")
	require.Equal(t, atlas.Zone("Pacific/Kiritimati", "", "").Reach(wall), hours.Earliest(wall))
}

func TestReachIsTheFirstMomentTheWallShowsAsMuch(t *testing.T) {
	t.Parallel()
	atlas := hours.NewAtlas()
	rapid.Check(t, func(t *rapid.T) {
		wall, name := anyMoment().Draw(t, "wall"), rapid.SampledFrom(zones).Draw(t, "zone")
		local, err := time.LoadLocation(name)
		require.NoError(t, err)
		shows := func(at time.Time) time.Time {
			_, offset := at.In(local).Zone()
			return at.Add(time.Duration(offset) * time.Second)
		}
		at := atlas.Zone(name, "", "").Reach(wall)
		require.False(t, shows(at).Before(wall))
		for d := time.Duration(1); d < 3*time.Hour; d += 5 * time.Minute {
			require.True(t, shows(at.Add(-d)).Before(wall))
		}
		require.False(t, at.Before(hours.Earliest(wall)))
	})
}

func BenchmarkZoneAndNext(b *testing.B) {
	atlas, h, now := hours.NewAtlas(), hours.Default(), time.Now()
	for name, who := range map[string][2]string{"own": {"America/Chicago", ""}, "phone": {"", "+447700900001"}, "toll free": {"", "+18005550100"}, "page": {"", ""}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.Next(channel.LaneSMS, now, atlas.Zone(who[0], who[1], "Europe/London"))
			}
		})
	}
}

package hours_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/hours"
)

func parsed(t require.TestingT, text string) hours.Hours {
	h, err := hours.Parse(json.RawMessage(text))
	require.NoError(t, err)
	return h
}

func moment(t require.TestingT, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

// shown is a moment by the clock on the wall of a zone.
func shown(t require.TestingT, at time.Time, zone string) string {
	l, err := time.LoadLocation(zone)
	require.NoError(t, err)
	return at.In(l).Format("Mon 2006-01-02 15:04:05 MST")
}

func TestTextMessagesWaitForTheDayUnlessACampaignSaysOtherwise(t *testing.T) {
	t.Parallel()
	at := moment(t, "2026-11-22T06:00:00Z")
	atlas := hours.NewAtlas()
	for _, text := range []string{"", "null", " null "} {
		h := parsed(t, text)
		require.Equal(t, moment(t, "2026-11-22T09:00:00Z"), h.Next(channel.LaneSMS, at, nil), "nobody knows the zone: UTC")
		require.Equal(t, at, h.Next(channel.LaneSMS, at, atlas.Zone("Asia/Tokyo", "", "")))
		require.Equal(t, at, h.Next(channel.LaneEmail, at, nil))
		require.Equal(t, at, h.Next(channel.Window, at, nil))
	}
	require.Equal(t, at, parsed(t, "{}").Next(channel.LaneSMS, at, nil), "any time")
	require.Equal(t, at, hours.Hours{}.Next(channel.LaneSMS, at, nil))
	only := parsed(t, `{"email": {"from": "08:00", "to": "10:00"}}`)
	require.Equal(t, at, only.Next(channel.LaneSMS, at, nil), "what is given replaces the default")
	require.Equal(t, moment(t, "2026-11-22T08:00:00Z"), only.Next(channel.LaneEmail, at, nil))
}

func TestTheNextOpening(t *testing.T) {
	t.Parallel()
	const day, night = `{"from":"09:00","to":"20:00"}`, `{"from":"22:00","to":"06:00","days":["fri","sun"]}`
	for name, c := range map[string]struct{ span, zone, at, want, left string }{
		"open":                              {day, "Europe/London", "2026-11-23T09:00:00Z", "Mon 2026-11-23 09:00:00 GMT", "11h0m0s"},
		"the last second":                   {day, "Europe/London", "2026-11-23T19:59:59Z", "Mon 2026-11-23 19:59:59 GMT", "1s"},
		"just closed":                       {day, "Europe/London", "2026-11-23T20:00:00Z", "Tue 2026-11-24 09:00:00 GMT", "11h0m0s"},
		"a fraction before opening":         {day, "Europe/London", "2026-11-23T08:59:59.5Z", "Mon 2026-11-23 09:00:00 GMT", "11h0m0s"},
		"the day before here":               {day, "America/Los_Angeles", "2026-11-23T06:00:00Z", "Mon 2026-11-23 09:00:00 PST", "11h0m0s"},
		"weekdays only":                     {`{"from":"09:00","to":"17:30","days":["mon","tue"]}`, "Asia/Kolkata", "2026-11-24T12:00:00Z", "Mon 2026-11-30 09:00:00 IST", "8h30m0s"},
		"until midnight":                    {`{"from":"20:00","to":"24:00","days":["mon"]}`, "Europe/London", "2026-11-23T23:00:00Z", "Mon 2026-11-23 23:00:00 GMT", "1h0m0s"},
		"whole days that touch":             {`{"from":"00:00","to":"24:00","days":["sat","sun","mon"]}`, "Europe/London", "2026-11-22T12:00:00Z", "Sun 2026-11-22 12:00:00 GMT", "36h0m0s"},
		"over midnight, before":             {night, "Europe/London", "2026-11-22T21:00:00Z", "Sun 2026-11-22 22:00:00 GMT", "8h0m0s"},
		"over midnight, after":              {night, "Europe/London", "2026-11-23T05:00:00Z", "Mon 2026-11-23 05:00:00 GMT", "1h0m0s"},
		"the morning of another day":        {night, "Europe/London", "2026-11-25T05:00:00Z", "Fri 2026-11-27 22:00:00 GMT", "8h0m0s"},
		"the clocks go forward":             {`{"from":"01:30","to":"03:00"}`, "Europe/London", "2026-03-29T00:00:00Z", "Sun 2026-03-29 02:00:00 BST", "1h0m0s"},
		"the hour that is skipped":          {`{"from":"01:00","to":"02:00","days":["sun"]}`, "Europe/London", "2026-03-29T00:30:00Z", "Sun 2026-04-05 01:00:00 BST", "1h0m0s"},
		"closing in the skipped hour":       {`{"from":"00:00","to":"01:30","days":["sun"]}`, "Europe/London", "2026-03-29T00:30:00Z", "Sun 2026-03-29 00:30:00 GMT", "30m0s"},
		"the clocks go back":                {`{"from":"00:30","to":"01:30","days":["sun"]}`, "Europe/London", "2026-10-25T00:30:00Z", "Sun 2026-10-25 01:00:00 GMT", "30m0s"},
		"across the hour that comes twice":  {`{"from":"00:30","to":"02:30","days":["sun"]}`, "Europe/London", "2026-10-24T23:30:00Z", "Sun 2026-10-25 00:30:00 BST", "3h0m0s"},
		"a zone that changes at midnight":   {`{"from":"00:00","to":"01:30","days":["sun"]}`, "America/Santiago", "2026-09-06T03:00:00Z", "Sun 2026-09-06 01:00:00 -03", "30m0s"},
		"a zone with half an hour of a gap": {day, "Australia/Lord_Howe", "2026-10-03T21:50:00Z", "Sun 2026-10-04 09:00:00 +11", "11h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, zone := parsed(t, `{"email":`+c.span+`}`), hours.NewAtlas().Zone(c.zone, "", "")
			next := h.Next(channel.LaneEmail, moment(t, c.at), zone)
			require.Equal(t, c.want, shown(t, next, c.zone))
			left, limited := h.Left(channel.LaneEmail, next, zone)
			require.True(t, limited)
			require.Equal(t, c.left, left.String())
		})
	}
}

func TestWhatIsOpenAtAnyTimeNeverEnds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"sms":{"from":"00:00","to":"24:00"}}`, `{"sms":{"from":"12:00","to":"11:59"},"email":{"from":"12:00","to":"12:01"}}`} {
		h := parsed(t, text)
		at := moment(t, "2026-11-22T12:00:00Z")
		left, limited := h.Left(channel.LaneSMS, at, nil)
		require.Equal(t, strings.Contains(text, "11:59"), limited, text)
		if limited {
			require.Equal(t, 23*time.Hour+59*time.Minute, left)
		}
	}
	left, limited := parsed(t, "null").Left(channel.LaneSMS, moment(t, "2026-11-22T21:00:00Z"), nil)
	require.True(t, limited)
	require.Zero(t, left, "it is closed")
}

var zones = []string{"UTC", "Europe/London", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
	"America/Santiago", "Africa/Casablanca", "Asia/Tehran", "America/Sao_Paulo", "Pacific/Kiritimati", "Antarctica/Troll", "Africa/Cairo"}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// written is a span as people write it, with its own plain reading.
type written struct {
	from, to int // minutes of a day
	days     []string
}

func anySpan() *rapid.Generator[written] {
	return rapid.Custom(func(t *rapid.T) written {
		s := written{from: rapid.IntRange(0, 24*60-1).Draw(t, "from"), to: rapid.IntRange(0, 24*60).Draw(t, "to")}
		if s.from == s.to {
			s.to = s.from + 1
		}
		s.days = rapid.SliceOfNDistinct(rapid.SampledFrom(dayNames), 1, 7, rapid.ID[string]).Draw(t, "days")
		return s
	})
}

func (s written) json() string {
	return fmt.Sprintf(`{"sms":{"from":"%02d:%02d","to":"%02d:%02d","days":["%s"]}}`, s.from/60, s.from%60, s.to/60, s.to%60, strings.Join(s.days, `","`))
}

func (s written) open(at time.Time, zone *time.Location) bool {
	local := at.In(zone)
	clock, today := local.Hour()*60+local.Minute(), int(local.Weekday())
	on := func(day int) bool { return slices.Contains(s.days, dayNames[day]) }
	if s.from < s.to {
		return on(today) && clock >= s.from && clock < s.to
	}
	return on(today) && clock >= s.from || on((today+6)%7) && clock < s.to
}

func anyMoment() *rapid.Generator[time.Time] {
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "near a change") { // of the clocks, somewhere
			days := []string{"2026-03-08", "2026-03-29", "2026-04-05", "2026-09-06", "2026-10-04", "2026-10-25", "2026-11-01", "2026-04-24", "2026-02-15", "2026-03-22"}
			day, _ := time.Parse(time.DateOnly, rapid.SampledFrom(days).Draw(t, "day"))
			return day.Add(time.Duration(rapid.IntRange(-2*86400, 2*86400).Draw(t, "seconds")) * time.Second)
		}
		return time.UnixMicro(from + rapid.Int64Range(0, 5*366*86400*1e6).Draw(t, "micros")).UTC()
	})
}

func TestNextIsTheFirstMomentInside(t *testing.T) {
	t.Parallel()
	atlas := hours.NewAtlas()
	rapid.Check(t, func(t *rapid.T) {
		s, at, name := anySpan().Draw(t, "span"), anyMoment().Draw(t, "at"), rapid.SampledFrom(zones).Draw(t, "zone")
		local, err := time.LoadLocation(name)
		require.NoError(t, err)
		h, zone := parsed(t, s.json()), atlas.Zone(name, "", "")
		next := h.Next(channel.LaneSMS, at, zone)
		require.False(t, next.Before(at))
		require.True(t, s.open(next, local), "%s is inside", next.In(local))
		require.Equal(t, next, h.Next(channel.LaneSMS, next, zone))
		if next.After(at) {
			require.False(t, s.open(next.Add(-1), local), "not a moment later")
			for before := at; before.Before(next); before = before.Add(7 * time.Minute) {
				require.False(t, s.open(before, local), "%s is earlier", before.In(local))
			}
		}
		left, limited := h.Left(channel.LaneSMS, next, zone)
		if !limited {
			return // the span is a whole week
		}
		require.Positive(t, left)
		require.False(t, s.open(next.Add(left), local))
		require.True(t, s.open(next.Add(left-1), local))
		for d := time.Duration(0); d < left; d += 7 * time.Minute {
			require.True(t, s.open(next.Add(d), local))
		}
	})
}

func TestAPersonWhoMayBeInSeveralZonesIsWrittenToInsideAllOfThem(t *testing.T) {
	t.Parallel()
	const tollFree = "+18005550100" // anywhere from Guam to Newfoundland
	zone := hours.NewAtlas().Zone("", tollFree, "")
	require.Greater(t, len(zone.Names()), 20)
	h := parsed(t, `{"sms":{"from":"00:00","to":"24:00","days":["tue","wed","thu"]}}`)
	rapid.Check(t, func(t *rapid.T) {
		at := anyMoment().Draw(t, "at")
		next := h.Next(channel.LaneSMS, at, zone)
		left, _ := h.Left(channel.LaneSMS, next, zone)
		require.Positive(t, left)
		require.Equal(t, next, h.Next(channel.LaneSMS, next, zone))
		closes := 0
		for _, name := range zone.Names() {
			for _, moment := range []time.Time{next, next.Add(left - 1)} {
				require.Contains(t, []string{"Tue", "Wed", "Thu"}, shown(t, moment, name)[:3])
			}
			if !slices.Contains([]string{"Tue", "Wed", "Thu"}, shown(t, next.Add(left), name)[:3]) {
				closes++
			}
		}
		require.Positive(t, closes)
	})
}

func TestWhereNothingSuitsAllZonesOneStandsForThem(t *testing.T) {
	t.Parallel()
	h := parsed(t, `{"sms":{"from":"09:00","to":"12:00"}}`)
	atlas, at := hours.NewAtlas(), moment(t, "2026-11-23T00:00:00Z")
	for page, want := range map[string]string{
		"America/Denver": "Mon 2026-11-23 11:00:00 EST", // the page's own
		"Europe/London":  "Mon 2026-11-23 09:00:00 EST", // the one in the middle
		"":               "Mon 2026-11-23 09:00:00 EST",
	} {
		zone := atlas.Zone("", "+18005550100", page)
		next := h.Next(channel.LaneSMS, at, zone)
		require.Equal(t, want, shown(t, next, "America/New_York"), page)
		left, limited := h.Left(channel.LaneSMS, next, zone)
		require.True(t, limited)
		require.Equal(t, 3*time.Hour, left)
	}
}

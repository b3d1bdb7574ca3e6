package profile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A zone is given only where clocks never change, and where nobody else is.
func TestAZoneIsGivenOnlyWhereItIsCertain(t *testing.T) {
	t.Parallel()
	require.Empty(t, zoneAt(nil))
	given := 0
	for quarter := -12 * 4; quarter <= 14*4; quarter++ {
		offset := time.Duration(quarter) * 15 * time.Minute
		name := zoneAt(&offset)
		if name == "" {
			continue
		}
		given++
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		for month := range 36 {
			_, seconds := time.Date(2025, time.January, 15, 12, 0, 0, 0, time.UTC).AddDate(0, month, 0).In(zone).Zone()
			require.Equal(t, offset, time.Duration(seconds)*time.Second, name)
		}
		for _, other := range []string{"Asia/Tehran", "Australia/Adelaide", "Australia/Darwin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham", "Europe/London", "Asia/Tokyo"} {
			zone, err := time.LoadLocation(other)
			require.NoError(t, err)
			for month := range 12 {
				_, seconds := time.Date(2026, time.January, 15, 12, 0, 0, 0, time.UTC).AddDate(0, month, 0).In(zone).Zone()
				require.NotEqual(t, offset, time.Duration(seconds)*time.Second, "%s is at times where %s is", other, name)
			}
		}
	}
	require.Equal(t, 6, given)
}

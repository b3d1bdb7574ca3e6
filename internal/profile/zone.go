package profile

import "time"

// zoneAt is the time zone of people whose clock is that far from UTC now, where
// that is certain: all zones that are ever there keep the same time all year. For
// any other offset it is "": summer time, or a border, may be in between.
func zoneAt(offset *time.Duration) string {
	if offset == nil {
		return ""
	}
	return map[time.Duration]string{
		-(9*time.Hour + 30*time.Minute): "Pacific/Marquesas",
		4*time.Hour + 30*time.Minute:    "Asia/Kabul",
		5*time.Hour + 30*time.Minute:    "Asia/Kolkata",
		5*time.Hour + 45*time.Minute:    "Asia/Kathmandu",
		6*time.Hour + 30*time.Minute:    "Asia/Yangon",
		8*time.Hour + 45*time.Minute:    "Australia/Eucla",
	}[*offset]
}

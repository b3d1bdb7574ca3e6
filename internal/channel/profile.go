package channel

import "time"

// Profile is what a provider knows of a person. What it does not say is zero.
type Profile struct {
	FirstName, LastName string
	Locale              string         // as in en_GB
	Offset              *time.Duration // of their clock from UTC, now
}

// Empty reports whether nothing is known.
func (p Profile) Empty() bool {
	return p.FirstName == "" && p.LastName == "" && p.Locale == "" && p.Offset == nil
}

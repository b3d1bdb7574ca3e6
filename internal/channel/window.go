package channel

import "time"

// WindowTime is how long Messenger stays open after a person's last qualifying
// action (Messenger Platform policy). WindowMargin is cut off its end, so that a
// message still arrives inside it after it has waited in a queue.
const (
	WindowTime   = 24 * time.Hour
	WindowMargin = 5 * time.Minute
)

// InWindow reports whether a person who last acted then, nil for never, can be
// written to for free now.
func InWindow(last *time.Time, now time.Time) bool {
	return last != nil && now.Sub(*last) < WindowTime-WindowMargin
}

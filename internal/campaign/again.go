package campaign

import (
	"time"

	"beckon/internal/fault"
)

// MaySendAgain says whether deliveries of the campaign may be sent once more:
// nothing is of a cancelled one, or after the deadline.
func (c Campaign) MaySendAgain(now time.Time) error {
	switch {
	case c.State == Cancelled:
		return fault.New(fault.Conflict, "wrong_state", "Nothing of a campaign that is %s is sent again: what is unknown can only be given up.", c.State)
	case c.EndsAt != nil && !now.Before(*c.EndsAt):
		return fault.New(fault.Conflict, "deadline_passed", "The campaign's deadline has passed: what is unknown can only be given up.")
	}
	return nil
}

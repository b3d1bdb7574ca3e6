package route

import (
	"slices"

	"beckon/internal/channel"
)

// Reason says why a lane is closed for a contact.
type Reason string

// The closed set of reasons.
const (
	NoAddress     Reason = "no_address"     // nothing to send to on this channel
	Blocked       Reason = "blocked"        // the person blocked the page, or it cannot reach them
	ThreadHeld    Reason = "thread_held"    // another app or a human is talking with the person
	WindowClosed  Reason = "window_closed"  // the last qualifying action is too long ago, or never was
	NoToken       Reason = "no_token"       // no available token for the topic
	TokenExpired  Reason = "token_expired"  // there is one, but it is too old
	CapabilityOff Reason = "capability_off" // the Page may not send on the lane
	NoConsent     Reason = "no_consent"     // never said yes to this channel
	OptedOut      Reason = "unsubscribed"   // said no to this channel, or stopped these messages
	Suppressed    Reason = "suppressed"     // the address must not be sent to
	NotConfigured Reason = "not_configured" // the lane is not set up or not known here
	InsideWindow  Reason = "inside_window"  // reachable for free: no token is spent on them
	BudgetReached Reason = "budget_reached" // the campaign has spent on texts what it may

	CountryClosed Reason = "country_closed" // the provider sends no texts to that country

	TooSoon             Reason = "too_soon"              // the recurring token was used less than 48 hours ago
	NotTransactional    Reason = "not_transactional"     // utility messages are for campaigns that are declared transactional
	TemplateNotApproved Reason = "template_not_approved" // Meta has not approved the utility template, or not any more
)

// Reasons returns the closed set, the most telling first: the order in which
// Why picks.
func Reasons() []Reason {
	return []Reason{
		BudgetReached, Suppressed, OptedOut, NoConsent, CountryClosed, InsideWindow, Blocked, ThreadHeld, CapabilityOff,
		TemplateNotApproved, TooSoon, TokenExpired, NoToken, WindowClosed, NotTransactional, NotConfigured, NoAddress,
	}
}

// Closed is a lane that was tried and found closed.
type Closed struct {
	Lane   channel.Lane
	Reason Reason
}

// Decision is what came of walking a route.
type Decision struct {
	Lane channel.Lane   // the lane to take; "" when the contact is unreachable
	Rest []channel.Lane // what is left of the route after Lane, for falling through

	walked  []channel.Lane // the lanes before Lane, all closed
	reasons [lanes]Reason  // by index; kept inside so that deciding allocates nothing
}

// Reachable reports whether a lane was open.
func (d Decision) Reachable() bool { return d.Lane != "" }

// Closed returns the lanes before the chosen one, in route order, each with its
// reason; for an unreachable contact that is the whole route.
func (d Decision) Closed() []Closed {
	out := make([]Closed, len(d.walked))
	for i, lane := range d.walked {
		out[i] = Closed{lane, d.reason(lane)}
	}
	return out
}

// Why returns the one reason shown for an unreachable contact: the most
// actionable of all, in the order of Reasons (a suppressed phone says more than
// a missing e-mail address). It is "" for a reachable contact, and for an empty
// route.
func (d Decision) Why() Reason {
	if d.Reachable() {
		return ""
	}
	var best Reason
	for _, lane := range d.walked {
		if why := d.reason(lane); best == "" || rank(why) < rank(best) {
			best = why
		}
	}
	return best
}

func (d *Decision) reason(lane channel.Lane) Reason {
	if i := index(lane); i >= 0 {
		return d.reasons[i]
	}
	return NotConfigured
}

func rank(why Reason) int { return slices.Index(Reasons(), why) }

// lanes is how many lanes there are: index gives each its place.
const lanes = 6

func index(lane channel.Lane) int {
	switch lane {
	case channel.Window:
		return 0
	case channel.OneTime:
		return 1
	case channel.Utility:
		return 2
	case channel.Recurring:
		return 3
	case channel.LaneSMS:
		return 4
	case channel.LaneEmail:
		return 5
	}
	return -1
}

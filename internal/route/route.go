// Package route decides which lane a contact takes: one pure function, used by
// the preview, by planning and again just before a send.
package route

import (
	"time"

	"beckon/internal/channel"
)

// Window is how long Messenger stays open after the person's last qualifying
// action. WindowMargin is cut off its end, so that a message still arrives
// inside it after it has waited in a queue.
const (
	Window       = channel.WindowTime
	WindowMargin = channel.WindowMargin
)

// The consent states Decide understands; anything else counts as not given.
const (
	Subscribed   = "subscribed"
	Unsubscribed = "unsubscribed"
)

// Reach is all that the decision needs to know about one contact, on one page
// and for one topic.
type Reach struct {
	HasMessenger bool      // a messenger address on the page
	Blocked      bool      // that address does not take messages
	ThreadHeld   bool      // another app or a human holds the thread
	Stopped      bool      // the person told the Page's bot to stop
	LastAction   time.Time // last qualifying action on the page; zero for never

	Token        bool      // an available one-time token for the topic on the page
	TokenExpires time.Time // zero for a token without an end
	OneTimeOff   bool      // the Page's one-time capability is off

	Recurring    Permit // the best recurring token for the topic on the page
	RecurringOff bool   // the Page's recurring capability is off

	Transactional    bool // the campaign is declared transactional
	TemplateApproved bool // and its utility template is approved
	UtilityOff       bool // the Page's utility capability is off

	Phone, Email                     bool   // has such an address
	SMSConsent, EmailConsent         string // "", Subscribed or Unsubscribed
	PhoneSuppressed, EmailSuppressed bool
	SMSOff, EmailOff                 bool // the channel is not set up here
	SMSAbroad                        bool // the provider sends no texts to the phone's country
	SMSSpent                         bool // the campaign's budget for texts is reached
}

// Permit is a recurring token; its zero value is none.
type Permit struct {
	Known    bool
	Stopped  bool      // the person stopped it
	Expires  time.Time // zero for one without an end
	Eligible time.Time // it must not be used before
}

// InWindow reports whether the person can be written to in Messenger for free
// at that moment.
func (r Reach) InWindow(now time.Time) bool {
	return r.HasMessenger && !r.Blocked && !r.ThreadHeld && !r.LastAction.IsZero() &&
		now.Sub(r.LastAction) < Window-WindowMargin
}

// Decide walks the route in order and takes the first lane that is open. The
// decision keeps parts of route: the caller must not change it afterwards.
func Decide(r Reach, route []channel.Lane, now time.Time) Decision {
	d := Decision{walked: route}
	for i, lane := range route {
		why := r.closed(lane, now)
		if why == "" {
			d.Lane, d.Rest, d.walked = lane, route[i+1:], route[:i]
			return d
		}
		if k := index(lane); k >= 0 {
			d.reasons[k] = why
		}
	}
	return d
}

// closed says why a lane is closed, or "" when it is open.
func (r *Reach) closed(lane channel.Lane, now time.Time) Reason {
	if r.Stopped && lane.Kind() == channel.Messenger {
		return OptedOut
	}
	switch lane {
	case channel.Window:
		return r.windowClosed(now)
	case channel.OneTime:
		return r.oneTimeClosed(now)
	case channel.Utility:
		return r.utilityClosed()
	case channel.Recurring:
		return r.recurringClosed(now)
	case channel.LaneSMS:
		return r.smsClosed()
	case channel.LaneEmail:
		return address{r.EmailOff, r.Email, r.EmailSuppressed, r.EmailConsent}.closed()
	}
	return NotConfigured
}

func (r *Reach) windowClosed(now time.Time) Reason {
	switch {
	case !r.HasMessenger:
		return NoAddress
	case r.Blocked:
		return Blocked
	case r.ThreadHeld:
		return ThreadHeld
	case !r.InWindow(now):
		return WindowClosed
	}
	return ""
}

func (r *Reach) oneTimeClosed(now time.Time) Reason {
	switch {
	case !r.Token && !r.HasMessenger:
		return NoAddress
	case r.Blocked:
		return Blocked
	case r.ThreadHeld:
		return ThreadHeld
	case r.OneTimeOff:
		return CapabilityOff
	case !r.Token:
		return NoToken
	case !r.TokenExpires.IsZero() && !now.Before(r.TokenExpires):
		return TokenExpired
	case r.InWindow(now):
		return InsideWindow
	}
	return ""
}

// utilityClosed is about a message that needs no permission of the person: only
// of Meta, and only for what is not promotion.
func (r *Reach) utilityClosed() Reason {
	switch {
	case !r.HasMessenger:
		return NoAddress
	case r.Blocked:
		return Blocked
	case r.ThreadHeld:
		return ThreadHeld
	case !r.Transactional:
		return NotTransactional
	case r.UtilityOff:
		return CapabilityOff
	case !r.TemplateApproved:
		return TemplateNotApproved
	}
	return ""
}

func (r *Reach) recurringClosed(now time.Time) Reason {
	switch {
	case !r.Recurring.Known && !r.HasMessenger:
		return NoAddress
	case r.Blocked:
		return Blocked
	case r.ThreadHeld:
		return ThreadHeld
	case r.RecurringOff:
		return CapabilityOff
	case !r.Recurring.Known:
		return NoToken
	}
	return r.permitClosed(now)
}

// permitClosed is recurringClosed for who gave a permission at some time.
func (r *Reach) permitClosed(now time.Time) Reason {
	p := &r.Recurring
	switch {
	case p.Stopped:
		return OptedOut
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return TokenExpired
	case r.InWindow(now):
		return InsideWindow
	case now.Before(p.Eligible):
		return TooSoon
	}
	return ""
}

// smsClosed names the budget last: it closes the lane for those whom a text would
// have reached.
func (r *Reach) smsClosed() Reason {
	why := address{r.SMSOff, r.Phone, r.PhoneSuppressed, r.SMSConsent}.closed()
	switch {
	case why == "" && r.SMSAbroad:
		return CountryClosed
	case why == "" && r.SMSSpent:
		return BudgetReached
	}
	return why
}

// address is what SMS and e-mail have in common.
type address struct {
	off, known, suppressed bool
	consent                string
}

func (a address) closed() Reason {
	switch {
	case a.off:
		return NotConfigured
	case !a.known:
		return NoAddress
	case a.suppressed:
		return Suppressed
	case a.consent == Unsubscribed:
		return OptedOut
	case a.consent != Subscribed:
		return NoConsent
	}
	return ""
}

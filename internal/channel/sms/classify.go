package sms

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel"
)

// class is a set of Twilio's codes that ask for the same. What a field says, it
// says of channel.Result's field of the same name.
type class struct {
	outcome     channel.Outcome
	words       string
	codes       []int
	wait        time.Duration // RetryAfter, when no header says more
	midnight    bool          // RetryAfter is until the carriers' day ends
	throttled   bool
	soft        bool
	countrywide bool
	filtered    bool
	tries       int
}

// someTries is how often a text is handed over that fails for a passing reason
// after it was taken; each may be billed.
const someTries = 3

// classes is the table of Twilio's codes. It is never written to.
var classes = []class{
	{outcome: channel.OptedOut, words: "the person opted out at the provider", codes: []int{21610, 30640, 63014, 63033}},
	{outcome: channel.Gone, words: "the number does not exist", codes: []int{21211, 21214, 21217, 30005}},
	{outcome: channel.Gone, words: "the number cannot take text messages", codes: []int{21614, 21635, 30006}},

	{outcome: channel.TryLater, words: "Twilio asks to slow down", codes: []int{20429}, throttled: true},
	{outcome: channel.TryLater, words: "more than the sender may send", codes: []int{30022, 63017, 63018}, wait: time.Minute, throttled: true, tries: someTries},
	{outcome: channel.TryLater, words: "the sender's queue is full", codes: []int{21611, 30001}, wait: 10 * time.Minute, throttled: true, tries: someTries},
	{outcome: channel.TryLater, words: "the account's allowance is used up", codes: []int{60728, 63038}, wait: time.Hour, throttled: true},
	// These are a carrier's allowance: others go on.
	{outcome: channel.TryLater, words: "the carrier's daily allowance is used up", codes: []int{30023, 30027}, midnight: true},
	{outcome: channel.TryLater, words: "too many texts to this number at once", codes: []int{14107}, wait: time.Minute, tries: someTries},
	{outcome: channel.TryLater, words: "the way to the phone is blocked for the moment", codes: []int{30017, 30410, 30500}, wait: time.Minute, tries: someTries},
	{outcome: channel.TryLater, words: "held back by Twilio for a while", codes: []int{30450}, wait: 30 * time.Minute, tries: someTries},
	{outcome: channel.TryLater, words: "held back by Twilio until the person's day begins", codes: []int{30610}, wait: time.Hour},
	{outcome: channel.TryLater, words: "not sent within its validity", codes: []int{30036}, tries: someTries},
	{outcome: channel.TryLater, words: "the carrier gives no reason", codes: []int{30008}, wait: 5 * time.Minute, tries: 2},

	{outcome: channel.StopTheLine, words: "the Twilio account or its credentials do not work", codes: []int{20003, 20404, 21222, 21224, 30002}},
	{outcome: channel.StopTheLine, words: "the sender cannot be used", codes: []int{21212, 21603, 21606, 21659, 21660, 21661, 21701, 21703, 21705}},
	{outcome: channel.StopTheLine, words: "a trial account sends to verified numbers only", codes: []int{21608}},
	{outcome: channel.StopTheLine, words: "the sender is not registered with the carriers", codes: []int{30018, 30024, 30032, 30033, 30034, 30035}},

	// Not the whole line: the country or the route of one number, the text, the phone.
	{outcome: channel.Refused, words: "the country is not enabled in the Twilio account", codes: []int{21408}, countrywide: true},
	{outcome: channel.Refused, words: "no route from the sender to this number", codes: []int{21612}},
	{outcome: channel.Refused, words: "the text is empty or too long", codes: []int{14103, 21602, 21617, 21658}},
	{outcome: channel.Refused, words: "Twilio does not take the request as it is", codes: []int{21604, 21609, 30045, 90007}},
	{outcome: channel.Refused, words: "the phone is off or out of reach", codes: []int{30003}, soft: true},
	{outcome: channel.Refused, words: "the message was blocked", codes: []int{30004}, soft: true},
	{outcome: channel.Refused, words: "filtered as unwanted by Twilio or the carrier", codes: []int{30007}, filtered: true},
}

// verdict knows Twilio's codes, whether they come in the answer to a call or in
// a callback; from is the sender, as far as known. Its Outcome is "" for a code
// that it does not know.
func verdict(code int, from string, now time.Time) channel.Result {
	r := channel.Result{Code: strconv.Itoa(code)}
	if code == 30004 && tollFree(from) {
		r.Outcome, r.Detail = channel.OptedOut, "the person opted out of a toll-free sender"
		return r
	}
	i := slices.IndexFunc(classes, func(c class) bool { return slices.Contains(c.codes, code) })
	if i < 0 {
		return r
	}
	c := classes[i]
	r.Outcome, r.Detail = c.outcome, c.words
	r.RetryAfter, r.Throttled, r.Tries = c.wait, c.throttled, c.tries
	r.Soft, r.Countrywide, r.Filtered = c.soft, c.countrywide, c.filtered
	if c.midnight {
		r.RetryAfter = untilMidnight(now)
	}
	return r
}

// untilMidnight is how long the day goes on by which US carriers count: that of
// the Pacific coast. It is in whole seconds, so that many who wait for it wait
// together.
func untilMidnight(now time.Time) time.Duration {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil { // no zones at all: winter time
		zone = time.FixedZone("PST", -8*60*60)
	}
	year, month, day := now.In(zone).Date()
	rest := time.Date(year, month, day+1, 0, 0, 0, 0, zone).Sub(now)
	return (rest + time.Second - 1).Truncate(time.Second)
}

// tollFree tells a North American toll-free sender. There the carrier keeps
// the opt-outs, and Twilio reports them as "blocked".
func tollFree(number string) bool {
	area, ok := strings.CutPrefix(number, "+1")
	if !ok || len(area) != 10 {
		return false
	}
	switch area[:3] {
	case "800", "833", "844", "855", "866", "877", "888":
		return true
	}
	return false
}

package sms

import (
	"slices"
	"strings"
	"time"

	"beckon/internal/channel"
)

// class is a set of Twilio's codes that ask for the same.
type class struct {
	outcome channel.Outcome
	words   string
	codes   []int
}

// classes is the table of Twilio's codes. It is never written to.
var classes = []class{
	{channel.OptedOut, "the person opted out at the provider", []int{21610, 30640, 63014, 63033}},
	{channel.Gone, "the number does not exist", []int{21211, 21214, 21217, 30005}},
	{channel.Gone, "the number cannot take text messages", []int{21614, 21635, 30006}},
	{channel.TryLater, "Twilio or the carrier asks to slow down", []int{
		14107, 20429, 21611, 30001, 30017, 30022, 30410, 30500, 60728, 63017, 63018,
	}},
	{channel.TryLater, "the daily allowance is used up", []int{30023, 30027, 63038}},
	{channel.TryLater, "held back by Twilio for a while", []int{30450, 30610}},
	{channel.TryLater, "not sent within its validity", []int{30036}},
	{channel.StopTheLine, "the Twilio account or its credentials do not work", []int{20003, 20404, 21222, 21224, 30002}},
	{channel.StopTheLine, "the sender cannot be used", []int{21212, 21603, 21606, 21659, 21660, 21661, 21701, 21703, 21705}},
	{channel.StopTheLine, "a trial account sends to verified numbers only", []int{21608}},
	{channel.StopTheLine, "the sender is not registered with the carriers", []int{30018, 30024, 30032, 30033, 30034, 30035}},
	// Not the whole line: the country or the route of one number.
	{channel.Refused, "the country is not enabled in the Twilio account", []int{21408}},
	{channel.Refused, "no route from the sender to this number", []int{21612}},
	{channel.Refused, "the text is empty or too long", []int{14103, 21602, 21617, 21658}},
	{channel.Refused, "the phone is off or out of reach", []int{30003}},
	{channel.Refused, "the message was blocked", []int{30004}},
	{channel.Refused, "filtered as unwanted by Twilio or the carrier", []int{30007}},
	{channel.Refused, "the carrier gives no reason", []int{30008}},
}

// classify knows Twilio's codes, whether they come in the answer to a call or
// in a callback; from is the sender, as far as known. It returns "" for a code
// that it does not know.
func classify(code int, from string) (channel.Outcome, string) {
	if code == 30004 && tollFree(from) {
		return channel.OptedOut, "the person opted out of a toll-free sender"
	}
	for _, c := range classes {
		if slices.Contains(c.codes, code) {
			return c.outcome, c.words
		}
	}
	return "", ""
}

// slowDown tells the codes with which the sender, and not one message, has to
// wait: it goes too fast, its queue is full, or its allowance is used up.
func slowDown(code int) bool {
	switch code {
	case 20429, 21611, 30001, 30022, 30023, 30027, 60728, 63017, 63018, 63038:
		return true
	}
	return false
}

// patience is how long a code is known to last when no header says so.
func patience(code int) time.Duration {
	switch code {
	case 21611, 30001:
		return 10 * time.Minute
	case 30450:
		return 30 * time.Minute
	case 30023, 30027, 30610, 60728, 63038:
		return time.Hour
	}
	return 0
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

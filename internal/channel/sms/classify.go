package sms

import (
	"strings"
	"time"

	"beckon/internal/channel"
)

// classify knows Twilio's codes, whether they come in the answer to a call or
// in a callback; from is the sender, as far as known. It returns "" for a code
// that it does not know.
func classify(code int, from string) (channel.Outcome, string) {
	switch code {
	case 21610, 30640, 63014, 63033:
		return channel.OptedOut, "the person opted out at the provider"
	case 30004:
		if tollFree(from) {
			return channel.OptedOut, "the person opted out of a toll-free sender"
		}
		return channel.Refused, "the message was blocked"
	case 21211, 21214, 21217, 30005:
		return channel.Gone, "the number does not exist"
	case 21614, 21635, 30006:
		return channel.Gone, "the number cannot take text messages"
	case 14107, 20429, 21611, 30001, 30017, 30022, 30410, 30500, 60728, 63017, 63018:
		return channel.TryLater, "Twilio or the carrier asks to slow down"
	case 30023, 30027, 63038:
		return channel.TryLater, "the daily allowance is used up"
	case 30450, 30610:
		return channel.TryLater, "held back by Twilio for a while"
	case 30036:
		return channel.TryLater, "not sent within its validity"
	case 20003, 20404, 21222, 21224, 30002:
		return channel.StopTheLine, "the Twilio account or its credentials do not work"
	case 21212, 21603, 21606, 21659, 21660, 21661, 21701, 21703, 21705:
		return channel.StopTheLine, "the sender cannot be used"
	case 21608:
		return channel.StopTheLine, "a trial account sends to verified numbers only"
	case 30018, 30024, 30032, 30033, 30034, 30035:
		return channel.StopTheLine, "the sender is not registered with the carriers"
	case 21408:
		return channel.Refused, "the country is not enabled in the Twilio account"
	case 21612:
		return channel.Refused, "no route from the sender to this number"
	case 14103, 21602, 21617, 21658:
		return channel.Refused, "the text is empty or too long"
	case 30003:
		return channel.Refused, "the phone is off or out of reach"
	case 30007:
		return channel.Refused, "filtered as unwanted by Twilio or the carrier"
	case 30008:
		return channel.Refused, "the carrier gives no reason"
	}
	return "", ""
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

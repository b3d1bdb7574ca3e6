package simulator

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxSMS      = 1600
	maxValidity = 36000
)

// serviceSID is what the SID of a Messaging Service looks like.
var serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)

// magicFrom is what Twilio's test numbers lead to as senders; 0 is success.
func magicFrom(number string) int {
	switch number {
	case "+15005550001":
		return 21212
	case "+15005550007":
		return 21606
	case "+15005550008":
		return 21611
	}
	return 0
}

// magicTo is what Twilio's test numbers lead to as recipients.
func magicTo(number string) int {
	switch number {
	case "+15005550001":
		return 21211
	case "+15005550002":
		return 21612
	case "+15005550003":
		return 21408
	case "+15005550004":
		return 21610
	case "+15005550009":
		return 21614
	}
	return 0
}

// smsMessage is Twilio's text for a code; like the real one it quotes the
// recipient, which a client must not pass on.
func smsMessage(code int, to string) string {
	switch code {
	case 21211:
		return "The 'To' number " + to + " is not a valid phone number."
	case 21212:
		return "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID."
	case 21408:
		return "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: " + to + "."
	case 21602:
		return "Message body is required."
	case 21603:
		return "A 'From' phone number is required."
	case 21604:
		return "A 'To' phone number is required."
	case 21606:
		return "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination."
	case 21609:
		return "The 'StatusCallback' URL is not a valid URL."
	case 21610:
		return "Attempt to send to unsubscribed recipient " + to
	case 21611:
		return "This 'From' number has exceeded the maximum number of queued messages."
	case 21612:
		return "Message cannot be sent with the current combination of 'To' (" + to + ") and/or 'From' parameters."
	case 21614:
		return "'To' number: " + to + ", is not a valid mobile number."
	case 21617:
		return "The concatenated message body exceeds the 1600 character limit."
	}
	return "The request cannot be processed as it is."
}

// refusal is the answer for a code of smsMessage, or for one asked of Refuse.
func refusal(code int, to string) *twilioError {
	status := http.StatusBadRequest
	if code == 20003 {
		status = http.StatusUnauthorized
	}
	return smsError(status, code, smsMessage(code, to))
}

// read checks the form of a new text and returns what it asks for.
func (t *twilio) read(form url.Values) (*SMS, *twilioError) {
	m := &SMS{
		To: form.Get("To"), From: form.Get("From"), Service: form.Get("MessagingServiceSid"),
		Body: form.Get("Body"), StatusCallback: form.Get("StatusCallback"),
	}
	if code := m.problem(form.Get("ValidityPeriod")); code != 0 {
		return nil, refusal(code, m.To)
	}
	return m, nil
}

// problem is the code of the first thing that is wrong, or 0.
func (m *SMS) problem(validity string) int {
	switch {
	case m.To == "":
		return 21604
	case !isE164(m.To):
		return 21211
	case m.From == "" && m.Service == "":
		return 21603
	case m.Service != "" && !serviceSID.MatchString(m.Service):
		return 21703
	case m.Body == "":
		return 21602
	case len(m.Body) > maxSMS && utf8.RuneCountInString(m.Body) > maxSMS:
		return 21617
	case m.StatusCallback != "" && !isCallbackURL(m.StatusCallback):
		return 21609
	case validity != "" && !isValidity(validity):
		return 90007
	}
	return cmp.Or(magicFrom(m.From), magicTo(m.To))
}

func isE164(n string) bool {
	if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' {
		return false
	}
	for i := 1; i < len(n); i++ {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

// isCallbackURL wants an absolute URL whose host has no underscore.
func isCallbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.Contains(u.Host, "_")
}

func isValidity(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= maxValidity
}

// turnedDown refuses who opted out and what Refuse asks for. Codes of 30000
// and above are no refusal but the message's later end.
func (t *twilio) turnedDown(c *call, m *SMS) *twilioError {
	if out, _ := t.optedOut.get(m.To); out {
		return refusal(21610, m.To)
	}
	code, err := strconv.Atoi(c.desk.fate(m.To))
	if err != nil || code == 0 {
		return nil
	}
	if code >= 30000 {
		m.ErrorCode = code
		return nil
	}
	return refusal(code, m.To)
}

// dateFilter reads DateSent, DateSent< and DateSent>, which are dates in GMT or
// moments.
func dateFilter(query url.Values) (func(time.Time) bool, error) {
	var from, until time.Time
	for key, values := range query {
		if !strings.HasPrefix(key, "DateSent") {
			continue
		}
		at, day, err := parseDate(values[0])
		if err != nil {
			return nil, err
		}
		switch key {
		case "DateSent>":
			from = at
		case "DateSent<":
			until = at.Add(day)
		default:
			from, until = at, at.Add(day)
		}
	}
	return func(t time.Time) bool {
		return !t.Before(from) && (until.IsZero() || t.Before(until))
	}, nil
}

// parseDate returns the moment and how long it lasts.
func parseDate(text string) (time.Time, time.Duration, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, 24 * time.Hour, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, time.Second, err
}

// gsm7 are the characters of the SMS alphabet, gsm7Wide those that take two
// places in it.
const (
	gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Wide = "^{}\\[~]|€\f"
)

// segments is how many parts a text is sent in.
func segments(body string) int {
	septets, units, wide := 0, 0, false
	for _, r := range body {
		units++
		if r > 0xffff {
			units++
		}
		switch {
		case strings.ContainsRune(gsm7, r):
			septets++
		case strings.ContainsRune(gsm7Wide, r):
			septets += 2
		default:
			wide = true
		}
	}
	if wide {
		return parts(units, 70, 67)
	}
	return parts(septets, 160, 153)
}

func parts(n, single, each int) int {
	if n <= single {
		return 1
	}
	return (n + each - 1) / each
}

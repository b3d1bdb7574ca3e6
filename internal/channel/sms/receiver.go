package sms

import (
	"net/url"
	"path"
	"strconv"
	"time"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

const signatureHeader = "X-Twilio-Signature"

// Receiver understands Twilio's callbacks. It implements channel.Receiver.
type Receiver struct {
	token string
	words lexicon
	now   func() time.Time
}

// NewReceiver returns a receiver. It refuses to start without an auth token:
// an empty key would make forging signatures easy.
func NewReceiver(s Settings) (*Receiver, error) {
	if s.AuthToken == "" {
		return nil, invalid("credentials", "The Twilio auth token is not set.")
	}
	return &Receiver{token: s.AuthToken, words: newLexicon(s.StopWords), now: clock(s.Now)}, nil
}

// Headers names what Verify needs.
func (r *Receiver) Headers() []string { return []string{signatureHeader} }

// Verify checks Twilio's signature. Callback.URL must be the address as Twilio
// knows it, query byte for byte.
func (r *Receiver) Verify(cb channel.Callback) error {
	signature := cb.Header[signatureHeader]
	if signature == "" {
		return fault.New(fault.Unauthorized, "no_signature", "The callback carries no signature.")
	}
	if !genuine(r.token, cb.URL, cb.Body, signature) {
		return fault.New(fault.Unauthorized, "wrong_signature", "The signature does not fit address and form.")
	}
	return nil
}

// Events reads a status callback: one event, whose delivery is the last part
// of the path. Or it reads a text from a person, see InboundPath.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	form, err := url.ParseQuery(string(cb.Body))
	if err != nil {
		return nil, fault.New(fault.Malformed, "unreadable_event", "Cannot read the form.")
	}
	if inbound(cb) {
		return one(r.heard(form))
	}
	e := channel.Event{Kind: statusKind(form.Get("MessageStatus")), Delivery: lastNumber(cb.URL), Address: form.Get("To")}
	if sid := form.Get("MessageSid"); sid != "" {
		e.ProviderIDs = []string{sid}
	}
	if e.Kind == channel.EventFailed {
		why := failure(form.Get("ErrorCode"), form.Get("From"), r.now())
		e.Outcome, e.Code, e.Soft, e.Filtered = why.Outcome, why.Code, why.Soft, why.Filtered
		e.RetryAfter, e.Throttled, e.Tries = why.RetryAfter, why.Throttled, why.Tries
		e.Countrywide = why.Countrywide
	}
	return []channel.Event{e}, nil
}

func one(e channel.Event, err error) ([]channel.Event, error) {
	if err != nil {
		return nil, err
	}
	return []channel.Event{e}, nil
}

func statusKind(status string) channel.EventKind {
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent":
		return channel.EventAccepted
	case "delivered", "partially_delivered":
		return channel.EventDelivered
	case "read":
		return channel.EventRead
	case "failed", "undelivered", "canceled":
		return channel.EventFailed
	}
	return channel.EventOther
}

// failure says why a message did not arrive; Refused when Twilio does not.
func failure(code, from string, now time.Time) channel.Result {
	n, err := strconv.Atoi(code)
	if err != nil {
		return channel.Result{Outcome: channel.Refused}
	}
	r := verdict(n, from, now)
	if r.Outcome == "" {
		r.Outcome = channel.Refused
	}
	return r
}

// lastNumber reads the last part of the URL's path, 0 when it is no number.
func lastNumber(publicURL string) int64 {
	u, err := url.Parse(publicURL)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(path.Base(u.Path), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

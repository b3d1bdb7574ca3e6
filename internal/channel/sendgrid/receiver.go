package sendgrid

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

const (
	signatureHeader = "X-Twilio-Email-Event-Webhook-Signature"
	timestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// Receiver understands SendGrid's event webhook. It implements channel.Receiver.
type Receiver struct{ key *ecdsa.PublicKey }

// NewReceiver returns a receiver. Without a webhook key it refuses every
// callback; with a key that cannot be read it does not start.
func NewReceiver(s Settings) (*Receiver, error) {
	if s.WebhookKey == "" {
		return &Receiver{}, nil
	}
	der, err := base64.StdEncoding.DecodeString(s.WebhookKey)
	if err != nil {
		return nil, invalid("webhook_key", "The SendGrid webhook key is not base64.")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, invalid("webhook_key", "The SendGrid webhook key is not a public key.")
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, invalid("webhook_key", "The SendGrid webhook key is not an ECDSA key.")
	}
	return &Receiver{key: ec}, nil
}

// Headers names what Verify needs.
func (r *Receiver) Headers() []string { return []string{signatureHeader, timestampHeader} }

// Verify checks the signature over time and raw body. Old timestamps pass:
// SendGrid repeats a callback for a day, and applying one twice changes nothing.
func (r *Receiver) Verify(cb channel.Callback) error {
	if r.key == nil {
		return fault.New(fault.Unavailable, "no_webhook_key", "The SendGrid webhook key is not set.")
	}
	signature, err := base64.StdEncoding.DecodeString(cb.Header[signatureHeader])
	if err != nil || len(signature) == 0 {
		return fault.New(fault.Unauthorized, "no_signature", "The callback carries no usable signature.")
	}
	h := sha256.New()
	h.Write([]byte(cb.Header[timestampHeader]))
	h.Write(cb.Body)
	if !ecdsa.VerifyASN1(r.key, h.Sum(nil), signature) {
		return fault.New(fault.Unauthorized, "wrong_signature", "The signature does not fit time and body.")
	}
	return nil
}

// Events reads a callback. An event that cannot be read is left out and named
// by its place in the error; the others are returned. ProviderIDs holds
// SendGrid's id of the single message, which begins with the request's id.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	var list []json.RawMessage
	if json.Unmarshal(cb.Body, &list) != nil {
		return nil, fault.New(fault.Malformed, "unreadable_event", "Cannot read the body.")
	}
	events := make([]channel.Event, 0, len(list))
	var errs []error
	for i, raw := range list {
		var n notice
		if json.Unmarshal(raw, &n) != nil {
			errs = append(errs, fault.New(fault.Malformed, "unreadable_event", "Cannot read event %d.", i))
			continue
		}
		events = append(events, n.event())
	}
	return events, errors.Join(errs...)
}

// notice is the part of an event that means something here. Its reason may
// quote an address and goes no further.
type notice struct {
	Event     string `json:"event"`
	Timestamp int64  `json:"timestamp"`
	MessageID string `json:"sg_message_id"`
	Mark      string `json:"bk_delivery"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
}

func (n *notice) event() channel.Event {
	e := channel.Event{Kind: channel.EventOther, Mark: n.Mark}
	if n.Timestamp > 0 {
		e.At = time.Unix(n.Timestamp, 0).UTC()
	}
	if n.MessageID != "" {
		e.ProviderIDs = []string{n.MessageID}
	}
	switch n.Event {
	case "processed":
		e.Kind = channel.EventAccepted
	case "delivered":
		e.Kind = channel.EventDelivered
	case "bounce", "dropped", "spamreport", "unsubscribe", "group_unsubscribe":
		e.Kind = channel.EventFailed
		e.Outcome, e.Code = n.failure()
	}
	return e
}

func (n *notice) failure() (channel.Outcome, string) {
	switch n.Event {
	case "bounce":
		return n.bounce()
	case "dropped":
		return n.drop()
	}
	return channel.OptedOut, n.Event
}

// bounce tells an address that does not exist from a mail that was not taken
// this time.
func (n *notice) bounce() (channel.Outcome, string) {
	code := "bounce"
	if n.Type == "blocked" || n.Type == "expired" {
		code = n.Type
	}
	if n.Status != "" && len(n.Status) <= len("5.999.999") {
		code += "/" + n.Status
	}
	if n.Type == "blocked" || n.Type == "expired" {
		return channel.Refused, code
	}
	return channel.Gone, code
}

// drop reads why SendGrid did not even try.
func (n *notice) drop() (channel.Outcome, string) {
	reason := strings.ToLower(n.Reason)
	switch {
	case strings.HasPrefix(reason, "bounced address"):
		return channel.Gone, "dropped/bounced"
	case strings.HasPrefix(reason, "unsubscribed address"):
		return channel.OptedOut, "dropped/unsubscribed"
	case strings.HasPrefix(reason, "spam reporting address"):
		return channel.OptedOut, "dropped/spam_report"
	case strings.HasPrefix(reason, "invalid smtpapi"):
		return channel.Refused, "dropped/header"
	case strings.HasPrefix(reason, "invalid"):
		return channel.Gone, "dropped/invalid"
	case strings.HasPrefix(reason, "recipient list over"):
		return channel.StopTheLine, "dropped/quota"
	}
	return channel.Refused, "dropped"
}

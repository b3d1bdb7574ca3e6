package sendgrid

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

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
	written := cb.Header[signatureHeader]
	signature, err := base64.StdEncoding.Strict().DecodeString(written) // one signature is written in one way
	if err != nil || written == "" || strings.ContainsAny(written, "\r\n") {
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
// SendGrid's id of the single message, which begins with the request's id; a
// bounce that comes late has none. What SendGrid tells several times is read
// several times: nothing that follows from it changes by that.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	var list []json.RawMessage
	if json.Unmarshal(cb.Body, &list) != nil {
		return nil, fault.New(fault.Malformed, "unreadable_event", "Cannot read the body.")
	}
	events := make([]channel.Event, 0, len(list))
	var errs []error
	for i, raw := range list {
		n, err := readNotice(raw)
		if err != nil {
			errs = append(errs, fault.New(fault.Malformed, "unreadable_event", "Cannot read event %d.", i))
			continue
		}
		events = append(events, n.events()...)
	}
	return events, errors.Join(errs...)
}

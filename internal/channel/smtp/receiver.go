package smtp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
	"beckon/internal/fault"
)

// signatureHeader carries what Sign makes.
const signatureHeader = "X-Beckon-Signature"

// Receiver understands the e-mails that come back: reports of what could not be
// delivered, and complaints. It implements channel.Receiver. What it reads can be
// sent by anybody, so it names an address only where the report itself proves
// that the message was sent to it.
type Receiver struct {
	token string
	path  returnPath
	ours  *regexp.Regexp // finds a Message-ID of ours
}

// NewReceiver returns a receiver. Without a bounce token it refuses everything.
func NewReceiver(s Settings) (*Receiver, error) {
	path, err := newReturnPath(s.Bounce)
	if err != nil {
		return nil, err
	}
	if s.BounceToken != "" && len(s.BounceToken) < leastToken {
		return nil, invalid("bounce_token", "The token for bounces must have at least 16 characters.")
	}
	return &Receiver{token: s.BounceToken, path: path,
		ours: regexp.MustCompile(`<([A-Za-z0-9]{10,40})@` + regexp.QuoteMeta(email.Domain(s.From)) + `>`)}, nil
}

const leastToken = 16

// WithKey returns the receiver with the key that its Client has.
func (r *Receiver) WithKey(key []byte) *Receiver {
	with := *r
	with.path.key = key
	return &with
}

// Sign makes the value of the header X-Beckon-Signature: it proves that who hands
// in a message knows the token, and can be kept without giving it away.
func Sign(token string, message []byte) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write(message)
	return hex.EncodeToString(h.Sum(nil))
}

// Handed is the callback of a message that somebody handed in with a token, at the
// server of that public URL.
func Handed(publicURL, token string, message []byte) channel.Callback {
	return channel.Callback{URL: publicURL + BouncePath, Header: map[string]string{signatureHeader: Sign(token, message)}, Body: message}
}

// BouncePath is where messages are handed in.
const BouncePath = "/webhooks/smtp/bounces"

// Headers names what Verify needs.
func (r *Receiver) Headers() []string { return []string{signatureHeader} }

// Verify checks that the message was handed in by somebody who knows the token.
func (r *Receiver) Verify(cb channel.Callback) error {
	signature := cb.Header[signatureHeader]
	switch {
	case r.token == "":
		return fault.New(fault.Unavailable, "no_bounce_token", "The token for bounces is not set.")
	case signature == "":
		return fault.New(fault.Unauthorized, "no_signature", "The message was handed in without the token.")
	case !hmac.Equal([]byte(signature), []byte(Sign(r.token, cb.Body))):
		return fault.New(fault.Unauthorized, "wrong_signature", "The message was handed in with another token.")
	}
	return nil
}

// Events reads one e-mail: one event. What is neither a report nor a complaint,
// an answer from somebody on holiday for example, gives EventOther.
func (r *Receiver) Events(cb channel.Callback) ([]channel.Event, error) {
	in, err := open(cb.Body)
	if err != nil {
		return nil, err
	}
	ev := in.event()
	t, found := r.path.read(cb.Body)
	if !found {
		t, _ = r.path.read(in.folded())
	}
	ev.Mark = t.mark
	if ev.Mark == "" {
		ev.Mark = r.mark(in)
	}
	for _, address := range in.addresses {
		if r.path.proves(t, address) {
			ev.Address = address
			break
		}
	}
	ev.At = in.date()
	return []channel.Event{ev}, nil
}

// mark finds ours in the headers of the message that a report is about.
func (r *Receiver) mark(in *inbound) string {
	for _, v := range append([]string{in.returned.Get("Message-Id"), in.header.Get("In-Reply-To"), in.header.Get("References")}, in.text.String()) {
		if m := r.ours.FindStringSubmatch(v); m != nil {
			return m[1]
		}
	}
	return ""
}

package messenger

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

const signatureHeader = "X-Hub-Signature-256"

// Receiver understands Messenger's webhooks. It implements channel.Receiver.
type Receiver struct {
	secret []byte
	token  string
}

// NewReceiver returns a receiver. It refuses every callback when the settings
// hold no app secret, and every subscription when they hold no verify token.
func NewReceiver(s Settings) *Receiver {
	return &Receiver{secret: []byte(s.AppSecret), token: s.VerifyToken}
}

// Headers names what Verify needs.
func (r *Receiver) Headers() []string { return []string{signatureHeader} }

// Verify checks the app's signature over the raw body.
func (r *Receiver) Verify(cb channel.Callback) error {
	if len(r.secret) == 0 {
		return fault.New(fault.Unavailable, "no_app_secret", "The Meta app secret is not set.")
	}
	given, found := strings.CutPrefix(cb.Header[signatureHeader], "sha256=")
	sum, err := hex.DecodeString(given)
	if !found || err != nil || len(sum) != sha256.Size {
		return fault.New(fault.Unauthorized, "no_signature", "The callback carries no usable signature.")
	}
	mac := hmac.New(sha256.New, r.secret)
	mac.Write(cb.Body)
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return fault.New(fault.Unauthorized, "wrong_signature", "The signature does not fit the body.")
	}
	return nil
}

// VerifySubscription answers Meta's check of the webhook address: it takes the
// three hub parameters and returns the challenge, to be sent back as it is.
func (r *Receiver) VerifySubscription(mode, token, challenge string) (string, error) {
	want, got := sha256.Sum256([]byte(r.token)), sha256.Sum256([]byte(token))
	if r.token == "" || mode != "subscribe" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return "", fault.New(fault.Forbidden, "wrong_verify_token", "The verify token is not ours.")
	}
	return challenge, nil
}

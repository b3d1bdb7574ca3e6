package messenger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"beckon/internal/fault"
)

// SignedRequest is what Facebook says of a person who acted on it: in the
// data-deletion callback, that somebody wants what an app holds deleted.
type SignedRequest struct {
	UserID   string // the person for this app: not their PSID
	IssuedAt int64  // seconds since 1970
}

var (
	errSigned   = fault.New(fault.Forbidden, "bad_signature", "The signature of the callback is missing or wrong.")
	errUnsigned = fault.New(fault.Malformed, "unreadable_request", "The signed request cannot be read.")
)

// maxSigned is far more than a signed request is long.
const maxSigned = 16 << 10

// ParseSignedRequest checks a signed_request (a signature and a payload, both
// base64url, with a dot between) and reads it. A wrong signature is a Forbidden
// fault, a payload of another form a Malformed one.
func (r *Receiver) ParseSignedRequest(text string) (SignedRequest, error) {
	signature, payload, found := strings.Cut(text, ".")
	if !found || len(text) > maxSigned || len(r.secret) == 0 {
		return SignedRequest{}, errSigned
	}
	given, err := unbase64(signature)
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(payload))
	if !hmac.Equal(given, mac.Sum(nil)) || err != nil {
		return SignedRequest{}, errSigned
	}
	var in struct {
		Algorithm string      `json:"algorithm"`
		UserID    word        `json:"user_id"`
		IssuedAt  json.Number `json:"issued_at"`
	}
	raw, err := unbase64(payload)
	if err != nil || json.Unmarshal(raw, &in) != nil || !strings.EqualFold(in.Algorithm, "HMAC-SHA256") || in.UserID == "" {
		return SignedRequest{}, errUnsigned
	}
	at, _ := in.IssuedAt.Int64() // without one it is 0
	return SignedRequest{UserID: string(in.UserID), IssuedAt: at}, nil
}

// unbase64 reads base64url as it comes, with or without padding, but with no
// second way to write the same.
func unbase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder passes over
		return nil, errUnsigned
	}
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}

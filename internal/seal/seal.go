// Package seal keeps secrets at rest: it seals values, and derives the keys
// and keyed hashes that the rest of the program uses from one secret.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// MinSecret is the least length of the secret, in bytes.
const MinSecret = 32

// Box seals and opens values with keys derived from one secret. It is safe for
// use by many goroutines.
type Box struct {
	secret []byte
	aead   *subtle.AESGCM
	index  []byte
}

// New derives a Box from a secret of at least MinSecret bytes.
func New(secret []byte) (*Box, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("the secret must be at least %d bytes long", MinSecret)
	}
	b := &Box{secret: secret}
	aead, err := subtle.NewAESGCM(b.Key("seal"))
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	b.aead, b.index = aead, b.Key("hash")
	return b, nil
}

// Key derives a 32-byte key for a purpose.
func (b *Box) Key(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, b.secret, nil, "beckon "+purpose, 32)
	if err != nil {
		panic("seal: " + err.Error()) // only a wrong length can fail
	}
	return k
}

// Seal encrypts a value. What it is bound to (a purpose or a row) must be
// named again to open it.
func (b *Box) Seal(value, boundTo string) ([]byte, error) {
	out, err := b.aead.Encrypt([]byte(value), []byte(boundTo))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out, nil
}

// ErrOpen says that a sealed value is broken or was sealed with another secret.
var ErrOpen = errors.New("a sealed value cannot be opened: was BECKON_SECRET_KEY changed?")

// Open decrypts what Seal made.
func (b *Box) Open(sealed []byte, boundTo string) (string, error) {
	out, err := b.aead.Decrypt(sealed, []byte(boundTo))
	if err != nil {
		return "", ErrOpen
	}
	return string(out), nil
}

// Hash is a keyed hash under which a value can be found again without being
// kept. Different kinds never share a hash.
func (b *Box) Hash(kind, value string) []byte {
	m := hmac.New(sha256.New, b.index)
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(value))
	return m.Sum(nil)
}

// Package link makes and reads the personal way back: a short signed code that
// stands for one delivery.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"
)

// MaxDelivery is the largest delivery number a code can carry. CodeLength is
// how long every code is.
const (
	MaxDelivery = 1<<idBits - 1
	CodeLength  = 16
)

// The purposes of codes. A code of one is worth nothing for another.
const (
	PurposeLink        = "link"
	PurposeUnsubscribe = "unsubscribe"
	PurposeMark        = "mark" // names a delivery at a provider
)

const (
	idBits  = 47
	macBits = 48 // with idBits just under 62^16
	// letters and digits only: nothing that an SMS app or a ref would cut at
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	base     = uint64(len(alphabet))
)

// Coder signs and reads codes of one purpose. It is safe for use by many
// goroutines.
type Coder struct{ key []byte }

// NewCoder returns a coder whose codes only a coder with the same key and
// purpose reads.
func NewCoder(key []byte, purpose string) Coder {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("beckon code for " + purpose))
	return Coder{key: h.Sum(nil)}
}

// Code returns the code of a delivery: 16 letters and digits, always the same
// for the same number, not to be guessed from another. Numbers outside
// 1…MaxDelivery have none: the answer is "".
func (c Coder) Code(delivery int64) string {
	if delivery <= 0 || delivery > MaxDelivery {
		return ""
	}
	mac, id := c.mac(uint64(delivery)), uint64(delivery)
	hi, lo := mac>>(64-idBits), mac<<idBits|id
	var code [CodeLength]byte
	for i := CodeLength - 1; i >= 0; i-- {
		var digit uint64
		hi, digit = hi/base, hi%base
		lo, digit = bits.Div64(digit, lo, base)
		code[i] = alphabet[digit]
	}
	return string(code[:])
}

// Parse returns the delivery that a code was made for. It is false for anything
// that Code did not return: each delivery has exactly one spelling.
func (c Coder) Parse(code string) (delivery int64, ok bool) {
	hi, lo, ok := decode(code)
	if !ok {
		return 0, false
	}
	mac, id := hi<<(64-idBits)|lo>>idBits, lo&MaxDelivery
	// HMAC's own comparison runs in constant time; id 0 is never signed.
	var got, want [8]byte
	binary.BigEndian.PutUint64(got[:], mac)
	binary.BigEndian.PutUint64(want[:], c.mac(id))
	if !hmac.Equal(got[:], want[:]) || id == 0 {
		return 0, false
	}
	return int64(id), true
}

// decode reads the 128-bit number behind a code of the right length.
func decode(code string) (hi, lo uint64, ok bool) {
	if len(code) != CodeLength {
		return 0, 0, false
	}
	for i := range CodeLength {
		digit := strings.IndexByte(alphabet, code[i])
		if digit < 0 {
			return 0, 0, false
		}
		over, low := bits.Mul64(lo, base)
		sum, carry := bits.Add64(low, uint64(digit), 0)
		hi, lo = hi*base+over+carry, sum
	}
	return hi, lo, hi>>(macBits+idBits-64) == 0
}

func (c Coder) mac(id uint64) uint64 {
	h := hmac.New(sha256.New, c.key)
	var in [8]byte
	binary.BigEndian.PutUint64(in[:], id)
	h.Write(in[:])
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(sum[:0])) >> (64 - macBits)
}

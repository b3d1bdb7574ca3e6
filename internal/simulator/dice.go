package simulator

import (
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
)

// dice throws reproducible chances without a lock: the n-th throw of a seed is
// always the same.
type dice struct {
	seed uint64
	n    atomic.Uint64
}

// hit is true with the given chance.
func (d *dice) hit(rate float64) bool {
	if rate <= 0 {
		return false
	}
	return rate >= 1 || d.float() < rate
}

// float is uniform in [0,1).
func (d *dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// next is the finalizer of SplitMix64 over a counter.
func (d *dice) next() uint64 {
	z := d.seed*0xd1342543de82ef95 + d.n.Add(1)*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// newID is 32 random hex digits. Ids are never seeded: two runs against the same
// database must not repeat one.
func newID() string {
	var raw [16]byte
	a, b := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	return hex.EncodeToString(raw[:])
}

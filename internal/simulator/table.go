package simulator

import (
	"hash/maphash"
	"sync"
)

const shards = 64

// table is a map in shards, each with a lock of its own that is held for no
// more than the work on one entry.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shards]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]V
}

func newTable[K comparable, V any]() *table[K, V] {
	t := &table[K, V]{seed: maphash.MakeSeed()}
	t.reset()
	return t
}

// with runs f with the shard of k locked; f must not touch the table again.
func (t *table[K, V]) with(k K, f func(m map[K]V)) {
	sh := &t.shards[maphash.Comparable(t.seed, k)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f(sh.m)
}

// get returns a copy of the value of k.
func (t *table[K, V]) get(k K) (v V, ok bool) {
	t.with(k, func(m map[K]V) { v, ok = m[k] })
	return v, ok
}

// each calls f for every entry, one locked shard after the other.
func (t *table[K, V]) each(f func(K, V)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for k, v := range sh.m {
			f(k, v)
		}
		sh.mu.Unlock()
	}
}

func (t *table[K, V]) reset() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.m = make(map[K]V)
		sh.mu.Unlock()
	}
}

package contact

import (
	"context"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Absorb is Suppress for a provider's list of addresses of one channel. It returns
// the hash of each, and how many suppressions are new.
func (s *Store) Absorb(_ context.Context, tx *db.Tx, kind channel.Kind, list []Silence) (hashes [][]byte, made int, err error) {
	w := s.wanted(kind, list)
	for _, one := range w.list {
		hashes = append(hashes, one.Hash)
	}
	rows, err := s.suppress(tx, w)
	return hashes, len(rows), err
}

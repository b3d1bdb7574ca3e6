package delivery

// SetLeafWidth makes leaves of the ledger small.
func (s *Store) SetLeafWidth(n int64) { s.leaf = n }

package db

// ForUpdate returns the clause that locks the selected rows until the end of
// the transaction. SQLite has one writer, so there is nothing to lock.
func (t *Tx) ForUpdate() string {
	if t.pgx != nil {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked is ForUpdate that leaves out rows somebody else holds.
func (t *Tx) SkipLocked() string {
	if t.pgx != nil {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// TimeType names the type to cast a bound moment to where SQL cannot tell it
// from its surroundings.
func (t *Tx) TimeType() string {
	if t.pgx != nil {
		return "timestamptz"
	}
	return "text"
}

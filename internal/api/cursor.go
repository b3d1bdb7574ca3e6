package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"beckon/internal/fault"
)

// cursorVersion stands before every cursor, so that the form can change.
const cursorVersion = "1"

// cursor writes where a page ended. What is in it is nobody's business but
// the list's own.
func cursor(position any) (*string, error) {
	data, err := json.Marshal(position)
	if err != nil {
		return nil, err
	}
	s := base64.RawURLEncoding.EncodeToString(append([]byte(cursorVersion), data...))
	return &s, nil
}

// readCursor reads what cursor wrote; nil leaves position as it is. Any other
// text is a fault of the field /query/cursor.
func readCursor(text *string, position any) error {
	if text == nil {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(*text)
	if err != nil || len(data) < 2 || string(data[:1]) != cursorVersion || bytes.Contains(data, []byte(`\u0000`)) || json.Unmarshal(data[1:], position) != nil {
		return fault.InvalidFields(fault.Field{Pointer: "/query/cursor", Code: codeFormat, Detail: "Must be a next_cursor of this list."})
	}
	return nil
}

// defaultLimit is how long a page is when nothing is said.
const defaultLimit = 50

// limitOf returns how long a page may be.
func limitOf(limit *int) int {
	if limit == nil {
		return defaultLimit
	}
	return *limit
}

// cut shortens rows, read with one more than the limit, to the page and tells
// where the next one begins.
func cut[R any](rows []R, limit int, position func(R) any) ([]R, *string, error) {
	if len(rows) <= limit {
		return rows, nil, nil
	}
	rows = rows[:limit]
	next, err := cursor(position(rows[limit-1]))
	return rows, next, err
}

// listed answers one page of a list: read brings n rows after a position, or
// from the start for its zero value, and at tells the position of a row.
func listed[P, R, A any](from *string, limit *int, read func(after P, n int) ([]R, error), at func(R) P, answer func(R) A) ([]A, *string, error) {
	var after P
	if err := readCursor(from, &after); err != nil {
		return nil, nil, err
	}
	n := limitOf(limit)
	rows, err := read(after, n+1)
	if err != nil {
		return nil, nil, err
	}
	rows, next, err := cut(rows, n, func(r R) any { return at(r) })
	return each(rows, answer), next, err
}

// each answers every row. The outcome is never nil: an empty list is [].
func each[R, A any](rows []R, answer func(R) A) []A {
	out := make([]A, len(rows))
	for i, r := range rows {
		out[i] = answer(r)
	}
	return out
}

// cursorAfter is for stores that tell themselves after which row the next page
// starts; their zero value says that there is none.
func cursorAfter[P comparable](next P) (*string, error) {
	var none P
	if next == none {
		return nil, nil //nolint:nilnil // null is the cursor of the last page
	}
	return cursor(next)
}

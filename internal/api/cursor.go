package api

import (
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
	if err != nil || len(data) < 2 || string(data[:1]) != cursorVersion || json.Unmarshal(data[1:], position) != nil {
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

// page cuts rows, read with one more than the limit, to the page and tells
// where the next one begins.
func page[R any](rows []R, limit int, position func(R) any) ([]R, *string, error) {
	if len(rows) <= limit {
		return rows, nil, nil
	}
	rows = rows[:limit]
	next, err := cursor(position(rows[limit-1]))
	return rows, next, err
}

// Package patch holds the value of a field in a JSON merge patch, which can be
// set, null or left out.
package patch

import "encoding/json"

// Field is one field of a merge patch. Its zero value is a field left out.
type Field[T any] struct {
	Set   bool // the field is in the patch
	Null  bool // and is null: remove what is there
	Value T    // what to set; the zero value when null or left out
}

// UnmarshalJSON reads a field that is in the patch.
func (f *Field[T]) UnmarshalJSON(data []byte) error {
	*f = Field[T]{Set: true}
	if string(data) == "null" {
		f.Null = true
		return nil
	}
	return json.Unmarshal(data, &f.Value)
}

// Pointer returns nil for a field left out, and the zero value for null: what
// stores take as "leave" and "clear".
func (f Field[T]) Pointer() *T {
	if !f.Set {
		return nil
	}
	return &f.Value
}

// Over returns what is there after the patch, when before was there before it.
func (f Field[T]) Over(before *T) *T {
	switch {
	case !f.Set:
		return before
	case f.Null:
		return nil
	}
	return &f.Value
}

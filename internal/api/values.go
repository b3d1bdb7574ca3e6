package api

import (
	"github.com/google/uuid"

	"beckon/internal/fault"
)

// orNull answers an empty text as null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// orZero reads a field that may be left out.
func orZero[T any](v *T) T {
	if v == nil {
		var none T
		return none
	}
	return *v
}

// inQuery is for what a store finds wrong with a query parameter: it speaks of
// fields of a body.
func inQuery(err error) error {
	fields := fieldsOf(err)
	if len(fields) == 0 {
		return err
	}
	out := make([]fault.Field, len(fields))
	for i, f := range fields {
		out[i] = fault.Field{Pointer: "/query" + f.Pointer, Code: f.Code, Detail: f.Detail}
	}
	return fault.InvalidFields(out...)
}

// idOrNull answers the id of nothing as null.
func idOrNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

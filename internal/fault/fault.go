// Package fault is the error type that crosses package borders: what kind of
// thing went wrong, a stable code for programs and a message fit to show.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what the caller may do about an error. The API maps each kind to
// one HTTP status.
type Kind string

// The closed set of kinds.
const (
	Malformed    Kind = "malformed"    // 400: cannot be read at all
	Unauthorized Kind = "unauthorized" // 401: no valid key or signature
	Forbidden    Kind = "forbidden"    // 403: the key lacks the scope
	NotFound     Kind = "not_found"    // 404
	Conflict     Kind = "conflict"     // 409: clashes with what is stored
	TooLarge     Kind = "too_large"    // 413
	Unsupported  Kind = "unsupported"  // 415: content type not taken here
	Invalid      Kind = "invalid"      // 422: well-formed, but wrong
	TooMany      Kind = "too_many"     // 429
	Unavailable  Kind = "unavailable"  // 503: a part that is needed is down or not set up
	Internal     Kind = "internal"     // 500: never shown in detail
)

// Field names what is wrong with one field of the input.
type Field struct {
	Pointer string // RFC 6901, for example "/phone"
	Code    string // stable, for programs
	Detail  string // for people; carries no personal datum
}

// Error is a failure with a kind, a stable code and a message that may be shown
// to whoever made the request. The cause, if any, is for logs only.
type Error struct {
	Kind   Kind
	Code   string
	Detail string
	Fields []Field
	cause  error
}

// New returns an error whose detail is safe to show.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidFields returns an Invalid error over the given fields. It returns nil
// when there are none, as a nil error.
func InvalidFields(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Code: "invalid_fields", Detail: "Some fields are not valid.", Fields: fields}
}

// With returns a copy that names the fields concerned.
func (e *Error) With(fields ...Field) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), fields...)
	return &c
}

// Because returns a copy that carries its cause for logs.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

func (e *Error) Error() string {
	s := e.Code + ": " + e.Detail
	for _, f := range e.Fields {
		s += " [" + f.Pointer + " " + f.Code + ": " + f.Detail + "]"
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err carries the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// HasCode reports whether err carries the given code.
func HasCode(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

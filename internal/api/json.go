package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"beckon/internal/fault"
)

// maxDepth bounds how deep a body may nest.
const maxDepth = 32

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Malformed, "malformed", format, args...)
}

// parseJSON reads one JSON value and is stricter than encoding/json: a name
// twice in an object, text after the end, broken UTF-8, NUL characters (which
// PostgreSQL cannot store) and deep nesting are refused. Numbers stay as they are written.
func parseJSON(data []byte) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, malformed("The body is empty.")
	}
	if !utf8.Valid(data) {
		return nil, malformed("The body is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	p := parser{d}
	value, err := p.value(nil)
	if err != nil {
		return nil, p.explain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("There is text after the end of the JSON value, at byte %d.", d.InputOffset())
	}
	return value, nil
}

type parser struct{ *json.Decoder }

// explain turns what the decoder says into a fault that quotes nothing.
func (p parser) explain(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return malformed("The body is not valid JSON, at byte %d.", p.InputOffset())
}

func (p parser) value(at []string) (any, error) {
	if len(at) > maxDepth {
		return nil, malformed("The body nests deeper than %d levels.", maxDepth)
	}
	t, err := p.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return p.object(at)
	case json.Delim('['):
		return p.array(at)
	}
	return t, checkNUL(t, at)
}

func checkNUL(t json.Token, at []string) error {
	if s, ok := t.(string); ok && strings.ContainsRune(s, 0) {
		return malformed("A text holds a NUL character.").With(fault.Field{Pointer: pointer(at...), Code: codeFormat, Detail: "Must not hold a NUL character."})
	}
	return nil
}

func (p parser) object(at []string) (any, error) {
	object := map[string]any{}
	for p.More() {
		t, err := p.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		here := slices.Concat(at, []string{name})
		if err := checkNUL(t, at); err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			return nil, malformed("A name stands twice in one object.").With(fault.Field{Pointer: pointer(here...), Code: "duplicate", Detail: "Stands twice."})
		}
		if object[name], err = p.value(here); err != nil {
			return nil, err
		}
	}
	_, err := p.Token()
	return object, err
}

func (p parser) array(at []string) (any, error) {
	array := []any{}
	for p.More() {
		v, err := p.value(append(at[:len(at):len(at)], strconv.Itoa(len(array))))
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := p.Token()
	return array, err
}

package api

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"beckon/internal/fault"
)

// The codes of fields that do not fit the specification.
const (
	codeRequired   = "required"
	codeUnknown    = "unknown_field"
	codeType       = "wrong_type"
	codeNotAllowed = "not_allowed"
	codeFormat     = "bad_format"
	codeTooLong    = "too_long"
	codeTooShort   = "too_short"
	codeRange      = "out_of_range"
	codeNotUnique  = "not_unique"
)

// maxFields bounds how many wrong fields one answer names.
const maxFields = 100

// check returns every field of value that does not fit the schema, once, in
// order of their pointers.
func (c *Contract) check(schema *openapi3.Schema, value any) []fault.Field {
	found := map[string]fault.Field{}
	collect(schema.VisitJSON(value, c.options...), found)
	pointers := slices.Sorted(keysOf(found))
	fields := make([]fault.Field, 0, len(pointers))
	for _, p := range pointers[:min(len(pointers), maxFields)] {
		fields = append(fields, found[p])
	}
	return fields
}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// collect walks what the validator found; the first fault of a field counts.
func collect(err error, found map[string]fault.Field) {
	switch e := err.(type) { //nolint:errorlint // these are nested, not wrapped
	case openapi3.MultiError:
		for _, one := range e {
			collect(one, found)
		}
	case *openapi3.SchemaError:
		var inner openapi3.MultiError
		if e.SchemaField == "allOf" && errors.As(unwrapAll(e.Origin), &inner) {
			collect(inner, found)
			return
		}
		for _, f := range faultsOf(e) {
			if _, known := found[f.Pointer]; !known {
				found[f.Pointer] = f
			}
		}
	}
}

// unwrapAll digs out the list that an allOf hides below two wrappings.
func unwrapAll(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func faultsOf(e *openapi3.SchemaError) []fault.Field {
	at := pointer(e.JSONPointer()...)
	if e.SchemaField == "properties" {
		return unknownFields(at, e)
	}
	code := codeOf(e.SchemaField)
	return []fault.Field{{Pointer: at, Code: code, Detail: detailOf(code, e.Schema)}}
}

// unknownFields names them all: the validator's error does not carry the name.
func unknownFields(at string, e *openapi3.SchemaError) []fault.Field {
	object, _ := e.Value.(map[string]any)
	var fields []fault.Field
	for name := range object {
		if e.Schema.Properties[name] == nil {
			fields = append(fields, fault.Field{Pointer: at + pointer(name), Code: codeUnknown, Detail: detailOf(codeUnknown, nil)})
		}
	}
	return fields
}

// pointer writes names as an RFC 6901 pointer.
func pointer(names ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, name := range names {
		b.WriteString("/" + escape.Replace(name))
	}
	return b.String()
}

func codeOf(keyword string) string {
	switch keyword {
	case "required":
		return codeRequired
	case "type", "nullable":
		return codeType
	case "enum":
		return codeNotAllowed
	case "maxLength", "maxItems", "maxProperties":
		return codeTooLong
	case "minLength", "minItems", "minProperties":
		return codeTooShort
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return codeRange
	case "uniqueItems":
		return codeNotUnique
	}
	return codeFormat
}

// detailOf says in words what a field must be. It never quotes the value.
func detailOf(code string, s *openapi3.Schema) string {
	switch code {
	case codeRequired:
		return "Is missing."
	case codeUnknown:
		return "There is no such field."
	case codeNotUnique:
		return "Must not hold the same entry twice."
	case codeType:
		return "Must be " + typeName(s) + "."
	case codeNotAllowed:
		return "Must be one of " + oneOf(s.Enum) + "."
	case codeTooLong:
		return "Must have at most " + size(s.MaxLength, s.MaxItems, s.MaxProps) + "."
	case codeTooShort:
		return "Must have at least " + size(&s.MinLength, &s.MinItems, &s.MinProps) + "."
	case codeRange:
		return "Must be " + bounds(s) + "."
	}
	return "Must be " + formatName(s) + "."
}

func typeName(s *openapi3.Schema) string {
	switch {
	case s.Type == nil:
		return "a value"
	case s.Type.Is("integer"):
		return "a whole number"
	case s.Type.Is("boolean"):
		return "true or false"
	case s.Type.Is("string"):
		return "text"
	case s.Type.Is("array"):
		return "a list"
	case s.Type.Is("object"):
		return "an object"
	}
	return "a number"
}

func oneOf(values []any) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = fmt.Sprint(v)
	}
	return strings.Join(names, ", ")
}

func size(length, items, props *uint64) string {
	switch {
	case length != nil && *length > 0:
		return plural(*length, "character")
	case items != nil && *items > 0:
		return plural(*items, "entry")
	case props != nil:
		return plural(*props, "field")
	}
	return "what the specification says"
}

func plural(n uint64, word string) string {
	if n != 1 {
		word = strings.TrimSuffix(word, "y") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(word, "y")]
	}
	return strconv.FormatUint(n, 10) + " " + word
}

func bounds(s *openapi3.Schema) string {
	var parts []string
	if s.Min != nil {
		parts = append(parts, fmt.Sprintf("at least %v", *s.Min))
	}
	if s.Max != nil {
		parts = append(parts, fmt.Sprintf("at most %v", *s.Max))
	}
	return strings.Join(parts, " and ")
}

func formatName(s *openapi3.Schema) string {
	switch {
	case s.Format == "uuid":
		return "a UUID"
	case s.Format == "email":
		return "an e-mail address"
	case s.Format == "date-time":
		return "an RFC 3339 time, such as 2026-03-02T09:00:00Z"
	case s.Pattern != "":
		return "text that fits " + s.Pattern
	}
	return "as the specification says"
}

var errFormat = errors.New("does not have the format")

// formats are the validators that the library lacks or has too narrow: its
// UUIDs end at version 5, its times take the 31st of February.
func formats() map[string]openapi3.StringFormatValidator {
	return map[string]openapi3.StringFormatValidator{
		"uuid":      openapi3.NewCallbackValidator(checkUUID),
		"email":     openapi3.NewCallbackValidator(checkEmail),
		"date-time": openapi3.NewCallbackValidator(checkTime),
	}
}

func checkUUID(s string) error {
	if _, err := uuid.Parse(s); err != nil || len(s) != 36 {
		return errFormat
	}
	return nil
}

func checkEmail(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return errFormat
	}
	return nil
}

func checkTime(s string) error {
	if t, err := time.Parse(time.RFC3339, s); err != nil || t.Year() < 1900 {
		return errFormat
	}
	return nil
}

package content

import (
	"encoding/json"
	"fmt"
	"html"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mode is how a value is written into its surroundings. The letter ends the
// marker of a hole, so that one expression has one marker in each mode.
type mode byte

const (
	plain   mode = 't' // as it is
	line    mode = 's' // on one line: subjects, titles
	markup  mode = 'h' // inside HTML
	derived mode = 'x' // written as HTML, then turned into text
)

// write makes a value fit for its surroundings.
func (m mode) write(value string) string {
	value = clean(value)
	switch m {
	case line:
		return oneLine(value)
	case markup, derived:
		return html.EscapeString(value)
	}
	return value
}

// clean drops what has no place in a value and can upset a provider or the rest
// of the text: control characters, broken UTF-8, and the characters that turn
// the direction of everything after them.
func clean(s string) string {
	if isClean(s) {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case unwanted(r):
			return -1
		}
		return r
	}, s)
}

func isClean(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return isCleanUnicode(s[i:])
		}
	}
	return true
}

func isCleanUnicode(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '\r' || r == '\u2028' || r == '\u2029' || unwanted(r)
	})
}

func unwanted(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\ufeff'
}

// oneLine puts a space for every line break and tab.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") {
		return s
	}
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s)
}

// show writes a value of any type the way people expect to read it. The engine
// alone would print a million as 1e+06.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any:
		out, _ := json.Marshal(v)
		return string(out)
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return fmt.Sprint(v)
	}
	var b strings.Builder
	for i := range list.Len() {
		b.WriteString(show(list.Index(i).Interface()))
	}
	return b.String()
}

// blank is what Liquid's default filter replaces.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

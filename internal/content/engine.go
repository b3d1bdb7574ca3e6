package content

import (
	"errors"
	"fmt"
	"html"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/values"
	"github.com/osteele/tuesday"
)

// The filters that every output of a template is made to end with. They cannot
// be written by an author: names are checked against filterNames.
const (
	filterOut = "beckon_out" // write the value as its mode demands
	filterRaw = "beckon_raw" // write it as it is: it was written once before
)

// safe is a value that has its HTML already.
type safe string

// newEngine returns Liquid with our filters, writing values the way m demands.
func newEngine(m mode) *liquid.Engine {
	e := liquid.NewEngine()
	e.RegisterFilter(filterOut, func(v any) (string, error) {
		if s, ok := v.(safe); ok {
			return bounded(string(s))
		}
		return bounded(m.write(show(v)))
	})
	e.RegisterFilter(filterRaw, func(v any) (string, error) { return bounded(show(v)) })
	registerText(e)
	registerGrowing(e)
	registerNumbers(e)
	if m == markup || m == derived {
		e.RegisterFilter("escape", func(s string) safe { return safe(html.EscapeString(clean(s))) })
		e.RegisterFilter("escape_once", func(s string) safe {
			return safe(html.EscapeString(html.UnescapeString(clean(s))))
		})
		e.RegisterFilter("newline_to_br", func(s string) safe {
			return safe(strings.ReplaceAll(html.EscapeString(clean(s)), "\n", "<br />\n"))
		})
	}
	return e
}

// filterNames are the filters an author may use.
func filterNames() []string {
	return []string{
		"default", "capitalize", "downcase", "upcase", "strip", "lstrip", "rstrip", "strip_newlines",
		"strip_html", "escape", "escape_once", "newline_to_br", "append", "prepend", "remove",
		"remove_first", "replace", "replace_first", "slice", "split", "join", "first", "last", "size",
		"sort", "sort_natural", "reverse", "uniq", "compact", "map", "concat", "truncate",
		"truncatewords", "url_encode", "url_decode", "date", "abs", "ceil", "floor", "round", "plus",
		"minus", "times", "divided_by", "modulo", "json",
	}
}

// registerText replaces the engine's text filters that cut letters in two, or
// fail on a missing value.
func registerText(e *liquid.Engine) {
	e.RegisterFilter("capitalize", func(s string) string {
		r := []rune(s)
		if len(r) == 0 {
			return s
		}
		return strings.ToUpper(string(r[:1])) + string(r[1:])
	})
	e.RegisterFilter("slice", func(s string, start int, length func(int) int) string {
		return slice([]rune(s), start, length(1))
	})
	e.RegisterFilter("truncate", func(s string, length func(int) int, ellipsis func(string) string) string {
		return truncate([]rune(s), length(50), []rune(ellipsis("...")))
	})
	e.RegisterFilter("truncatewords", func(s string, length func(int) int, ellipsis func(string) string) string {
		words := strings.Fields(s)
		if n := max(length(15), 1); len(words) > n {
			return strings.Join(words[:n], " ") + ellipsis("...")
		}
		return s
	})
	e.RegisterFilter("url_decode", func(s string) string {
		out, err := url.QueryUnescape(s)
		if err != nil {
			return s
		}
		return out
	})
	e.RegisterFilter("date", func(v any, format func(string) string) (string, error) {
		return date(v, format("%a, %b %d, %y"))
	})
}

// registerGrowing replaces the filters by which a value could be made to double
// again and again.
func registerGrowing(e *liquid.Engine) {
	e.RegisterFilter("append", func(s, suffix string) (string, error) { return bounded(s + suffix) })
	e.RegisterFilter("prepend", func(s, prefix string) (string, error) { return bounded(prefix + s) })
	e.RegisterFilter("replace", func(s, old, by string) (string, error) {
		if strings.Count(s, old)*len(by) > maxOutput {
			return "", errTooLong
		}
		return strings.ReplaceAll(s, old, by), nil
	})
	e.RegisterFilter("replace_first", func(s, old, by string) (string, error) {
		return bounded(strings.Replace(s, old, by, 1))
	})
	e.RegisterFilter("concat", func(a, b []any) ([]any, error) {
		if len(a)+len(b) > maxOutput {
			return nil, errTooLong
		}
		return slices.Concat(a, b), nil
	})
}

var errTooLong = errors.New("output too long")

func bounded(s string) (string, error) {
	if len(s) > maxOutput {
		return "", errTooLong
	}
	return s, nil
}

func slice(s []rune, start, length int) string {
	if start < 0 {
		start += len(s)
	}
	if start < 0 || start >= len(s) || length <= 0 {
		return ""
	}
	return string(s[start : start+min(length, len(s)-start)])
}

func truncate(s []rune, length int, ellipsis []rune) string {
	if len(s) <= length {
		return string(s)
	}
	return string(s[:min(len(s), max(length, len(ellipsis))-len(ellipsis))]) + string(ellipsis)
}

// date formats dates, date strings and Unix seconds; a missing one is nothing.
func date(v any, format string) (string, error) {
	if blank(v) {
		return "", nil
	}
	if seconds, ok := v.(int); ok {
		v = time.Unix(int64(seconds), 0).UTC()
	}
	t, err := values.Convert(v, reflect.TypeFor[time.Time]())
	if err != nil {
		return "", errors.New("not a date")
	}
	return tuesday.Strftime(format, t.(time.Time))
}

// registerNumbers replaces arithmetic that would print NaN or infinity, or that
// fails on a missing value.
func registerNumbers(e *liquid.Engine) {
	e.RegisterFilter("divided_by", func(a float64, b any) (any, error) {
		if n, ok := b.(int); ok && n != 0 {
			return int(math.Floor(a / float64(n))), nil
		}
		f, err := values.Convert(b, reflect.TypeFor[float64]())
		if err != nil || f == 0.0 {
			return nil, errors.New("no divisor")
		}
		return a / f.(float64), nil
	})
	e.RegisterFilter("modulo", func(a, b float64) (any, error) {
		if b == 0 {
			return nil, errors.New("no divisor")
		}
		return math.Mod(a, b), nil
	})
}

// limited stops an output that grows without end.
type limited struct {
	strings.Builder
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLong
	}
	return l.Builder.Write(p)
}

// run fills in one template of the engine. The engine panics on some inputs;
// that comes back as an error.
func run(t *liquid.Template, bindings map[string]any) (out string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("template engine: %v", r)
		}
	}()
	w := limited{left: maxOutput}
	if err := t.FRender(&w, bindings); err != nil {
		return "", err
	}
	return w.String(), nil
}

package audience

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxText   = 500
	maxPart   = 100 // of Contains and StartsWith
	maxNumber = 1e300
)

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// values reads what a rule compares with.
func (p *parser) values(r *rule, raw json.RawMessage, at string) {
	if string(bytes.TrimSpace(raw)) == "null" {
		raw = nil
	}
	switch {
	case r.op == Exists:
		r.want = p.want(raw, at)
	case raw == nil:
		p.fault(at, "required", "Must be given.")
	case r.op == In:
		p.list(r, raw, at)
	default:
		p.value(r, raw, at)
	}
	p.cost += 16 // what one rule takes at most beside its values
}

func (p *parser) want(raw json.RawMessage, at string) bool {
	want := true
	if raw != nil && json.Unmarshal(raw, &want) != nil {
		p.fault(at, "type", "Must be true, false or nothing.")
	}
	return want
}

func (p *parser) list(r *rule, raw json.RawMessage, at string) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > maxValues {
		p.fault(at, "length", "Must be a list of 1 to 100 values.")
		return
	}
	for i, one := range list {
		p.value(r, one, at+"/"+strconv.Itoa(i))
	}
}

func (p *parser) value(r *rule, raw json.RawMessage, at string) {
	v, ok := read(raw)
	if ok && v.kind == text && r.field.kind == timeField {
		if v, ok = asMoment(v); !ok {
			p.fault(at, "format", "Must be a time (RFC 3339) or a date.")
			return
		}
	}
	if !ok || !slices.Contains(r.field.kind.takes(r.op), v.kind) {
		p.fault(at, "type", "This field and operator do not take such a value.")
		return
	}
	if code, detail := r.refuses(v); code != "" {
		p.fault(at, code, detail)
		return
	}
	if r.field.column == "email" && r.op != Contains && r.op != StartsWith {
		v.text = strings.ToLower(strings.TrimSpace(v.text)) // as it is stored
	}
	if r.op == Contains || r.op == StartsWith {
		_, letters := fold(v.text)
		p.cost += 2 * len(letters)
	}
	p.cost++
	r.values = append(r.values, v)
}

// refuses says what is wrong with a value of the right kind, if anything is.
func (r *rule) refuses(v value) (code, detail string) {
	partly := r.op == Contains || r.op == StartsWith
	switch n := utf8.RuneCountInString(v.text); {
	case v.kind == number && (math.IsNaN(v.number) || math.Abs(v.number) >= maxNumber):
		return "range", "Is too large."
	case strings.ContainsAny(v.text, "\x00\uFFFD"):
		return "characters", "Holds a character that cannot be kept."
	case n > maxText || partly && n > maxPart:
		return "length", "Is too long."
	case v.kind == text && n == 0 && (partly || r.field.kind != attributeField):
		return "length", "Must not be empty; exists with false finds what is not there."
	case r.field.kind == consentField && v.text != "subscribed" && v.text != "unsubscribed":
		return "enum", "Must be subscribed or unsubscribed."
	case r.field.ofTopics() && !slug.MatchString(v.text):
		return "pattern", "Must be the slug of a topic."
	}
	return "", ""
}

// read returns false for null, lists and objects.
func read(raw json.RawMessage) (value, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return value{}, false
	}
	switch v := v.(type) {
	case string:
		return value{kind: text, text: v}, true
	case bool:
		return value{kind: truth, text: strconv.FormatBool(v)}, true
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			f = math.NaN() // past what a number can be
		}
		return value{kind: number, number: f}, true
	}
	return value{}, false
}

func asMoment(v value) (value, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, v.text); err == nil {
			return value{kind: moment, at: at.UTC().Truncate(time.Microsecond)}, true
		}
	}
	return v, false
}

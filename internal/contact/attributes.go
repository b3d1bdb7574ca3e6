package contact

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxAttributes      = 100
	maxAttributesBytes = 16 << 10
	maxAttributesDepth = 16 // SQLite refuses a column whose JSON is too deep, for every query over it
)

// attributes checks each value and puts it into JSON that both engines take;
// nil stays nil.
func (c *checks) attributes(in map[string]any) map[string]json.RawMessage {
	if len(in) == 0 {
		return nil
	}
	if len(in) > maxAttributes {
		c.add("/attributes", "too_large", "Must have at most 100 names.")
		return nil
	}
	out := make(map[string]json.RawMessage, len(in))
	for name, v := range in {
		raw, ok := encode(v)
		if !ok || name == "" || len(name) > maxText || !plain(name) {
			c.add("/attributes/"+escape(name), "bad_attribute", "Must be plain JSON: no control characters, at most 16 levels, numbers in range.")
			continue
		}
		out[name] = raw
	}
	return out
}

// escape writes a name as part of a JSON pointer.
func escape(name string) string {
	if len(name) > maxText {
		name = name[:maxText]
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func encode(v any) (json.RawMessage, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return marshal(v), plain(v)
	case json.RawMessage:
		return recode(v)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	return recode(raw)
}

// recode decodes and encodes again, which settles escapes that PostgreSQL
// refuses, such as half a surrogate pair.
func recode(raw []byte) (json.RawMessage, bool) {
	v, err := decode(raw)
	if err != nil || !sound(v, maxAttributesDepth) {
		return nil, false
	}
	if v == nil {
		return nil, true
	}
	return marshal(v), true
}

func decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err = d.Decode(&v); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	return v, err
}

func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // only decoded values and texts get here
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func sound(v any, depth int) bool {
	switch v := v.(type) {
	case string:
		return plain(v)
	case json.Number:
		_, err := strconv.ParseFloat(v.String(), 64)
		return err == nil
	case []any:
		return depth > 0 && !slices.ContainsFunc(v, func(e any) bool { return !sound(e, depth-1) })
	case map[string]any:
		for name, e := range v {
			if depth == 0 || !plain(name) || !sound(e, depth-1) {
				return false
			}
		}
	}
	return true
}

// with merges changes into the object. It reports whether anything changed and
// whether the outcome is small enough to keep.
func (a Attributes) with(changes map[string]json.RawMessage) (out Attributes, changed, fits bool) {
	if len(changes) == 0 {
		return a, false, true
	}
	all := map[string]json.RawMessage{}
	_ = json.Unmarshal(a, &all) // the column holds nothing but objects
	for name, v := range changes {
		old, had := all[name]
		switch {
		case v == nil:
			delete(all, name)
			changed = changed || had
		case !had || !equalJSON(old, v):
			all[name], changed = v, true
		}
	}
	if !changed {
		return a, false, true
	}
	out = object(all)
	return out, true, len(all) <= maxAttributes && len(out) <= maxAttributesBytes
}

func object(all map[string]json.RawMessage) Attributes {
	out := append(make([]byte, 0, 256), '{')
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, marshal(name)...), ':'), all[name]...)
	}
	return append(out, '}')
}

// equalJSON compares values, not texts: the engines write JSON differently.
func equalJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	va, aerr := decode(a)
	vb, berr := decode(b)
	return aerr == nil && berr == nil && reflect.DeepEqual(va, vb)
}

package audience

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/fault"
)

// What a set of rules may hold at most. The cost keeps the statement within
// the parameters that both engines take.
const (
	maxBytes  = 64 << 10
	maxDepth  = 8
	maxRules  = 200
	maxValues = 100 // of one In, and of one group
	maxCost   = 8000
	maxFaults = 20
)

// Parse reads rules. Nothing, null and {} are everyone. What is wrong is an
// Invalid fault whose pointers begin with /audience.
func Parse(raw json.RawMessage) (Audience, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return Audience{}, nil
	}
	p := parser{}
	switch {
	case len(raw) > maxBytes:
		p.fault("/audience", "too_big", "Must be at most 64 KiB.")
	case !utf8.Valid(raw) || !json.Valid(raw):
		p.fault("/audience", "malformed", "Must be JSON in UTF-8.")
	default:
		return p.root(raw)
	}
	return Audience{}, fault.InvalidFields(p.bad...)
}

type parser struct {
	rules, cost int
	full        bool // of rules: told once
	bad         []fault.Field
}

func (p *parser) fault(at, code, detail string) {
	if len(p.bad) < maxFaults {
		p.bad = append(p.bad, fault.Field{Pointer: at, Code: code, Detail: detail})
	}
}

func (p *parser) root(raw json.RawMessage) (Audience, error) {
	if m := p.object(raw, "/audience"); m != nil && len(m) == 0 {
		return Audience{}, nil
	}
	p.bad = nil
	n := p.node(raw, "/audience", 1)
	if p.cost > maxCost {
		p.fault("/audience", "too_big", "Has too many values.")
	}
	if err := fault.InvalidFields(p.bad...); err != nil {
		return Audience{}, err
	}
	return Audience{root: &n}, nil
}

// object returns nil for what is not one.
func (p *parser) object(raw json.RawMessage, at string) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		p.fault(at, "type", "Must be an object.")
		return nil
	}
	return m
}

func (p *parser) node(raw json.RawMessage, at string, depth int) node {
	m := p.object(raw, at)
	if m == nil {
		return node{}
	}
	if depth > maxDepth {
		p.fault(at, "too_deep", "Rules may be nested 8 deep.")
		return node{}
	}
	switch joints := present(m, string(jointAll), string(jointAny), string(jointNot)); {
	case len(joints) == 0:
		return node{rule: p.rule(m, at)}
	case len(joints) > 1:
		p.fault(at, "ambiguous", "Must be one of all, any, not or a rule.")
		return node{}
	default:
		p.known(m, at, joints[0])
		return p.group(joint(joints[0]), m[joints[0]], at+"/"+joints[0], depth)
	}
}

func present(m map[string]json.RawMessage, keys ...string) []string {
	return slices.DeleteFunc(keys, func(k string) bool { _, ok := m[k]; return !ok })
}

func (p *parser) group(j joint, raw json.RawMessage, at string, depth int) node {
	n := node{joint: j}
	if j == jointNot {
		n.of = []node{p.node(raw, at, depth+1)}
		return n
	}
	var members []json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 || len(members) > maxValues {
		p.fault(at, "length", "Must be a list of 1 to 100 rules.")
		return n
	}
	for i, m := range members {
		n.of = append(n.of, p.node(m, at+"/"+strconv.Itoa(i), depth+1))
	}
	return n
}

// known refuses every key but those given.
func (p *parser) known(m map[string]json.RawMessage, at string, keys ...string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(keys, k) {
			p.fault(at+"/"+pointerPart(k), "unknown_key", "There is no such key here.")
		}
	}
}

// pointerPart escapes a key for a pointer (RFC 6901) and keeps it short.
func pointerPart(key string) string {
	if r := []rune(key); len(r) > 64 {
		key = string(r[:64])
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func (p *parser) rule(m map[string]json.RawMessage, at string) rule {
	p.rules++
	if p.rules > maxRules {
		if !p.full {
			p.fault(at, "too_many_rules", "At most 200 rules.")
		}
		p.full = true
		return rule{}
	}
	f, ok := p.field(m["field"], at+"/field")
	if !ok {
		p.known(m, at, "field", "op", "value", "page", "stack")
		return rule{}
	}
	r := rule{field: f}
	keys := []string{"field", "op", "value"}
	if f.ofTopics() {
		keys, r.page = append(keys, "page"), p.page(m["page"], at+"/page")
	}
	if f.kind == askableField {
		keys, r.stack = append(keys, "stack"), m["stack"] != nil && p.truth(m["stack"], at+"/stack")
	}
	p.known(m, at, keys...)
	if r.op, ok = p.op(m["op"], at+"/op", f.kind); ok {
		p.values(&r, m["value"], at+"/value")
	}
	return r
}

func (p *parser) field(raw json.RawMessage, at string) (field, bool) {
	name, ok := p.word(raw, at)
	if !ok {
		return field{}, false
	}
	f, ok := fieldOf(name)
	if !ok {
		p.fault(at, "unknown_field", "There is no such field.")
	}
	return f, ok
}

func (p *parser) op(raw json.RawMessage, at string, k fieldKind) (Op, bool) {
	name, ok := p.word(raw, at)
	if !ok {
		return "", false
	}
	switch op := Op(name); {
	case !slices.Contains(attributeField.ops(), op):
		p.fault(at, "unknown_op", "There is no such operator.")
		return "", false
	case !slices.Contains(k.ops(), op):
		p.fault(at, "op_not_allowed", "This field does not take this operator.")
		return "", false
	default:
		return op, true
	}
}

func (p *parser) word(raw json.RawMessage, at string) (string, bool) {
	var s *string
	switch {
	case raw == nil:
		p.fault(at, "required", "Must be given.")
	case json.Unmarshal(raw, &s) != nil || s == nil:
		p.fault(at, "type", "Must be a text.")
	default:
		return *s, true
	}
	return "", false
}

func (p *parser) truth(raw json.RawMessage, at string) (is bool) {
	if string(bytes.TrimSpace(raw)) == "null" || json.Unmarshal(raw, &is) != nil {
		p.fault(at, "type", "Must be true or false.")
	}
	return is
}

func (p *parser) page(raw json.RawMessage, at string) uuid.UUID {
	if raw == nil {
		return uuid.Nil
	}
	s, ok := p.word(raw, at)
	if !ok {
		return uuid.Nil
	}
	id, err := uuid.Parse(s)
	if err != nil || id == uuid.Nil {
		p.fault(at, "format", "Must be the id of a page.")
	}
	return id
}

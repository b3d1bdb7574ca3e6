package audience_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// person is a contact as the oracle knows it.
type person struct {
	id         uuid.UUID
	texts      map[string]string // by column
	sms, email string            // consents
	attributes map[string]any
	created    time.Time
	tokens     []held
	near       []near
}

// near is a Messenger address, and the permissions asked for there.
type near struct {
	page    uuid.UUID
	acted   time.Duration // ago; 0 is never
	blocked bool
	held    time.Duration // from now; 0 is not held
	asked   []request
}

type request struct {
	topic, state, code string
	ago                time.Duration
}

type held struct {
	topic, status string
	page          uuid.UUID
}

// rules are written down as what JSON they are.
type rules = map[string]any

// matches is what the rules mean, said in Go.
func (p person) matches(r rules) bool {
	if members, ok := r["all"]; ok {
		return !slices.ContainsFunc(members.([]any), func(m any) bool { return !p.matches(m.(rules)) })
	}
	if members, ok := r["any"]; ok {
		return slices.ContainsFunc(members.([]any), func(m any) bool { return p.matches(m.(rules)) })
	}
	if member, ok := r["not"]; ok {
		return !p.matches(member.(rules))
	}
	field, op, value := r["field"].(string), r["op"].(string), r["value"]
	if field == "may_be_asked" {
		return p.mayBeAsked(value, r["page"], r["stack"] == true) != (op == "ne")
	}
	if field == "has_token" {
		return p.hasToken(op, value, r["page"])
	}
	return fulfils(p.field(field), op, value)
}

// field is nil for what the person does not have.
func (p person) field(name string) any {
	if attribute, ok := strings.CutPrefix(name, "attributes."); ok {
		return p.attributes[attribute]
	}
	s := p.texts[name]
	switch name {
	case "consents.sms":
		s = p.sms
	case "consents.email":
		s = p.email
	case "created_at":
		return p.created
	}
	if s == "" {
		return nil
	}
	return s
}

func fulfils(have any, op string, value any) bool {
	switch op {
	case "exists":
		return (have != nil) == (value == nil || value.(bool))
	case "ne":
		return !equal(have, value)
	case "eq":
		return equal(have, value)
	case "in":
		return slices.ContainsFunc(value.([]any), func(v any) bool { return equal(have, v) })
	case "contains", "starts_with":
		s, ok := have.(string)
		return ok && holds(s, value.(string), op == "starts_with")
	}
	c, ok := order(have, value)
	return ok && map[string]bool{"gt": c > 0, "gte": c >= 0, "lt": c < 0, "lte": c <= 0}[op]
}

func equal(have, value any) bool {
	if b, ok := value.(bool); ok {
		return have == b
	}
	c, ok := order(have, value)
	return ok && c == 0
}

// order compares what is of one kind; ok is false for the rest.
func order(have, value any) (c int, ok bool) {
	switch v := value.(type) {
	case float64:
		n, ok := asNumber(have)
		switch {
		case !ok:
			return 0, false
		case n < v:
			return -1, true
		case n > v:
			return 1, true
		}
		return 0, true
	case string:
		if at, isTime := have.(time.Time); isTime {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil {
				t, err = time.Parse(time.DateOnly, v)
			}
			return at.Compare(t.Truncate(time.Microsecond)), err == nil
		}
		s, ok := have.(string)
		return strings.Compare(s, v), ok
	}
	return 0, false
}

var plain = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

func asNumber(have any) (float64, bool) {
	switch h := have.(type) {
	case float64:
		return h, h < 1e300 && h > -1e300
	case string:
		if len(h) <= 32 && plain.MatchString(h) {
			f, err := strconv.ParseFloat(h, 64)
			return f, err == nil
		}
	}
	return 0, false
}

// holds compares letter by letter without regard to case.
func holds(s, part string, start bool) bool {
	letters, want := []rune(s), []rune(part)
	for i := 0; i+len(want) <= len(letters); i++ {
		if strings.EqualFold(string(letters[i:i+len(want)]), part) {
			return true
		}
		if start {
			return false
		}
	}
	return false
}

func (p person) hasToken(op string, value, page any) bool {
	has := slices.ContainsFunc(p.tokens, func(h held) bool {
		if h.status != "available" || page != nil && page != h.page.String() {
			return false
		}
		switch v := value.(type) {
		case string:
			return h.topic == v
		case []any:
			return slices.Contains(v, any(h.topic))
		}
		return true
	})
	return has != (op == "ne" || op == "exists" && value == false)
}

func (p person) mayBeAsked(value, page any, stack bool) bool {
	topics, many := value.([]any)
	if !many {
		topics = []any{value}
	}
	return slices.ContainsFunc(p.near, func(n near) bool {
		if n.blocked || n.acted == 0 || n.acted >= 24*time.Hour-5*time.Minute || n.held > 0 || page != nil && page != n.page.String() {
			return false
		}
		return slices.ContainsFunc(topics, func(t any) bool {
			return t == "courses" && (stack || !p.hasToken("eq", t, n.page.String())) && !slices.ContainsFunc(n.asked, func(r request) bool {
				return r.topic == t && r.ago < guard && (r.state != "failed" || r.code == "613/1893016")
			})
		})
	})
}

// Package audience turns rules over contacts, which are stored as data, into
// bound SQL that picks the same people on both engines.
//
// Rules are JSON: a group {"all": […]}, {"any": […]} or {"not": {…}}, or a rule
// {"field": …, "op": …, "value": …}. A field that a contact does not have
// fulfils no rule but ne, not exists and not.
package audience

import (
	"time"

	"github.com/google/uuid"
)

// Op is what a rule asks of a field.
type Op string

// The operators. Contains and StartsWith do not mind case; the others do.
const (
	Eq         Op = "eq"
	Ne         Op = "ne"
	In         Op = "in"
	Exists     Op = "exists" // its value true, false, or nothing for true
	Contains   Op = "contains"
	StartsWith Op = "starts_with"
	Gt         Op = "gt"
	Gte        Op = "gte"
	Lt         Op = "lt"
	Lte        Op = "lte"
)

// Audience is a set of rules over contacts. The zero value is everyone.
type Audience struct{ root *node }

// Everyone reports whether there are no rules.
func (a Audience) Everyone() bool { return a.root == nil }

// joint says how the members of a group count together.
type joint string

const (
	jointAll joint = "all"
	jointAny joint = "any"
	jointNot joint = "not"
)

// node is a group of nodes or a single rule.
type node struct {
	joint joint // "" for a rule
	of    []node
	rule  rule
}

type rule struct {
	field  field
	op     Op
	values []value   // one, but for In; none for Exists
	want   bool      // with Exists
	page   uuid.UUID // with has_token and may_be_asked: on this Page only; uuid.Nil for any
	stack  bool      // with may_be_asked: also who holds a token for the topic
}

type valueKind string

const (
	text   valueKind = "text"
	number valueKind = "number"
	truth  valueKind = "truth"
	moment valueKind = "moment"
)

type value struct {
	kind   valueKind
	text   string // also "true" and "false"
	number float64
	at     time.Time
}

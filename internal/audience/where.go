package audience

import (
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"beckon/internal/db"
)

// Where returns the rules as a condition over contacts, with its arguments,
// for GORM's Raw, Exec and Where:
//
//	sql, args := a.Where("c", audience.Moment{Now: now, Guard: guard})
//	tx.Raw("SELECT c.id FROM contacts c WHERE c.id > ? AND ("+sql+")", append([]any{after}, args...)...)
//
// The alias is that of contacts; it becomes part of the SQL, so it must not
// come from input. The condition is true or false, never NULL. A token counts
// until the job that lets it expire has come by.
func (a Audience) Where(alias string, at Moment) (sql string, args []any) {
	if a.root == nil {
		return "TRUE", nil
	}
	c := scope{alias, at}.node(a.root)
	return c.sql, c.args
}

// scope is what a condition stands in.
type scope struct {
	alias string
	at    Moment
}

// cond is a piece of SQL with its arguments.
type cond struct {
	sql  string
	args []any
}

func (s scope) node(n *node) cond {
	switch n.joint {
	case jointAll:
		return s.joined(" AND ", n.of)
	case jointAny:
		return s.joined(" OR ", n.of)
	case jointNot:
		return s.node(&n.of[0]).negated()
	}
	return s.rule(n.rule)
}

func (s scope) joined(by string, nodes []node) cond {
	conds := make([]cond, len(nodes))
	for i := range nodes {
		conds[i] = s.node(&nodes[i])
	}
	return join(by, conds)
}

// rule is the condition of one rule.
func (s scope) rule(r rule) cond {
	if r.field.kind == askableField {
		return r.whereAskable(s.alias, s.at)
	}
	return r.where(s.alias)
}

func join(by string, conds []cond) cond {
	var c cond
	parts := make([]string, len(conds))
	for i, m := range conds {
		parts[i] = m.sql
		c.args = append(c.args, m.args...)
	}
	c.sql = "(" + strings.Join(parts, by) + ")"
	return c
}

func (c cond) negated() cond { return cond{"NOT " + c.sql, c.args} }

func (r rule) where(alias string) cond {
	if r.field.kind == tokenField {
		return r.whereToken(alias)
	}
	switch r.op {
	case Exists:
		return r.whereExists(alias)
	case In:
		return r.whereIn(alias)
	case Contains:
		return r.whereLike(alias, "%")
	case StartsWith:
		return r.whereLike(alias, "")
	case Ne:
		return r.compared(alias, "=").negated()
	}
	return r.compared(alias, map[Op]string{Eq: "=", Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}[r.op])
}

// subject is the field as SQL, NULL when a contact does not have it or when
// it is not of the kind of the value.
func (f field) subject(alias string, kind valueKind) cond {
	column := alias + "." + f.column
	switch {
	case f.kind == timeField:
		return cond{sql: column}
	case f.kind != attributeField:
		return cond{sql: "NULLIF(" + column + ", '')"}
	case kind == number:
		return cond{"?", []any{db.JSONNumber(column, f.name)}}
	case kind == truth:
		return cond{"?", []any{db.JSONBool(column, f.name)}}
	}
	return cond{"?", []any{db.JSONText(column, f.name)}}
}

func (v value) arg() any {
	switch v.kind {
	case number:
		return v.number
	case moment:
		return v.at
	}
	return v.text
}

func (r rule) compared(alias, by string) cond {
	v := r.values[0]
	s := r.field.subject(alias, v.kind)
	if by != "=" && v.kind == text {
		s = cond{"?", []any{db.Bytewise(s.sql, s.args...)}}
	}
	return cond{"COALESCE(" + s.sql + " " + by + " ?, FALSE)", append(s.args, v.arg())}
}

func (r rule) whereExists(alias string) cond {
	s := r.field.subject(alias, text)
	c := cond{"(" + s.sql + " IS NOT NULL)", s.args}
	if r.field.kind == attributeField {
		c = cond{"COALESCE(?, FALSE)", []any{db.JSONPresent(alias+"."+r.field.column, r.field.name)}}
	}
	if !r.want {
		return c.negated()
	}
	return c
}

func (r rule) whereIn(alias string) cond {
	var conds []cond
	for _, kind := range []valueKind{text, number, truth} {
		var list []any
		for _, v := range r.values {
			if v.kind == kind {
				list = append(list, v.arg())
			}
		}
		if len(list) > 0 {
			s := r.field.subject(alias, kind)
			conds = append(conds, cond{"COALESCE(" + s.sql + " IN ?, FALSE)", append(s.args, list)})
		}
	}
	return join(" OR ", conds)
}

// whereLike compares without regard to case. Neither engine can be trusted
// with letters past Z, so the ones that the value has are replaced in the
// subject by their lower case.
func (r rule) whereLike(alias, before string) cond {
	s := r.field.subject(alias, text)
	s = cond{"?", []any{db.Bytewise(s.sql, s.args...)}}
	want, letters := fold(r.values[0].text)
	for _, l := range letters {
		s = cond{"REPLACE(" + s.sql + ", ?, ?)", append(s.args, string(l.from), string(l.to))}
	}
	pattern := before + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(want) + "%"
	return cond{"COALESCE(LOWER(" + s.sql + ") LIKE ? ESCAPE '!', FALSE)", append(s.args, pattern)}
}

// letter is one form of a letter, and the form it is compared in.
type letter struct{ from, to rune }

// fold puts a text into the forms in which it is compared without regard to
// case, and names all other forms of its letters past Z.
func fold(s string) (folded string, others []letter) {
	known := map[rune]bool{}
	folded = strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		forms := formsOf(r)
		to := forms[max(0, slices.IndexFunc(forms, unicode.IsLower))]
		for _, f := range forms {
			if f != to && f > unicode.MaxASCII && !known[f] {
				others = append(others, letter{f, to})
			}
			known[f] = true
		}
		return to
	}, s)
	return folded, others
}

// formsOf returns a letter and its other cases, in one order for all of them.
func formsOf(r rune) []rune {
	forms := []rune{r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		forms = append(forms, f)
	}
	slices.Sort(forms)
	return forms
}

func (r rule) whereToken(alias string) cond {
	c := cond{sql: "EXISTS (SELECT 1 FROM tokens held WHERE held.contact_id = " + alias + ".id AND held.status = 'available'"}
	if r.page != uuid.Nil {
		c.sql, c.args = c.sql+" AND held.page_id = ?", append(c.args, r.page)
	}
	if len(r.values) > 0 {
		topics := make([]any, len(r.values))
		for i, v := range r.values {
			topics[i] = v.text
		}
		c.sql, c.args = c.sql+" AND held.topic IN ?", append(c.args, topics)
	}
	c.sql += ")"
	if r.op == Ne || r.op == Exists && !r.want {
		return c.negated()
	}
	return c
}

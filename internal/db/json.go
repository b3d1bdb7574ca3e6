package db

import (
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Expr is a piece of SQL that reads differently on the two engines. It goes in
// for a ? of a statement, as a value would.
type Expr struct{ postgres, sqlite clause.Expr }

// Build writes the expression for the statement's engine.
func (e Expr) Build(b clause.Builder) {
	if s, ok := b.(*gorm.Statement); ok && s.Name() == "postgres" {
		e.postgres.Build(b)
		return
	}
	e.sqlite.Build(b)
}

// Bytewise is a text whose comparisons go by its bytes and whose lower() knows
// A to Z only, whatever the database's locale. The column or expression is
// SQL: it must not come from input, its args may.
func Bytewise(expr string, args ...any) Expr {
	return Expr{clause.Expr{SQL: "(" + expr + ` COLLATE "C")`, Vars: args}, clause.Expr{SQL: expr, Vars: args}}
}

// JSONText is a member of a JSON object when it is a text, else NULL.
func JSONText(column, name string) Expr {
	return member(column, name,
		"CASE WHEN jsonb_typeof({json}) = 'string' THEN {text} END",
		"CASE WHEN json_type({json}) = 'text' THEN {text} END")
}

// JSONNumber is a member of a JSON object when it is a number, or a text that
// reads as one (digits, a sign, a decimal point, at most 32 of them), else
// NULL. Numbers past 1e300 count as none.
func JSONNumber(column, name string) Expr {
	return member(column, name,
		`CASE jsonb_typeof({json})
			WHEN 'number' THEN CASE WHEN abs(CAST({text} AS numeric)) < 1e-300 THEN 0
				WHEN abs(CAST({text} AS numeric)) < 1e300 THEN CAST({text} AS double precision) END
			WHEN 'string' THEN CASE WHEN length({text}) <= 32 AND {text} ~ '^-{0,1}[0-9]+([.][0-9]+){0,1}$'
				THEN CAST({text} AS double precision) END END`,
		`CASE WHEN json_type({json}) IN ('integer', 'real') THEN CASE WHEN abs(CAST({text} AS real)) < 1e300 THEN CAST({text} AS real) END
			WHEN json_type({json}) = 'text' THEN CASE WHEN length({text}) <= 32 AND ({text} GLOB '[0-9]*' OR {text} GLOB '-[0-9]*')
				AND {text} GLOB '*[0-9]' AND substr({text}, 2) NOT GLOB '*[^0-9.]*' AND {text} NOT GLOB '*.*.*'
				THEN CAST({text} AS real) END END`)
}

// JSONBool is 'true' or 'false' when a member of a JSON object is that, else
// NULL.
func JSONBool(column, name string) Expr {
	return member(column, name,
		"CASE WHEN jsonb_typeof({json}) = 'boolean' THEN {text} END",
		"CASE WHEN json_type({json}) IN ('true', 'false') THEN json_type({json}) END")
}

// JSONPresent is true when a JSON object has a member that is not null, else
// false or NULL.
func JSONPresent(column, name string) Expr {
	return member(column, name, "(jsonb_typeof({json}) <> 'null')", "(json_type({json}) <> 'null')")
}

// member fills the forms of an expression over one member of a JSON object.
func member(column, name, postgres, sqlite string) Expr {
	fill := func(form string) clause.Expr {
		r := strings.NewReplacer("{json}", "("+column+" -> CAST(? AS text))", "{text}", "("+column+" ->> CAST(? AS text))")
		sql := r.Replace(form)
		return clause.Expr{SQL: sql, Vars: slices.Repeat([]any{name}, strings.Count(sql, "?"))}
	}
	return Expr{fill(postgres), fill(sqlite)}
}

package audience_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/audience"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func TestNoRulesAreEveryone(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", " ", "null", "{}", " { } "} {
		a, err := audience.Parse(json.RawMessage(raw))
		require.NoError(t, err)
		require.True(t, a.Everyone())
		sql, args := a.Where("c", audience.Moment{})
		require.Equal(t, "TRUE", sql)
		require.Empty(t, args)
	}
	a, err := audience.Parse(json.RawMessage(`{"field": "email", "op": "exists"}`))
	require.NoError(t, err)
	require.False(t, a.Everyone())
}

func rule(field, op, value string) string {
	return fmt.Sprintf(`{"field": %q, "op": %q, "value": %s}`, field, op, value)
}

func nested(depth int) string {
	return strings.Repeat(`{"not": `, depth-1) + rule("email", "exists", "true") + strings.Repeat("}", depth-1)
}

func list(n int, member string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(member+",", n), ",") + "]"
}

func TestWrongRulesAreNamed(t *testing.T) {
	t.Parallel()
	good := rule("email", "exists", "true")
	for _, c := range []struct{ raw, pointer, code string }{
		{`[]`, "/audience", "type"},
		{`"x"`, "/audience", "type"},
		{`{`, "/audience", "malformed"},
		{"\"\xff\"", "/audience", "malformed"},
		{`{"all": []}`, "/audience/all", "length"},
		{`{"any": {}}`, "/audience/any", "length"},
		{`{"all": ` + list(101, good) + `}`, "/audience/all", "length"},
		{`{"not": []}`, "/audience/not", "type"},
		{`{"not": null}`, "/audience/not", "type"},
		{`{"not": {}}`, "/audience/not/field", "required"},
		{`{"all": [` + good + `], "any": [` + good + `]}`, "/audience", "ambiguous"},
		{`{"all": [` + good + `], "field": "email"}`, "/audience/field", "unknown_key"},
		{`{"field": "email", "op": "exists", "sql": "x"}`, "/audience/sql", "unknown_key"},
		{`{"field": "email", "op": "exists", "a/b~` + strings.Repeat("x", 100) + `": 1}`, "/audience/a~1b~0" + strings.Repeat("x", 60), "unknown_key"},
		{`{"field": "email", "op": "exists", "page": "x"}`, "/audience/page", "unknown_key"},
		{`{"op": "eq", "value": "x"}`, "/audience/field", "required"},
		{`{"field": 1, "op": "eq"}`, "/audience/field", "type"},
		{`{"field": null, "op": "eq"}`, "/audience/field", "type"},
		{`{"field": "email"}`, "/audience/op", "required"},
		{rule("password", "eq", `"x"`), "/audience/field", "unknown_field"},
		{rule("attributes.", "eq", `"x"`), "/audience/field", "unknown_field"},
		{rule("attributes.a'b", "eq", `"x"`), "/audience/field", "unknown_field"},
		{rule("attributes."+strings.Repeat("a", 65), "eq", `"x"`), "/audience/field", "unknown_field"},
		{`{"all": [` + good + `, ` + rule("email", "like", `"x"`) + `]}`, "/audience/all/1/op", "unknown_op"},
		{`{"any": [{"not": ` + rule("email", "gt", `"x"`) + `}]}`, "/audience/any/0/not/op", "op_not_allowed"},
		{rule("created_at", "eq", `"2026-01-01"`), "/audience/op", "op_not_allowed"},
		{rule("consents.sms", "contains", `"s"`), "/audience/op", "op_not_allowed"},
		{rule("has_token", "gt", `"s"`), "/audience/op", "op_not_allowed"},
		{`{"field": "email", "op": "eq"}`, "/audience/value", "required"},
		{rule("email", "eq", "null"), "/audience/value", "required"},
		{rule("email", "eq", "1"), "/audience/value", "type"},
		{rule("email", "eq", "true"), "/audience/value", "type"},
		{rule("email", "eq", `["x"]`), "/audience/value", "type"},
		{rule("attributes.a", "eq", `{}`), "/audience/value", "type"},
		{rule("attributes.a", "gt", `true`), "/audience/value", "type"},
		{rule("attributes.a", "contains", `1`), "/audience/value", "type"},
		{rule("attributes.a", "eq", `1e999`), "/audience/value", "range"},
		{rule("attributes.a", "eq", `-1e300`), "/audience/value", "range"},
		{rule("attributes.a", "eq", `"a\u0000b"`), "/audience/value", "characters"},
		{rule("attributes.a", "eq", `"\ud800"`), "/audience/value", "characters"},
		{rule("first_name", "eq", `"`+strings.Repeat("ж", 501)+`"`), "/audience/value", "length"},
		{rule("first_name", "contains", `"`+strings.Repeat("ж", 101)+`"`), "/audience/value", "length"},
		{rule("first_name", "contains", `""`), "/audience/value", "length"},
		{rule("first_name", "eq", `""`), "/audience/value", "length"},
		{rule("consents.sms", "eq", `"yes"`), "/audience/value", "enum"},
		{rule("has_token", "eq", `"No Slug"`), "/audience/value", "pattern"},
		{`{"field": "has_token", "op": "exists", "page": "x"}`, "/audience/page", "format"},
		{`{"field": "has_token", "op": "exists", "page": 1}`, "/audience/page", "type"},
		{rule("created_at", "gt", `"yesterday"`), "/audience/value", "format"},
		{rule("created_at", "gt", `5`), "/audience/value", "type"},
		{rule("email", "exists", `"yes"`), "/audience/value", "type"},
		{rule("email", "in", `"x"`), "/audience/value", "length"},
		{rule("email", "in", `[]`), "/audience/value", "length"},
		{rule("email", "in", list(101, `"x"`)), "/audience/value", "length"},
		{rule("email", "in", `["x", 1]`), "/audience/value/1", "type"},
		{rule("email", "in", `["x", null]`), "/audience/value/1", "type"},
		{`{"field": "may_be_asked", "op": "eq", "value": "courses", "stack": 1}`, "/audience/stack", "type"},
		{`{"field": "may_be_asked", "op": "eq", "value": "courses", "page": "x"}`, "/audience/page", "format"},
		{`{"field": "has_token", "op": "eq", "value": "courses", "stack": true}`, "/audience/stack", "unknown_key"},
		{rule("may_be_asked", "exists", "true"), "/audience/op", "op_not_allowed"},
		{rule("may_be_asked", "eq", `"No slug"`), "/audience/value", "pattern"},
		{nested(9), "/audience" + strings.Repeat("/not", 8), "too_deep"},
		{`{"any": [{"all": ` + list(100, good) + `}, {"all": ` + list(100, good) + `}, ` + good + `, ` + good + `]}`, "/audience/any/2", "too_many_rules"},
		{`{"any": ` + list(90, rule("external_id", "in", list(100, `"x"`))) + `}`, "/audience", "too_big"},
		{rule("email", "in", list(100, `"`+strings.Repeat("x", 700)+`"`)), "/audience", "too_big"},
	} {
		_, err := audience.Parse(json.RawMessage(c.raw))
		require.True(t, fault.Is(err, fault.Invalid), "%.200s: %v", c.raw, err)
		var f *fault.Error
		require.True(t, errors.As(err, &f))
		require.Len(t, f.Fields, 1, "%.200s: %v", c.raw, err)
		require.Equal(t, [2]string{c.pointer, c.code}, [2]string{f.Fields[0].Pointer, f.Fields[0].Code}, "%.200s", c.raw)
	}
}

func TestSeveralFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := audience.Parse(json.RawMessage(`{"all": [{"field": "email", "op": "x"}, {"field": "y"}, {"z": 1}]}`))
	for _, pointer := range []string{"/audience/all/0/op", "/audience/all/1/field", "/audience/all/2/field", "/audience/all/2/z"} {
		require.ErrorContains(t, err, "["+pointer+" ")
	}
	_, err = audience.Parse(json.RawMessage(`{"ALL": []}`))
	require.ErrorContains(t, err, "[/audience/ALL ")
	_, err = audience.Parse(json.RawMessage(`{"all": ` + list(100, `{"z": 1}`) + `}`))
	var f *fault.Error
	require.True(t, errors.As(err, &f))
	require.Len(t, f.Fields, 20, "and no more than anybody reads")
}

// The largest sets of rules that are taken are run by both engines.
func TestTheLargestRulesRun(t *testing.T) {
	t.Parallel()
	letters := ""
	for r := 'а'; r <= 'я'; r++ {
		letters += string(r)
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		crowd := rapid.SliceOfN(people(), 3, 3).Example(1)
		for i := range crowd { // there are no pages here
			crowd[i].tokens, crowd[i].near = nil, nil
		}
		store(t, d, crowd)
		for _, raw := range []string{
			nested(8),
			`{"any": [{"all": ` + list(100, rule("attributes.a", "gt", "1")) + `}, {"all": ` + list(99, rule("attributes.a", "lt", "1")) + `}]}`,
			`{"any": ` + list(65, rule("attributes.a", "in", list(100, `5`))) + `}`,
			`{"any": ` + list(70, rule("attributes.a", "contains", `"`+letters+letters+letters+`"`)) + `}`,
		} {
			require.NotPanics(t, func() { pick(t, d, raw) }) // pick requires that it runs
		}
	})
}

// No input makes the statement's text: it comes out the same for any value.
func TestValuesNeverBecomeSQL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRules(3).Draw(t, "rules")
		raw, err := json.Marshal(r)
		require.NoError(t, err)
		a, err := audience.Parse(raw)
		require.NoError(t, err)
		sql, _ := a.Where("c", audience.Moment{})
		require.Regexp(t, `^[A-Za-z0-9_ .,()?!=|'<>\n\t]*$`, sql)
		for _, quoted := range strings.Split(sql, "'") {
			require.NotContains(t, quoted, "DROP")
		}
	})
}

// Whatever is sent, the answer is rules that run or a fault.
func FuzzParse(f *testing.F) {
	f.Add(`{"all": [{"field": "attributes.a", "op": "in", "value": [1, "x", true]}]}`)
	f.Add(`{"not": {"field": "has_token", "op": "eq", "value": "courses", "page": "0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01"}}`)
	f.Add(`{"field": "created_at", "op": "gt", "value": "2026-01-01"}`)
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := audience.Parse(json.RawMessage(raw))
		if err != nil {
			require.True(t, fault.Is(err, fault.Invalid))
			return
		}
		sql, args := a.Where("c", audience.Moment{})
		require.Equal(t, strings.Count(sql, "?"), len(args))
	})
}

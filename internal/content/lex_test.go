package content

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLexerSplitsExpressions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]lexeme{
		"":     nil,
		" \t":  nil,
		"link": {{lexName, "link"}},
		"contact.first_name": {
			{lexName, "contact"}, {lexProperty, "first_name"},
		},
		"contact .a['b c'][0]": {
			{lexName, "contact"}, {lexProperty, "a"}, {lexSign, "["}, {lexString, "b c"}, {lexSign, "]"},
			{lexSign, "["}, {lexNumber, "0"}, {lexSign, "]"},
		},
		`x | default: "it's", 'a "b"'`: {
			{lexName, "x"}, {lexSign, "|"}, {lexKeyword, "default"}, {lexString, "it's"}, {lexSign, ","}, {lexString, `a "b"`},
		},
		"a>=-1.5 and b!=c or d": {
			{lexName, "a"}, {lexSign, ">="}, {lexNumber, "-1.5"}, {lexName, "and"}, {lexName, "b"}, {lexSign, "!="},
			{lexName, "c"}, {lexName, "or"}, {lexName, "d"},
		},
		"(1..9)":      {{lexSign, "("}, {lexNumber, "1"}, {lexSign, ".."}, {lexNumber, "9"}, {lexSign, ")"}},
		"is_new? a-b": {{lexName, "is_new?"}, {lexName, "a-b"}},
		"x limit:3":   {{lexName, "x"}, {lexKeyword, "limit"}, {lexNumber, "3"}},
		"''":          {{lexString, ""}},
	} {
		got, ok := newLexer().split(source)
		require.True(t, ok, source)
		require.Equal(t, want, got, source)
	}
}

func TestLexerRefusesWhatHasNoPlace(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"'open", `"open`, "a ! b", "a & b", "%assign x = 1", "{x}", "a.", "#", "é", "a;b", "\x00"} {
		_, ok := newLexer().split(source)
		require.False(t, ok, source)
	}
}

func TestLexerEnds(t *testing.T) {
	t.Parallel()
	l := newLexer()
	rapid.Check(t, func(t *rapid.T) {
		words, _ := l.split(rapid.String().Draw(t, "source"))
		for _, w := range words {
			require.NotContains(t, w.text, "\n\n\n\n")
			require.Contains(t, "ipksno", string(w.kind))
		}
	})
}

func TestUsesAreFound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]uses{
		"'text' | upcase":                      {filters: []string{"upcase"}},
		"contact.attributes['home town'].size": {paths: [][]string{{"contact", "attributes", "home town", "size"}}},
		"a[b.c].d": {
			paths: [][]string{{"a"}, {"b", "c"}},
		},
		"a | default: b | append: c, d.e": {
			paths: [][]string{{"a"}, {"b"}, {"c"}, {"d", "e"}}, filters: []string{"default", "append"},
		},
		"a == nil and b contains blank or true != empty": {paths: [][]string{{"a"}, {"b"}}},
		"(1..n)":              {paths: [][]string{{"n"}}, ranges: true},
		"a |":                 {paths: [][]string{{"a"}}},
		"list limit:n":        {paths: [][]string{{"list"}, {"n"}}},
		"list reversed":       {paths: [][]string{{"list"}}},
		"a['b']['c']":         {paths: [][]string{{"a", "b", "c"}}},
		"a[0].b | first.size": {paths: [][]string{{"a"}}, filters: []string{"first"}},
	} {
		words, ok := newLexer().split(source)
		require.True(t, ok, source)
		require.Equal(t, want, usesOf(words), source)
	}
}

func TestQuickHolesAreRecognised(t *testing.T) {
	t.Parallel()
	c := newCompiler()
	for source, quick := range map[string]bool{
		"{{ contact.first_name }}":                              true,
		"{{contact.first_name|default:'x'}}":                    true,
		"{{- link -}}":                                          true,
		"{{ unsubscribe_url }}":                                 true,
		"{{ contact.attributes.city }}":                         true,
		"{{ contact.attributes.a.b | default: \"x\" }}":         true,
		"{{ contact.attributes }}":                              false,
		"{{ contact.attributes.list.first }}":                   false,
		"{{ contact.attributes.list.size }}":                    false,
		"{{ contact.attributes.first.name }}":                   false,
		"{{ contact.first_name.size }}":                         false,
		"{{ contact['first_name'] }}":                           false,
		"{{ contact.first_name | upcase }}":                     false,
		"{{ contact.first_name | default: link }}":              false,
		"{{ contact.first_name | default: 1 }}":                 false,
		"{{ contact.first_name | upcase | default: 'x' }}":      false,
		"{{ contact.first_name == link }}":                      false,
		"{{ 'text' }}":                                          false,
		"{{ 'text' | default: 'x' }}":                           false,
		"{% if link %}{{ link }}{% endif %}":                    false,
		"{{ contact.first_name | default: 'x' | default: 'y'}}": false,
	} {
		read := c.read("/x", source)
		require.NotNil(t, read, source)
		require.Equal(t, quick, c.bind(read, plain).parts[0].hole.template == nil, source)
	}
}

package content

import (
	"strings"
	"testing"

	"github.com/osteele/liquid/parser"
	"github.com/stretchr/testify/require"
)

// sketch draws pieces as text with holes in ‹›.
func sketch(in []piece) string {
	var b strings.Builder
	for _, p := range in {
		if p.hole == nil {
			b.WriteString(p.text)
		} else {
			b.WriteString("‹" + sourceOf(p.hole) + "›")
		}
	}
	return b.String()
}

func scan(source string) []parser.Token { return parser.Scan(source, parser.SourceLoc{}, nil) }

func TestTemplatesAreCutAtTheirTopLevel(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                         "",
		"text":                     "text",
		"a{{ x }}b{{y}}":           "a‹{{ x }}›b‹{{y}}›",
		"{{ x }}{{ x }}":           "‹{{ x }}›‹{{ x }}›",
		"a{% if x %}b{% endif %}c": "a‹{% if x %}b{% endif %}›c",
		"{% if x %}{% if y %}{{ z }}{% endif %}{% else %}{% endif %}.":       "‹{% if x %}{% if y %}{{ z }}{% endif %}{% else %}{% endif %}›.",
		"{% for a in b %}{% case a %}{% when 1 %}{% endcase %}{% endfor %}.": "‹{% for a in b %}{% case a %}{% when 1 %}{% endcase %}{% endfor %}›.",
		"{% assign a = 1 %}b{% capture c %}d{% endcapture %}":                "‹{% assign a = 1 %}›b‹{% capture c %}d{% endcapture %}›",
		"a{% comment %}{% if %}{{ x }}{% endcomment %}b":                     "ab",
		"a{% raw %}{{ x }}{% if %}{% endraw %}b":                             "a{{ x }}{% if %}b",
		"{% if x %}{% raw %}{% endif %}{% endraw %}{% endif %}b":             "‹{% if x %}{% raw %}{% endif %}{% endraw %}{% endif %}›b",
		"a {{- x }} b":                         "a‹{{- x }}› b",
		"a {{ x -}} b":                         "a ‹{{ x -}}›b",
		"a \n{%- if x -%} b {%- endif -%}\n c": "a‹{%- if x -%} b {%- endif -%}›c",
		"{{ x -}} {{ y }}":                     "‹{{ x -}}›‹{{ y }}›",
		"{{ x -}}{{ y }}":                      "‹{{ x -}}{{ y }}›",
		"{{ x }}{{- y }}{{ z }}":               "‹{{ x }}{{- y }}›‹{{ z }}›",
		"{{- x }}":                             "‹{{- x }}›",
	} {
		require.Equal(t, want, sketch(cut(scan(source))), source)
	}
}

func TestBlockEndStopsAtTheEndOfWhatIsNotClosed(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		"{% if x %}a{% endif %}b":            3,
		"{% if x %}a":                        2,
		"{% raw %}a{% endif %}":              3,
		"{% comment %}{% endcomment %}b":     2,
		"{% assign a = 1 %}b":                1,
		"{% if x %}{% if y %}{% endif %}":    3,
		"{% if x %}{% comment %}{% endif %}": 3,
	} {
		require.Equal(t, want, blockEnd(scan(source), 0), source)
	}
}

func TestLiveLeavesOutWhatTheEngineDoesNotRead(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a{{ b }}{% if c %}{% endif %}d",
		sourceOf(live(scan("a{{ b }}{% raw %}{{ x }}{% endraw %}{% if c %}{% comment %}y{% endcomment %}{% endif %}d"))))
}

func TestAssignmentsAreRepeatedOnlyWhereTheyAreUsed(t *testing.T) {
	t.Parallel()
	c := newCompiler()
	read := c.read("/x", "{% assign n = contact.first_name | upcase %}{{ link }} {{ page.name | upcase }} {{ n }}")
	require.NotNil(t, read)
	parts := c.bind(read, plain).parts
	require.Len(t, parts, 3)
	require.Nil(t, parts[0].hole.template, "a plain variable stays plain")
	require.NotContains(t, parts[1].hole.key, "assign")
	require.Contains(t, parts[2].hole.key, "{% capture beckon_discard %}{% assign n = contact.first_name | upcase %}{% endcapture %}")
}

func TestReasonsAreShort(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`Liquid error (line 1): syntax error in "secret" in {{ secret }}`: "syntax error",
		`Liquid error (line 2): unterminated "if" block in {% if x %}`:    `unterminated "if" block`,
		"Liquid error: endif not inside  in {% endif %}":                  "endif closes nothing",
		"something else": "something else",
	} {
		require.Equal(t, want, reason(message))
	}
}

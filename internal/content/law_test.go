package content

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/osteele/liquid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func someVars() *rapid.Generator[*Vars] {
	text := rapid.OneOf(rapid.Just(""), rapid.SampledFrom([]string{"Ann", " ", "<b>", "a\r\nb", "\u202ex"}), rapid.String())
	value := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.Float64(), func(n float64) any { return n }),
		rapid.SampledFrom([]any{nil, true, false, []any{}, []any{"x", 1, nil, ""}, map[string]any{}, map[string]any{"b": "x"}, map[string]any{"b": ""}}),
	)
	return rapid.Custom(func(t *rapid.T) *Vars {
		attrs, err := json.Marshal(map[string]any{"a": value.Draw(t, "a"), "b": value.Draw(t, "b")})
		require.NoError(t, err)
		return &Vars{
			Contact: Contact{FirstName: text.Draw(t, "first"), Locale: text.Draw(t, "locale"), Attributes: attrs},
			Link:    text.Draw(t, "link"), PageName: text.Draw(t, "page"),
		}
	})
}

// The short way that plain variables take must write what the engine writes.
func TestQuickHolesWriteWhatTheEngineWrites(t *testing.T) {
	t.Parallel()
	variable := rapid.SampledFrom([]string{
		"contact.first_name", "contact.locale", "contact['first_name']", "link", "page.name", "campaign.name", "contact.phone",
		"contact.attributes.a", "contact.attributes.b", "contact.attributes.a.b", "contact.attributes.none.b",
	})
	fallback := rapid.SampledFrom([]string{"", " | default: 'you'", ` | default: "<&>"`, " | default: ''", "|default:'x' "})
	c := newCompiler()
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom([]mode{plain, line, markup}).Draw(t, "mode")
		source := "{{ " + variable.Draw(t, "variable") + fallback.Draw(t, "fallback") + " }}"
		read := c.read("/x", source)
		require.NotNil(t, read)
		quick := c.bind(read, m).parts[0].hole
		if quick.template != nil {
			require.Contains(t, source, "[", "only brackets need the engine here")
			return
		}
		engine, bad := c.engine(m).ParseString(c.rewrite(read, read.tokens))
		require.NoError(t, bad)
		slow := hole{mode: m, template: engine}
		f := &frame{vars: someVars().Draw(t, "vars")}
		want, err := slow.render(f)
		require.NoError(t, err)
		got, err := quick.render(f)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// A template cut into holes must write what the engine writes from the whole.
// (Next to a hole that writes nothing the engine trims further than the text
// beside the trimming tag; Liquid as marketers know it does not, nor do we.)
func TestCuttingChangesNothing(t *testing.T) {
	t.Parallel()
	bit := rapid.SampledFrom([]string{
		"a", " b ", "\n", "{{ contact.first_name }}", "{{ contact.attributes.a }}", "x  {{- link -}}  y", "x {{- page.name }}", "{{ contact.locale | upcase -}} y",
		"{% if contact.first_name %}yes {{ contact.first_name }}{% else %} no {% endif %}", "w {%- if link -%} l {%- endif -%}z",
		"{% for x in contact.attributes.b %}{{ x }},{{ forloop.index }}{% endfor %}",
		"{% assign n = contact.first_name | default: 'n' %}", "{{ n }}", "{{ n | append: m }}", "{% capture m %}[{{ n }}]{% endcapture %}", "{{ m }}",
		"{% if link %}{% assign n = 'linked' %}l{% endif %}", "{% raw %}{{ raw }}{% endraw %}", "{% comment %}{{ c }}{% endcomment %}",
		"{% assign m = m | append: '+' %}", "{% unless n == 'n' %}{{ n }}{% endunless %}",
	})
	whole := newEngine(plain)
	rapid.Check(t, func(t *rapid.T) {
		source := "{% assign n = '' %}{% assign m = '' %}" + strings.Join(rapid.SliceOfN(bit, 1, 8).Draw(t, "bits"), "")
		c := newCompiler()
		read := c.read("/x", source)
		require.NotNil(t, read, "%v", c.fields)
		f := &frame{vars: someVars().Draw(t, "vars")}
		got, err := c.bind(read, plain).render(f)
		require.NoError(t, err)
		require.Equal(t, engineWrites(t, whole, c.rewrite(read, read.tokens), f), got, source)
	})
}

func engineWrites(t *rapid.T, e *liquid.Engine, source string, f *frame) string {
	compiled, bad := e.ParseString(source)
	require.NoError(t, bad)
	out, err := run(compiled, f.bindings())
	require.NoError(t, err)
	return out
}

// Whatever is typed, compiling ends in content or in a list of mistakes, and
// filling in ends in a text or an error.
func TestNothingPanics(t *testing.T) {
	t.Parallel()
	bit := rapid.SampledFrom(append(filterNames(),
		"{{", "}}", "{%", "%}", "-", " ", "|", ":", ",", "'", `"`, "(", ")", "[", "]", "==", "..", "=", "1", "-1", "99999999999999999999", "0.5",
		"contact", ".first_name", "contact.attributes.a", "link", "x", "in", "if", "endif", "else", "elsif", "for", "endfor", "case", "when",
		"endcase", "assign", "capture", "endcapture", "raw", "endraw", "comment", "endcomment", "cycle", "break", "unless", "nil", "contains",
		"forloop", "limit:", "reversed", "%assign", "%loop", "\n", "<a href=", ">", "~%", "é",
		"{{ contact.attributes.a | ", "{{ contact.attributes.b | ", " }}", "{% if link %}", "{% endif %}", "{% for x in contact.attributes.b %}", "{% endfor %}", "{% assign x = ",
	))
	rapid.Check(t, func(t *rapid.T) {
		source := strings.Join(rapid.SliceOfN(bit, 1, 14).Draw(t, "bits"), rapid.SampledFrom([]string{"", " "}).Draw(t, "space"))
		c, _, err := Compile(Source{
			Messenger: &Messenger{Text: source}, SMS: &SMS{Text: source}, Email: &Email{Subject: source, HTML: source},
		}, Sender{})
		if err != nil {
			require.Nil(t, c)
			return
		}
		v := someVars().Draw(t, "vars")
		_, _ = c.SMS(v)
		_, _, _, _ = c.RenderMail(v)
		if out, err := c.Messenger(v); err == nil {
			require.True(t, json.Valid(out))
		}
	})
}

// A template can neither fill the memory nor keep a worker busy for long.
func TestWhatGrowsIsStopped(t *testing.T) {
	t.Parallel()
	list := json.RawMessage(`{"a":["` + strings.Repeat(`x","`, 400) + `x"]}`)
	for name, source := range map[string]string{
		"loop in a loop": "{% for i in contact.attributes.a %}{% for j in contact.attributes.a %}{{ i }}{% endfor %}{% endfor %}",
		"append":         "{% assign x = 'xx' %}" + strings.Repeat("{% assign x = x | append: x %}", 60) + "{{ x }}",
		"prepend":        "{% assign x = 'xx' %}" + strings.Repeat("{% assign x = x | prepend: x %}", 60) + "{{ x }}",
		"replace":        "{% assign x = 'xx' %}" + strings.Repeat("{% assign x = x | replace: 'x', x %}", 60) + "{{ x }}",
		"replace_first":  "{% assign x = 'xx' %}" + strings.Repeat("{% assign x = x | replace_first: '', x %}", 60) + "{{ x }}",
		"capture":        "{% assign x = 'xx' %}" + strings.Repeat("{% capture x %}{{ x }}{{ x }}{% endcapture %}", 60) + "{{ x }}",
		"captures only":  "{% capture x %}xx{% endcapture %}" + strings.Repeat("{% capture x %}{{ x }}{{ x }}{% endcapture %}", 60) + "{{ x }}",
		"concat":         "{% assign x = contact.attributes.a %}" + strings.Repeat("{% assign x = x | concat: x %}", 60) + "{{ x | size }}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := Compile(Source{SMS: &SMS{Text: source}}, Sender{})
			require.NoError(t, err)
			_, err = c.SMS(&Vars{Contact: Contact{Attributes: list}})
			require.ErrorContains(t, err, CodeRenderFailed)
		})
	}
}

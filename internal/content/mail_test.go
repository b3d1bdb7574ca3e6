package content_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// mailOf is an e-mail without a layout, unless it asks for one.
func mailOf(t require.TestingT, e content.Email) *content.Compiled {
	if e.Layout == "" {
		e.Layout = content.LayoutNone
	}
	return compile(t, content.Source{Email: &e})
}

func TestMailHasOneMarkerForEachExpressionAndPlace(t *testing.T) {
	t.Parallel()
	c := mailOf(t, content.Email{
		Subject: "{{ contact.first_name }}, spring",
		HTML:    `<p>{{contact.first_name}} <a href="{{ link }}">{{ link }}</a> {% if contact.attributes.vip %}<b>VIP</b>{% endif %}</p>`,
		Text:    "{{ contact.first_name }} {{ link }} {{ contact.first_name }}",
	})
	m := c.Mail()
	require.Equal(t, channel.Mail{
		Subject: "~%b0s%, spring",
		HTML:    `<p>~%b1h% <a href="~%b2h%">~%b2h%</a> ~%b3h%</p>`,
		Text:    "~%b4t% ~%b5t% ~%b4t%",
		Holes:   []string{"~%b0s%", "~%b1h%", "~%b2h%", "~%b3h%", "~%b4t%", "~%b5t%"},
	}, m)

	v := ann()
	v.Contact.FirstName, v.Link = "A&\nB", "https://x.example/?a=1&b=2"
	fill, err := c.Fill(v)
	require.NoError(t, err)
	require.Equal(t, []string{
		"A& B", "A&amp;\nB", "https://x.example/?a=1&amp;b=2", "<b>VIP</b>", "A&\nB", "https://x.example/?a=1&b=2",
	}, fill)

	subject, html, text, err := c.RenderMail(v)
	require.NoError(t, err)
	require.Equal(t, "A& B, spring", subject)
	require.Contains(t, html, `<a href="https://x.example/?a=1&amp;b=2">`)
	require.Equal(t, "A&\nB https://x.example/?a=1&b=2 A&\nB", text)
}

func TestMailEscapesOnce(t *testing.T) {
	t.Parallel()
	v := &content.Vars{Contact: content.Contact{FirstName: "<i>\n&"}}
	for expression, want := range map[string]string{
		"{{ contact.first_name }}":                                                           "&lt;i&gt;\n&amp;",
		"{{ contact.first_name | escape }}":                                                  "&lt;i&gt;\n&amp;",
		"{{ contact.first_name | escape_once }}":                                             "&lt;i&gt;\n&amp;",
		"{{ contact.first_name | upcase }}":                                                  "&lt;I&gt;\n&amp;",
		"{{ contact.first_name | newline_to_br }}":                                           "&lt;i&gt;<br />\n&amp;",
		"{{ contact.last_name | default: '<b>' }}":                                           "&lt;b&gt;",
		"{% if true %}<u>{{ contact.first_name }}</u>{% endif %}":                            "<u>&lt;i&gt;\n&amp;</u>",
		"{% capture x %}<u>{{ contact.first_name }}</u>{% endcapture %}{{ x }}":              "<u>&lt;i&gt;\n&amp;</u>",
		"{% assign x = contact.first_name %}{{ x }}":                                         "&lt;i&gt;\n&amp;",
		"{% capture x %}{{ contact.first_name }}{% endcapture %}{% assign x = '<' %}{{ x }}": "&lt;",
		"{% raw %}<u>{{</u>{% endraw %}":                                                     "<u>{{</u>",
	} {
		_, html, _, err := mailOf(t, content.Email{Subject: "s", HTML: expression, Text: "t"}).RenderMail(v)
		require.NoError(t, err)
		require.Equal(t, want, html, expression)
	}
}

func TestMailTextIsMadeFromHTML(t *testing.T) {
	t.Parallel()
	c := mailOf(t, content.Email{Subject: "s", HTML: `<html><head><title>t</title><style>p{color:red}</style></head><body>
		<h1>Spring &amp; more</h1><a name="top">
		<p>Dear {{ contact.first_name | upcase }},</p>{% if contact.attributes.vip %} <p>for <b>{{ contact.last_name }}</b></p>{% endif %}
		<ul>{% for c in contact.attributes.courses %}<li>{{ c }}</li>{% endfor %}</ul>
		<p><a href="{{ link }}">{{ link }}</a> or <A
		HREF='{{ unsubscribe_url }}'>leave</A>.</p></body></html>`})
	_, _, text, err := c.RenderMail(ann())
	require.NoError(t, err)
	require.Equal(t, "Spring & more\n\nDear ANN,\n\nfor O'Neil\n\n- Knots\n- Sails\n\n"+
		"https://go.example/l/abc or leave <https://go.example/u/abc>.", text)
	require.NotContains(t, c.Mail().Text, "\x0e")
}

func TestMailTextShowsNoTags(t *testing.T) {
	t.Parallel()
	v := &content.Vars{Contact: content.Contact{FirstName: "A<b>&c"}}
	for html, want := range map[string]string{
		"{% capture x %}<i>{{ contact.first_name }}</i>{% endcapture %}{{ x }}": "A<b>&c",
		"{% assign x = contact.first_name %}<p>{{ x }}</p>":                     "A<b>&c",
		"{{ contact.first_name | newline_to_br }}":                              "A<b>&c",
		"{{ contact.first_name | escape }}":                                     "A<b>&c",
		"{{ contact.first_name | upcase }}":                                     "A<B>&C",
		"{% if true %}<u>{{ contact.first_name }}</u>{% endif %}":               "A<b>&c",
		"{{ contact.first_name }}":                                              "A<b>&c",
	} {
		_, _, text, err := mailOf(t, content.Email{Subject: "s", HTML: html}).RenderMail(v)
		require.NoError(t, err)
		require.Equal(t, want, text, html)
	}
}

func TestMailHTMLIsMadeFromText(t *testing.T) {
	t.Parallel()
	c := mailOf(t, content.Email{Subject: "s", Text: "Dear {{ contact.first_name }} <3,\n\nsee https://a.example/?x=1&y=2.\r\n" +
		"https://b.example/{{ contact.external_id }}\nor {{ link }}{% raw %}{{<}}{% endraw %}{% if contact.email %}\n\nBye & thanks{% endif %}"})
	_, html, text, err := c.RenderMail(ann())
	require.NoError(t, err)
	require.Equal(t, "<p>Dear Ann &lt;3,</p>\n<p>see <a href=\"https://a.example/?x=1&amp;y=2\">https://a.example/?x=1&amp;y=2</a>.<br>\n"+
		"https://b.example/c-7<br>\nor <a href=\"https://go.example/l/abc\">https://go.example/l/abc</a>{{&lt;}}</p>\n<p>Bye &amp; thanks</p>", html)
	require.True(t, strings.HasPrefix(text, "Dear Ann <3,\n\nsee"))
}

func TestMailOfPicturesHasAText(t *testing.T) {
	t.Parallel()
	m := mailOf(t, content.Email{Subject: "Spring {{ contact.first_name }}", HTML: `<img src="https://a.example/x.png">`}).Mail()
	require.Equal(t, "Spring ~%b1t%", m.Text)
}

func TestMailMistakesAndWarnings(t *testing.T) {
	t.Parallel()
	link := "{{ link }}{{ unsubscribe_url }}"
	for name, c := range map[string]struct {
		src  content.Email
		want []string
	}{
		"nothing":           {content.Email{}, []string{"/html required"}},
		"no subject":        {content.Email{Text: link}, []string{"/subject required"}},
		"line break only":   {content.Email{Subject: "\r\n", Text: link}, []string{"/subject required"}},
		"long subject":      {content.Email{Subject: strings.Repeat("ü", 501), Text: link}, []string{"/subject too_long"}},
		"subject mistake":   {content.Email{Subject: "{{ x }}", Text: link}, []string{"/subject unknown_variable"}},
		"empty body":        {content.Email{Subject: "s", HTML: " ", Text: "\n"}, []string{"/html required"}},
		"html says nothing": {content.Email{Subject: "s", HTML: "{% comment %}x{% endcomment %}"}, []string{"/html required"}},
		"huge":              {content.Email{Subject: "s", HTML: strings.Repeat("x", content.MaxMailText+1)}, []string{"/html too_long"}},
		"unquoted":          {content.Email{Subject: "s", HTML: "<p>a = {{ contact.email }}</p><img alt={{ contact.first_name }}>"}, []string{"/html unquoted"}},
		"unquoted in a if":  {content.Email{Subject: "s", HTML: "<img {% if true %}alt= {{ page.name }}{% endif %}>"}, []string{"/html unquoted"}},
		"all old markers":   {content.Email{Subject: "~% ^% |% `% *% _% =%", HTML: link}, []string{" unsupported"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, s := range c.want {
				c.want[i] = "/content/email" + s
			}
			_, _, err := content.Compile(content.Source{Email: &c.src}, school)
			require.Equal(t, c.want, fields(t, err))
		})
	}
	_, warnings, err := content.Compile(content.Source{Email: &content.Email{Subject: "s", HTML: "<p>{{ page.name }}</p>"}}, school)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Equal(t, content.Warning{"/content/email", content.WarnEmailWithoutLink, warnings[0].Detail}, warnings[0])
}

func TestMailLimitsAreCheckedForEachContact(t *testing.T) {
	t.Parallel()
	c := mailOf(t, content.Email{Subject: "{{ contact.last_name }}", HTML: "{{ contact.first_name }}"})
	_, err := c.Fill(&content.Vars{Contact: content.Contact{FirstName: "x", LastName: " "}})
	require.True(t, fault.HasCode(err, content.CodeEmpty))
	_, err = c.Fill(&content.Vars{Contact: content.Contact{FirstName: strings.Repeat("x", content.MaxFill), LastName: "x"}})
	require.True(t, fault.HasCode(err, content.CodeTooLong))
	_, err = c.Fill(&content.Vars{Contact: content.Contact{FirstName: strings.Repeat("x", content.MaxFill/3), LastName: "x"}})
	require.NoError(t, err)
}

func TestMailChoosesAMarkerThatItsTextDoesNotHave(t *testing.T) {
	t.Parallel()
	m := mailOf(t, content.Email{Subject: "~%b0s% ^{{ contact.locale }}% {{ contact.first_name }}", HTML: "x"}).Mail()
	require.Equal(t, []string{"|%b0s%", "|%b1s%"}, m.Holes)
}

// provider replaces markers the way SendGrid may: one after the other, in any
// order, up to four times over.
func provider(t *rapid.T, text string, m channel.Mail, fill []string) string {
	for range 4 {
		for _, i := range rapid.Permutation(indexes(m.Holes)).Draw(t, "order") {
			text = strings.ReplaceAll(text, m.Holes[i], fill[i])
		}
	}
	return text
}

func indexes(s []string) []int {
	out := make([]int, len(s))
	for i := range out {
		out[i] = i
	}
	return out
}

// values are names that look like parts of markers, now and then hostile.
func values() *rapid.Generator[string] {
	bits := append(hostile()[:len(hostile())-5], "~", "%", "~%", "b", "0", "1", "2", "s", "h", "t", "~%b1h%", "%b2t%", "", "Ann", "^", "|", "<", `"`)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(bits), 0, 5).Draw(t, "bits"), "")
	})
}

func vars() *rapid.Generator[*content.Vars] {
	return rapid.Custom(func(t *rapid.T) *content.Vars {
		v := values()
		attrs, _ := json.Marshal(map[string]any{"city": v.Draw(t, "city"), "list": []string{v.Draw(t, "item")}})
		return &content.Vars{
			Contact:  content.Contact{FirstName: v.Draw(t, "first"), LastName: v.Draw(t, "last"), Attributes: attrs},
			PageName: v.Draw(t, "page"), Link: "https://go.example/l/abc",
		}
	})
}

func TestNoValueIsEverTakenForAMarker(t *testing.T) {
	t.Parallel()
	fixed := rapid.SampledFrom([]string{"", "~", "%", "b0h%", "%b1t%", " ", "b1", "^", "^%", "x"})
	hole := rapid.SampledFrom([]string{
		"{{ contact.first_name }}", "{{ contact.last_name }}", "{{ contact.attributes.city }}", "{{ page.name | upcase }}",
		"{% for x in contact.attributes.list %}~{{ x }}%{% endfor %}",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for range rapid.IntRange(1, 5).Draw(t, "holes") {
			text += fixed.Draw(t, "fixed") + hole.Draw(t, "hole")
		}
		e := content.Email{Subject: "s" + text, HTML: "<p>" + text + "</p>", Text: "t" + text}
		if rapid.Bool().Draw(t, "layout") {
			e.Layout, e.Preheader, e.Button = content.LayoutBase, text, &content.Action{Title: "b" + text}
		}
		c := mailOf(t, e)
		v := vars().Draw(t, "vars")
		fill, err := c.Fill(v)
		if err != nil {
			require.True(t, fault.HasCode(err, content.CodeTooLong))
			return
		}
		subject, html, plain, err := c.RenderMail(v)
		require.NoError(t, err)
		m := c.Mail()
		require.Equal(t, subject, provider(t, m.Subject, m, fill))
		require.Equal(t, html, provider(t, m.HTML, m, fill))
		require.Equal(t, plain, provider(t, m.Text, m, fill))
	})
}

func TestMailKeepsItsShapeWhateverTheValues(t *testing.T) {
	t.Parallel()
	c := mailOf(t, content.Email{Subject: "Hi {{ contact.first_name }} {{ contact.attributes.city | append: '.' }}", HTML: `<p title="{{ contact.first_name }}" class='{{ contact.last_name | default: "x" }}'>{{ contact.attributes.city }}
		{% if contact.first_name %}<b>{{ contact.last_name | capitalize }}</b>{% else %}<b></b>{% endif %}</p>`})
	shape := func(v *content.Vars) string {
		subject, html, _, err := c.RenderMail(v)
		if fault.HasCode(err, content.CodeTooLong) {
			return ""
		}
		require.NoError(t, err)
		require.NotContains(t, subject, "\n")
		require.NotContains(t, subject, "\r")
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(`<>"'`, r) {
				return r
			}
			return -1
		}, html)
	}
	want := shape(&content.Vars{})
	rapid.Check(t, func(t *rapid.T) {
		if got := shape(vars().Draw(t, "vars")); got != "" {
			require.Equal(t, want, got)
		}
	})
}

package content_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/content"
	"beckon/internal/fault"
)

// newsletter uses all that the layout has.
func newsletter() content.Email {
	return content.Email{
		Subject: "{{ contact.first_name | default: 'Hello' }}, spring courses are open", Preheader: "Knots & sails, {{ contact.attributes.city | default: 'near you' }}",
		HTML: "<h1>Spring is here</h1>\n<p>Hi {{ contact.first_name | default: 'there' }}, these are new:</p>\n" +
			"<ul>{% for c in contact.attributes.courses %}<li>{{ c }}</li>{% endfor %}<li>Splicing</li></ul>\n" +
			"<p>Mornings or evenings: <a href=\"https://northern.example/times\">all times</a>.</p>",
		Button: &content.Action{Title: "See courses & dates"}, Language: "en-GB",
	}
}

func rendered(t require.TestingT, e content.Email, by content.Sender, v *content.Vars) (subject, html, text string) {
	c, _, err := content.Compile(content.Source{Email: &e}, by)
	require.NoError(t, err)
	v.Sender = by
	subject, html, text, err = c.RenderMail(v)
	require.NoError(t, err)
	return subject, html, text
}

func TestTheTextPartReadsWell(t *testing.T) {
	t.Parallel()
	by := content.Sender{Name: "Harbour School", Postal: "1 Quay Street\nLeeds LS1 1AA", Note: "Registered in England, No. 1234567"}
	german := ann()
	german.Contact.Locale = "de_AT"
	written := newsletter()
	written.Text = "Hi {{ contact.first_name | default: 'there' }},\n\nspring courses are open."
	for name, c := range map[string]struct {
		src content.Email
		v   *content.Vars
	}{
		"derived": {newsletter(), ann()}, "written": {written, ann()}, "nothing_known": {newsletter(), &content.Vars{Link: ann().Link, Unsubscribe: ann().Unsubscribe}}, "german": {newsletter(), german},
	} {
		_, _, text := rendered(t, c.src, by, c.v)
		golden(t, name+".txt", text)
	}
}

func TestAHoleThatSaysNothingLeavesNoEmptyLines(t *testing.T) {
	t.Parallel()
	const vip = "{% if contact.attributes.vip %}"
	for html, want := range map[string][2]string{
		"<p>a</p>" + vip + "<p>b</p>{% endif %}<p>c</p>":                                {"a\n\nb\n\nc", "a\n\nc"},
		"<p>a</p>\n" + vip + "<p>b</p>{% endif %}":                                      {"a\n\nb", "a"},
		vip + "<p>b</p>{% endif %}<p>c</p>":                                             {"b\n\nc", "c"},
		"<p>a {% if contact.attributes.vip %}b {% endif %}c</p>":                        {"a b c", "a c"},
		"<ul><li>a</li>" + vip + "<li>b</li>{% endif %}<li>c</li></ul>":                 {"- a\n- b\n- c", "- a\n- c"},
		"<p>a</p><p>{{ contact.first_name }}</p><p>c</p>":                               {"a\n\nAnn\n\nc", "a\n\nc"},
		"<p>a</p>" + vip + "<p>b</p>{% endif %} " + vip + "<p>c</p>{% endif %}<p>d</p>": {"a\n\nb\n\nc\n\nd", "a\n\nd"},
	} {
		e := content.Email{Subject: "s", HTML: html, Layout: content.LayoutNone}
		_, _, text := rendered(t, e, school, ann())
		require.Equal(t, want[0], text, html)
		_, _, text = rendered(t, e, school, &content.Vars{})
		require.Equal(t, want[1], text, html)
	}
}

// golden holds a text against what is written down; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "mail", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, name)
}

func TestTheBaseLayoutSaysWhoSendsAndHowToRefuse(t *testing.T) {
	t.Parallel()
	v := ann()
	_, html, text := rendered(t, newsletter(), content.Sender{Name: "Harbour & Sons", Postal: "1 <Quay>\nLeeds", Note: "No. 1 & only"}, v)
	for _, want := range []string{
		`<html lang="en-GB" dir="ltr"`, "<title>Harbour &amp; Sons</title>", `name="color-scheme" content="light dark"`, "prefers-color-scheme: dark",
		"Knots &amp; sails, Leeds&#8199;", "<h1>Spring is here</h1>", "<li>Knots</li><li>Sails</li><li>Splicing</li>",
		`<a href="https://go.example/l/abc" target="_blank"`, ">See courses &amp; dates</a>",
		`<p lang="en" dir="auto" style="margin:0 0 12px">You get this e-mail because you agreed to e-mails from us.<br><a href="https://go.example/u/abc"`,
		"<strong>Harbour &amp; Sons</strong><br>1 &lt;Quay&gt;<br>Leeds</p>", "No. 1 &amp; only</p>",
	} {
		require.Contains(t, html, want)
	}
	for _, want := range []string{"See courses & dates:\nhttps://go.example/l/abc\n", "Unsubscribe: https://go.example/u/abc\n", "Harbour & Sons\n1 <Quay>\nLeeds\n\nNo. 1 & only\n"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "Knots & sails, Leeds", "the preheader is for inboxes only")
	require.NotContains(t, html+text, "<no value>")
}

func TestWhatIsNotAskedForIsNotThere(t *testing.T) {
	t.Parallel()
	_, html, text := rendered(t, content.Email{Subject: "s", Text: "Just words."}, content.Sender{}, &content.Vars{Unsubscribe: "https://go.example/u/1"})
	require.Contains(t, html, "\n<p>Just words.</p>\n")
	for _, no := range []string{"&#8199;", "bk-act\"", `class="bk-head"`, "lang=\"\"", "\x0e", "\x0f"} {
		require.NotContains(t, html, no)
	}
	require.Equal(t, "Just words.\n\n---\nYou get this e-mail because you agreed to e-mails from us.\nUnsubscribe: https://go.example/u/1\n", text)
}

func TestTheFootSpeaksTheContactsLanguage(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]string{
		"de": "Abmelden", "de_DE": "Abmelden", "DE-at": "Abmelden", "pt_BR": "Cancelar inscrição", "uk_UA.UTF-8": "Відписатися", "pl": "Wypisz się",
		"": "Se désabonner", "tlh": "Se désabonner", "en_US": "Unsubscribe",
	} {
		_, html, text := rendered(t, content.Email{Subject: "s", Text: "x", Language: "fr-CA"}, school, &content.Vars{Contact: content.Contact{Locale: locale}, Unsubscribe: "https://go.example/u/1"})
		require.Contains(t, html, ">"+want+"</a>", locale)
		require.Contains(t, text, "\n"+want+": https://go.example/u/1\n", locale)
	}
	_, html, _ := rendered(t, content.Email{Subject: "s", Text: "x", Language: "ar"}, school, &content.Vars{})
	require.Contains(t, html, `<html lang="ar" dir="rtl"`)
	require.Contains(t, html, `class="bk-body" align="right"`)
	require.Contains(t, html, ">إلغاء الاشتراك</a>")
}

func TestEveryLanguageHasAllItsWords(t *testing.T) {
	t.Parallel()
	require.Greater(t, len(content.Footers()), 20)
	for language, words := range content.Footers() {
		require.Regexp(t, `^[a-z]{2}$`, language)
		for _, w := range words {
			require.NotEmpty(t, strings.TrimSpace(w), language)
			require.NotContains(t, w, "%")
			require.NotContains(t, w, "<")
		}
		require.Less(t, len([]rune(words[2])), 26, "%s: a link, not a sentence", language)
	}
}

func TestTheSendersNameStandsAboveTheAddressOnce(t *testing.T) {
	t.Parallel()
	for postal, want := range map[string]string{
		"1 Quay Street\nLeeds":                 "Harbour School\n1 Quay Street\nLeeds\n",
		"Harbour School, 1 Quay Street, Leeds": "Harbour School\n1 Quay Street, Leeds\n",
		"Harbour School\n1 Quay Street":        "Harbour School\n1 Quay Street\n",
		"Harbour Schoolhouse, Leeds":           "Harbour School\nHarbour Schoolhouse, Leeds\n",
		"":                                     "Harbour School\n",
	} {
		_, _, text := rendered(t, content.Email{Subject: "s", Text: "x"}, content.Sender{Name: "Harbour School", Postal: postal}, &content.Vars{Unsubscribe: "u"})
		require.True(t, strings.HasSuffix(text, "Unsubscribe: u\n\n"+want), "%q", text)
	}
}

func TestAWholeDocumentIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"<!DOCTYPE html><html><body>x</body></html>", "<HTML>\n<p>x", "<body class=a>x", " <head></head>x"} {
		_, html, _ := rendered(t, content.Email{Subject: "s", HTML: page}, school, &content.Vars{})
		require.Equal(t, page, html)
	}
	for _, part := range []string{"<header>x</header>", "&lt;html>", "<p>html</p>"} {
		_, html, _ := rendered(t, content.Email{Subject: "s", HTML: part}, school, &content.Vars{})
		require.Contains(t, html, "bk-foot", part)
	}
}

func TestMistakesOfTheLayoutAreNamed(t *testing.T) {
	t.Parallel()
	const page = "<html>{{ unsubscribe_url }}</html>"
	for name, c := range map[string]struct {
		src  content.Email
		want []string
	}{
		"unknown layout":         {content.Email{Subject: "s", Text: "x", Layout: "fancy"}, []string{"/layout not_allowed"}},
		"around a document":      {content.Email{Subject: "s", HTML: page, Layout: content.LayoutBase}, []string{"/layout whole_document"}},
		"no place for a button":  {content.Email{Subject: "s", HTML: page, Button: &content.Action{Title: "x"}}, []string{"/button needs_layout"}},
		"nor for a preheader":    {content.Email{Subject: "s", Text: "x", Layout: content.LayoutNone, Preheader: "x"}, []string{"/preheader needs_layout"}},
		"a button without words": {content.Email{Subject: "s", Text: "x", Button: &content.Action{Title: " \n"}}, []string{"/button/title required"}},
		"a button too long":      {content.Email{Subject: "s", Text: "x", Button: &content.Action{Title: strings.Repeat("ü", 61)}}, []string{"/button/title too_long"}},
		"a preheader too long":   {content.Email{Subject: "s", Text: "x", Preheader: strings.Repeat("ü", 251)}, []string{"/preheader too_long"}},
		"a button's mistake":     {content.Email{Subject: "s", Text: "x", Button: &content.Action{Title: "{{ x }}"}}, []string{"/button/title unknown_variable"}},
		"a preheader's mistake":  {content.Email{Subject: "s", Text: "x", Preheader: "{% if %}"}, []string{"/preheader bad_template"}},
		"language":               {content.Email{Subject: "s", Text: "x", Language: `en" onload="x`}, []string{"/language bad_format"}},
		"the sender is ours":     {content.Email{Subject: "s", Text: "{% assign sender = 'x' %}y"}, []string{"/text reserved_name"}},
	} {
		for i, s := range c.want {
			c.want[i] = "/content/email" + s
		}
		_, _, err := content.Compile(content.Source{Email: &c.src}, school)
		require.Subset(t, fields(t, err), c.want, name)
	}
}

func TestAButtonAlwaysSaysSomething(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{Email: &content.Email{Subject: "s", Text: "x", Button: &content.Action{Title: "{{ contact.attributes.action }}"}}})
	_, err := c.Fill(&content.Vars{})
	require.True(t, fault.HasCode(err, content.CodeEmpty))
	_, err = c.Fill(&content.Vars{Contact: content.Contact{Attributes: json.RawMessage(`{"action":"Go <now>"}`)}})
	require.NoError(t, err)
}

// duties are the codes of what an e-mail lacks to go out, by its part.
func duties(t *testing.T, e content.Email, by content.Sender) (out []string) {
	t.Helper()
	_, warnings, err := content.Compile(content.Source{Email: &e}, by)
	require.NoError(t, err)
	for _, w := range warnings {
		if w.Stops() {
			out = append(out, strings.TrimPrefix(w.Pointer, "/content/email")+" "+w.Code)
		}
	}
	return out
}

func TestNoEMailGoesOutWithoutItsDuties(t *testing.T) {
	t.Parallel()
	const none, way, post = content.LayoutNone, content.WarnEmailWithoutOptOut, content.WarnEmailWithoutAddress
	full := `<p>x <a href="{{ unsubscribe_url }}">Leave</a><br>{{ sender.postal_address }}</p>`
	for name, c := range map[string]struct {
		html, text string
		want       []string
	}{
		"all there":                  {full, "", nil},
		"the address in letters":     {`<a href='{{ unsubscribe_url }}'><img src="x.png"></a><p>1&nbsp;quay street,<br> LEEDS, LS1 1AA</p>`, "", nil},
		"nothing":                    {"<p>x</p>", "", []string{"/html " + way, "/html " + post}},
		"no address":                 {`<a href="{{ unsubscribe_url }}">Leave</a>`, "", []string{"/html " + post}},
		"half an address":            {`<a href="{{ unsubscribe_url }}">Leave</a> 1 Quay Street`, "", []string{"/html " + post}},
		"in a comment":               {"<!-- " + full + " --><p>x</p>", "", []string{"/html " + way, "/html " + post}},
		"only as words":              {"<p>{{ unsubscribe_url }} {{ sender.postal_address }}</p>", "", []string{"/html " + way}},
		"nothing to tap":             {`<p>x <a href="{{ unsubscribe_url }}"> <b></b></a> {{ sender.postal_address }}</p>`, "", []string{"/html " + way}},
		"not to be seen":             {`<p>x <a style="display: none" href="{{ unsubscribe_url }}">Leave</a> {{ sender.postal_address }}</p>`, "", []string{"/html " + way}},
		"elsewhere":                  {`<p>x <a href="{{ unsubscribe_url }}/no">Leave</a> {{ sender.postal_address }}</p>`, "", []string{"/html " + way}},
		"only for those with a name": {"<p>x</p>{% if contact.first_name %}" + full + "{% endif %}", "", []string{"/html " + way, "/html " + post}},
		"only for those without":     {"<p>x</p>{% unless contact.first_name %}" + full + "{% endunless %}", "", []string{"/html " + way, "/html " + post}},
		"either way":                 {"{% if contact.locale == 'de' %}" + full + "{% else %}" + full + "{% endif %}", "", nil},
		"a text without":             {full, "Just words", []string{"/text " + way, "/text " + post}},
		"a text with":                {full, "Leave: {{ unsubscribe_url }}\n{{ sender.postal_address }}", nil},
	} {
		require.Equal(t, c.want, duties(t, content.Email{Subject: "s", HTML: c.html, Text: c.text, Layout: none}, school), name)
	}
	require.Empty(t, duties(t, newsletter(), school))
	require.Equal(t, []string{" email_without_sender_name", " email_without_postal_address"}, duties(t, newsletter(), content.Sender{Name: " ", Postal: " , "}))
}

func TestAnEMailThatGmailWouldCutIsToldOf(t *testing.T) {
	t.Parallel()
	_, warnings, err := content.Compile(content.Source{Email: &content.Email{Subject: "s", HTML: "<p>{{ link }}" + strings.Repeat("x", 95_000)}}, school)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Equal(t, content.WarnEmailClipped, warnings[0].Code)
	require.False(t, warnings[0].Stops())
}

func TestTheLayoutLeavesRoom(t *testing.T) {
	t.Parallel()
	m := compile(t, content.Source{Email: &content.Email{Subject: "s", Text: "x"}}).Mail()
	require.True(t, strings.HasPrefix(m.Holes[0], "~"), "it has no merge markers of its own")
	require.Less(t, len(m.HTML), 10_000)
	fill, err := compile(t, content.Source{Email: &content.Email{Subject: "s", Text: "x"}}).Fill(ann())
	require.NoError(t, err)
	require.Less(t, len(strings.Join(append(fill, m.Holes...), "")), 600, "of SendGrid's 10,000 bytes for each recipient")
}

var (
	rawTag  = regexp.MustCompile(`<[a-z/!][^>]*>`)
	control = regexp.MustCompile(`[\x00-\x08\x0b-\x1f]`)
)

// TestNoValueBreaksTheLayout fills every place with what people may be called.
func TestNoValueBreaksTheLayout(t *testing.T) {
	t.Parallel()
	e := newsletter()
	e.Button.Title, e.Preheader = "Go, {{ contact.first_name }}", "{{ contact.last_name }}"
	c := compile(t, content.Source{Email: &e})
	tags := func(v *content.Vars) []string {
		_, html, text, err := c.RenderMail(v)
		require.NoError(t, err)
		require.NotRegexp(t, control, html+text)
		return rawTag.FindAllString(html, -1)
	}
	calm := func() *content.Vars {
		v := ann()
		v.Contact.Attributes = json.RawMessage(`{"courses":["x"]}`)
		return v
	}
	want := tags(calm())
	rapid.Check(t, func(t *rapid.T) {
		v := calm()
		v.Contact.FirstName, v.Contact.LastName = values().Draw(t, "first"), values().Draw(t, "last")
		require.Equal(t, want, tags(v))
	})
}

package content

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiltersDoWhatLiquidSays(t *testing.T) {
	t.Parallel()
	examples := map[string]map[string]string{
		"default":        {"nil | default: 'x'": "x", "'' | default: 'x'": "x", "false | default: 'x'": "x", "0 | default: 'x'": "0"},
		"capitalize":     {"'hello World' | capitalize": "Hello World", "'' | capitalize": ""},
		"downcase":       {"'ÀB' | downcase": "àb"},
		"upcase":         {"'àb' | upcase": "ÀB"},
		"strip":          {"'  a b ' | strip": "a b"},
		"lstrip":         {"'  a ' | lstrip": "a "},
		"rstrip":         {"' a  ' | rstrip": " a"},
		"strip_newlines": {"lines | strip_newlines": "ab"},
		"strip_html":     {"'<b>a</b>' | strip_html": "a"},
		"escape":         {"'<&>' | escape": "&lt;&amp;&gt;"},
		"escape_once":    {"'&lt;&' | escape_once": "&lt;&amp;"},
		"newline_to_br":  {"lines | newline_to_br": "a<br />b"},
		"append":         {"'a' | append: 'b'": "ab", "1 | append: 'st'": "1st"},
		"prepend":        {"'b' | prepend: 'a'": "ab"},
		"remove":         {"'banana' | remove: 'an'": "ba"},
		"remove_first":   {"'banana' | remove_first: 'an'": "bana"},
		"replace":        {"'banana' | replace: 'an', 'o'": "booa"},
		"replace_first":  {"'banana' | replace_first: 'an', 'o'": "boana"},
		"slice":          {"'Liquid' | slice: 2": "q", "'Liquid' | slice: -3, 2": "ui", "'Liquid' | slice: -9": ""},
		"split":          {"'a-b' | split: '-' | size": "2"},
		"join":           {"list | join: '/'": "b/a/B/a"},
		"first":          {"list | first": "b"},
		"last":           {"list | last": "a"},
		"size":           {"'äbc' | size": "3", "list | size": "4"},
		"sort":           {"list | sort | join": "B a a b"},
		"sort_natural":   {"list | uniq | sort_natural | first": "a"},
		"reverse":        {"list | reverse | join": "a B a b"},
		"uniq":           {"list | uniq | join": "b a B"},
		"compact":        {"holes | compact | join: ','": "x"},
		"map":            {"people | map: 'name' | join: '+'": "Ann+Bo"},
		"concat":         {"list | concat: list | size": "8"},
		"truncate":       {"'Ground control' | truncate: 9": "Ground...", "'abc' | truncate: 3": "abc", "'abcdef' | truncate: 2, ''": "ab"},
		"truncatewords":  {"'a b c' | truncatewords: 2, '--'": "a b--", "'a b' | truncatewords": "a b"},
		"url_encode":     {"'a&b ü' | url_encode": "a%26b+%C3%BC"},
		"url_decode":     {"'a%26b' | url_decode": "a&b"},
		"date":           {"'2026-11-22' | date: '%e %B %Y'": "22 November 2026", "'2026-11-22' | date": "Sun, Nov 22, 26"},
		"abs":            {"-5 | abs": "5"},
		"ceil":           {"1.2 | ceil": "2"},
		"floor":          {"1.8 | floor": "1"},
		"round":          {"2.6 | round": "3", "2.456 | round: 2": "2.46"},
		"plus":           {"1 | plus: 2": "3", "'4' | plus: 1.5": "5.5"},
		"minus":          {"1 | minus: 2": "-1"},
		"times":          {"1000 | times: 1000": "1000000"},
		"divided_by":     {"9 | divided_by: 2": "4", "-9 | divided_by: 2": "-5", "9 | divided_by: 4.0": "2.25"},
		"modulo":         {"9 | modulo: 4": "1"},
		"json":           {"people | json": `[{"name":"Ann"},{"name":"Bo"}]`},
	}
	engine := newEngine(plain)
	bindings := map[string]any{
		"lines": "a\nb", "list": []any{"b", "a", "B", "a"}, "holes": []any{nil, "x"},
		"people": []any{map[string]any{"name": "Ann"}, map[string]any{"name": "Bo"}},
	}
	for _, name := range filterNames() {
		require.NotEmpty(t, examples[name], "an example for %s", name)
		for source, want := range examples[name] {
			compiled, bad := engine.ParseString("{{ (" + source + ") | " + filterOut + " }}")
			require.NoError(t, bad, source)
			got, err := run(compiled, bindings)
			require.NoError(t, err, source)
			require.Equal(t, want, got, source)
		}
	}
}

func TestEngineFailsWithoutPanic(t *testing.T) {
	t.Parallel()
	engine := newEngine(plain)
	for _, source := range []string{
		"1 | divided_by: 0", "1 | divided_by: nil", "1 | divided_by: 0.0", "1 | divided_by: 'x'", "1 | modulo: 0", "'x' | plus: 1", "'x' | first",
		"'x' | date: '%Y'", "list | uniq", "'abc' | slice: 'x'", "1 | join", "'a' | truncate: 'b'",
	} {
		compiled, bad := engine.ParseString("{{ (" + source + ") | " + filterOut + " }}")
		require.NoError(t, bad, source)
		_, err := run(compiled, map[string]any{"list": []any{nil}})
		require.Error(t, err, source)
	}
}

// The campaign of the API's own example, for two people, on all channels.
func TestACampaignFromEndToEnd(t *testing.T) {
	t.Parallel()
	c, warnings, err := Compile(Source{
		Messenger: &Messenger{
			Text:         "Hi {{ contact.first_name | default: 'there' }}, spring courses are open. Want the list?",
			QuickReplies: []QuickReply{{Title: "Yes please", Payload: "COURSES_YES"}},
		},
		SMS: &SMS{Text: "Spring courses are open, see them in our chat: {{ link }} Reply STOP to opt out"},
		Email: &Email{
			Subject: "{% if contact.attributes.city %}{{ contact.attributes.city }}: {% endif %}spring courses are open",
			HTML: `{% assign name = contact.first_name | default: "there" | capitalize %}<h1>Hi {{ name }}</h1>` +
				`<p>{% case contact.attributes.level %}{% when 1, 2 %}Start here{% else %}Go on{% endcase %}: <a href="{{ link }}">our chat</a></p>` +
				`<p><a href="{{ unsubscribe_url }}">Leave</a>, {{ name }}</p>`,
		},
	}, Sender{Name: "School", Postal: "1 Quay Street"})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.True(t, c.UsesAttributes())

	for name, want := range map[string]struct {
		contact                            Contact
		messenger, subject, html, mailText string
	}{
		"known": {
			Contact{FirstName: "zoë & co", Attributes: json.RawMessage(`{"city":"Leeds <N>","level":2}`)},
			`{"text":"Hi zoë \u0026 co, spring courses are open. Want the list?","quick_replies":[{"content_type":"text","title":"Yes please","payload":"COURSES_YES"}]}`,
			"Leeds <N>: spring courses are open",
			`<h1>Hi Zoë &amp; co</h1><p>Start here: <a href="https://go.example/l/1">our chat</a></p><p><a href="https://go.example/u/1">Leave</a>, Zoë &amp; co</p>`,
			"Hi Zoë & co\n\nStart here: our chat <https://go.example/l/1>\n\nLeave <https://go.example/u/1>, Zoë & co",
		},
		"unknown": {
			Contact{},
			`{"text":"Hi there, spring courses are open. Want the list?","quick_replies":[{"content_type":"text","title":"Yes please","payload":"COURSES_YES"}]}`,
			"spring courses are open",
			`<h1>Hi There</h1><p>Go on: <a href="https://go.example/l/1">our chat</a></p><p><a href="https://go.example/u/1">Leave</a>, There</p>`,
			"Hi There\n\nGo on: our chat <https://go.example/l/1>\n\nLeave <https://go.example/u/1>, There",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &Vars{Contact: want.contact, Link: "https://go.example/l/1", Unsubscribe: "https://go.example/u/1"}
			message, err := c.Messenger(v)
			require.NoError(t, err)
			require.Equal(t, want.messenger, string(message))
			sms, err := c.SMS(v)
			require.NoError(t, err)
			require.Equal(t, "Spring courses are open, see them in our chat: https://go.example/l/1 Reply STOP to opt out", sms)
			subject, html, text, err := c.RenderMail(v)
			require.NoError(t, err)
			require.Equal(t, want.subject, subject)
			require.Contains(t, html, "\n"+want.html+"\n")
			require.True(t, strings.HasPrefix(text, want.mailText+"\n\n---\n"), text)
		})
	}
}

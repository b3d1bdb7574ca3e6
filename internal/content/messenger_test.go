package content_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/content"
	"beckon/internal/fault"
)

func replies(n int) []content.QuickReply {
	out := make([]content.QuickReply, n)
	for i := range out {
		out[i] = content.QuickReply{Title: "Yes", Payload: "YES"}
	}
	return out
}

func buttons(n int) []content.Button {
	out := make([]content.Button, n)
	for i := range out {
		out[i] = content.Button{Type: content.ButtonPostback, Title: "Yes", Payload: "YES"}
	}
	return out
}

func TestMessengerWritesTheMessageObject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src  content.Messenger
		want string
	}{
		"text": {content.Messenger{Text: "Hi {{ contact.first_name }}"}, `{"text":"Hi Ann"}`},
		"quick replies": {
			content.Messenger{Text: "Hi", QuickReplies: []content.QuickReply{{Title: "Yes {{ contact.first_name }}", Payload: "Y_{{ contact.external_id }}"}}},
			`{"text":"Hi","quick_replies":[{"content_type":"text","title":"Yes Ann","payload":"Y_c-7"}]}`,
		},
		"buttons": {
			content.Messenger{Text: "Hi", Buttons: []content.Button{
				{Type: content.ButtonURL, Title: "See", URL: "{{ link }}"},
				{Type: content.ButtonURL, Title: "Map", URL: "https://maps.example/?q={{ contact.attributes.city | url_encode }} x"},
				{Type: content.ButtonPostback, Title: "Ask", Payload: "ASK"},
			}},
			`{"attachment":{"type":"template","payload":{"template_type":"button","text":"Hi","buttons":[
				{"type":"web_url","title":"See","url":"https://go.example/l/abc"},
				{"type":"web_url","title":"Map","url":"https://maps.example/?q=Leeds%20x"},
				{"type":"postback","title":"Ask","payload":"ASK"}]}}}`,
		},
		"both": {
			content.Messenger{Text: "Hi", Buttons: buttons(1), QuickReplies: replies(1)},
			`{"attachment":{"type":"template","payload":{"template_type":"button","text":"Hi","buttons":[
				{"type":"postback","title":"Yes","payload":"YES"}]}},"quick_replies":[{"content_type":"text","title":"Yes","payload":"YES"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := compile(t, content.Source{Messenger: &c.src}).Messenger(ann())
			require.NoError(t, err)
			require.JSONEq(t, c.want, string(out))
		})
	}
}

func TestMessengerLimitsAreCheckedWhenCompiling(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ü", n) }
	button := func(b content.Button) content.Messenger {
		return content.Messenger{Text: "x", Buttons: []content.Button{b}}
	}
	url := func(u string) content.Messenger {
		return button(content.Button{Type: content.ButtonURL, Title: "x", URL: u})
	}
	for name, c := range map[string]struct {
		src  content.Messenger
		want string
	}{
		"no text":           {content.Messenger{QuickReplies: replies(1)}, "/text required"},
		"long text":         {content.Messenger{Text: long(2001)}, "/text too_long"},
		"long button text":  {content.Messenger{Text: long(641), Buttons: buttons(1)}, "/text too_long"},
		"14 quick replies":  {content.Messenger{Text: "x", QuickReplies: replies(14)}, "/quick_replies too_many"},
		"4 buttons":         {content.Messenger{Text: "x", Buttons: buttons(4)}, "/buttons too_many"},
		"reply title":       {content.Messenger{Text: "x", QuickReplies: []content.QuickReply{{Title: long(21), Payload: "x"}}}, "/quick_replies/0/title too_long"},
		"reply no title":    {content.Messenger{Text: "x", QuickReplies: []content.QuickReply{{Payload: "x"}}}, "/quick_replies/0/title required"},
		"reply payload":     {content.Messenger{Text: "x", QuickReplies: []content.QuickReply{{Title: "x", Payload: long(1001)}}}, "/quick_replies/0/payload too_long"},
		"reply no payload":  {content.Messenger{Text: "x", QuickReplies: append(replies(1), content.QuickReply{Title: "x"})}, "/quick_replies/1/payload required"},
		"button title":      {button(content.Button{Type: content.ButtonPostback, Title: long(21), Payload: "x"}), "/buttons/0/title too_long"},
		"button type":       {button(content.Button{Type: "call", Title: "x"}), "/buttons/0/type unknown_type"},
		"button no payload": {button(content.Button{Type: content.ButtonPostback, Title: "x"}), "/buttons/0/payload required"},
		"postback with url": {button(content.Button{Type: content.ButtonPostback, Title: "x", Payload: "x", URL: "https://a.example"}), "/buttons/0/url not_allowed"},
		"url with payload":  {button(content.Button{Type: content.ButtonURL, Title: "x", Payload: "x", URL: "https://a.example"}), "/buttons/0/payload not_allowed"},
		"no url":            {url(""), "/buttons/0/url required"},
		"script":            {url("javascript:alert(1)"), "/buttons/0/url bad_url"},
		"no host":           {url("https:///x"), "/buttons/0/url bad_url"},
		"host from contact": {url("https://{{ contact.attributes.host }}/x"), "/buttons/0/url bad_url"},
		"half a host":       {url("https://shop{{ contact.attributes.host }}"), "/buttons/0/url bad_url"},
		"user before host":  {url("https://shop@{{ contact.attributes.host }}/"), "/buttons/0/url bad_url"},
		"contact's url":     {url("{{ contact.attributes.url }}"), "/buttons/0/url bad_url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := content.Compile(content.Source{Messenger: &c.src}, school)
			require.Equal(t, []string{"/content/messenger" + c.want}, fields(t, err))
		})
	}
}

func TestMessengerTakesAllThatFits(t *testing.T) {
	t.Parallel()
	full := content.Messenger{Text: strings.Repeat("ü", 640), QuickReplies: replies(13), Buttons: buttons(3)}
	full.QuickReplies[0] = content.QuickReply{Title: strings.Repeat("ü", 20), Payload: strings.Repeat("ü", 1000)}
	_, err := compile(t, content.Source{Messenger: &full}).Messenger(ann())
	require.NoError(t, err)
	_, err = compile(t, content.Source{Messenger: &content.Messenger{Text: strings.Repeat("ü", 2000)}}).Messenger(ann())
	require.NoError(t, err)
}

func TestMessengerLimitsAreCheckedForEachContact(t *testing.T) {
	t.Parallel()
	name := "{{ contact.first_name }}"
	reply := func(q content.QuickReply) content.Messenger {
		return content.Messenger{Text: "x", QuickReplies: []content.QuickReply{q}}
	}
	button := func(b content.Button) content.Messenger {
		return content.Messenger{Text: "x", Buttons: []content.Button{b}}
	}
	for what, c := range map[string]struct {
		src   content.Messenger
		first string
		code  string
	}{
		"empty text":          {content.Messenger{Text: name + " "}, "", content.CodeEmpty},
		"long text":           {content.Messenger{Text: name}, strings.Repeat("é", 2001), content.CodeTooLong},
		"long button text":    {content.Messenger{Text: name, Buttons: buttons(1)}, strings.Repeat("é", 641), content.CodeTooLong},
		"empty title":         {reply(content.QuickReply{Title: name, Payload: "x"}), "", content.CodeEmpty},
		"long title":          {reply(content.QuickReply{Title: name, Payload: "x"}), strings.Repeat("é", 21), content.CodeTooLong},
		"empty payload":       {reply(content.QuickReply{Title: "x", Payload: name}), "", content.CodeEmpty},
		"long payload":        {reply(content.QuickReply{Title: "x", Payload: name}), strings.Repeat("é", 1001), content.CodeTooLong},
		"long button title":   {button(content.Button{Type: content.ButtonPostback, Title: name, Payload: "x"}), strings.Repeat("é", 21), content.CodeTooLong},
		"long button payload": {button(content.Button{Type: content.ButtonPostback, Title: "x", Payload: name}), strings.Repeat("é", 1001), content.CodeTooLong},
		"long url":            {button(content.Button{Type: content.ButtonURL, Title: "x", URL: "https://a.example/" + name}), strings.Repeat("é", 2001), content.CodeTooLong},
		"broken url":          {button(content.Button{Type: content.ButtonURL, Title: "x", URL: "https://a.example/" + name}), "%zz", content.CodeBadURL},
		"no link":             {button(content.Button{Type: content.ButtonURL, Title: "x", URL: "{{ link }}?x=1"}), "", content.CodeBadURL},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := compile(t, content.Source{Messenger: &c.src}).Messenger(&content.Vars{Contact: content.Contact{FirstName: c.first}})
			require.True(t, fault.HasCode(err, c.code), err)
			require.True(t, fault.Is(err, fault.Invalid))
		})
	}
}

func TestMessengerWarnsWhenThereIsNothingToTap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src  content.Messenger
		warn bool
	}{
		"only text":    {content.Messenger{Text: "Hi"}, true},
		"quick reply":  {content.Messenger{Text: "Hi", QuickReplies: replies(1)}, false},
		"button":       {content.Messenger{Text: "Hi", Buttons: buttons(1)}, false},
		"link":         {content.Messenger{Text: "Hi {{ link }}"}, false},
		"own address":  {content.Messenger{Text: "See https://a.example"}, false},
		"link in a if": {content.Messenger{Text: "Hi {% if contact.email %}{{ link }}{% endif %}"}, false},
	} {
		_, warnings, err := content.Compile(content.Source{Messenger: &c.src}, school)
		require.NoError(t, err)
		require.Equal(t, c.warn, len(warnings) == 1 && warnings[0].Code == content.WarnNothingToTap && warnings[0].Pointer == "/content/messenger", name)
	}
}

func TestMessengerKeepsItsShapeWhateverTheValues(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{Messenger: &content.Messenger{
		Text: "Hi {{ contact.first_name }}.", QuickReplies: []content.QuickReply{{Title: "Yes", Payload: "P:{{ contact.first_name }}"}},
	}})
	for _, name := range hostile() {
		out, err := c.Messenger(&content.Vars{Contact: content.Contact{FirstName: name}})
		if fault.HasCode(err, content.CodeTooLong) {
			continue
		}
		require.NoError(t, err)
		var got struct {
			Text         string              `json:"text"`
			QuickReplies []map[string]string `json:"quick_replies"`
		}
		d := json.NewDecoder(strings.NewReader(string(out)))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&got))
		require.True(t, strings.HasPrefix(got.Text, "Hi ") && strings.HasSuffix(got.Text, "."), got.Text)
		require.NotContains(t, got.Text, "\x00")
		require.NotContains(t, got.Text, "\u202e")
		require.Len(t, got.QuickReplies, 1)
		require.Len(t, got.QuickReplies[0], 3)
	}
}

// hostile are names that break careless programs.
func hostile() []string {
	return []string{
		`"},"x":"`, `\`, "{{ link }}", "{% raw %}", "}}", "%%b0h%%", "~%b0h%", "~%b1s%", "~", "%", "~%", "b0h%", "%b0t%",
		"a\r\nBcc: x@example.com", "a\nb", "\x00\x01\x1b[31m", "\xff\xfe", "\u202egpj.exe", "\u2066x", "😀👩‍👩‍👧", "مرحبا", "שלום",
		"<script>alert(1)</script>", "' onload='x", `" onload="x`, "&amp;", "-->", "]]>", "\u2028\u2029", "\ufeff",
		strings.Repeat("x", 3000), strings.Repeat("~%b0h%", 100), "$1", "%s%d%n", "Robert'); DROP TABLE contacts;--",
	}
}

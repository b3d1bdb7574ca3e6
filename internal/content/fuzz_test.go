package content_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"beckon/internal/content"
	"beckon/internal/fault"
)

// Whatever somebody writes as content, and whatever is known of a person: it is
// refused with the place of the mistake, or it renders within the limits of its
// channel, or it is refused for this person by one of the codes.
func FuzzContent(f *testing.F) {
	for _, m := range forms() {
		seed(f, content.Source{Messenger: &m})
	}
	seed(f, benchSource())
	letter := newsletter()
	seed(f, content.Source{Email: &letter})
	seed(f, content.Source{Email: &content.Email{Subject: "s", HTML: "<body><a href='{{ unsubscribe_url }}'>x</a>{{ sender.postal_address }}</body>", Layout: content.LayoutNone}})
	seed(f, content.Source{Utility: &content.Utility{Template: "visit", Language: "en", Parameters: map[string]string{"when": "{{ contact.first_name }}"}, Buttons: []content.UtilityButton{{Payload: "{{ contact.attributes.city }}"}}}})
	f.Fuzz(func(t *testing.T, written []byte, name, city string) {
		var src content.Source
		if json.Unmarshal(written, &src) != nil {
			return
		}
		c, _, err := content.Compile(src, school)
		if err != nil {
			requirePlaces(t, err)
			return
		}
		sayAll(t, c, name, city)
	})
}

// The same with templates put where each form has them, so that more of what is
// tried gets past the reading of JSON.
func FuzzMessage(f *testing.F) {
	f.Add("Hi {{ contact.first_name }}", "{{ contact.attributes.city }}", "https://a.example/{{ contact.external_id }}", "Ann", "Leeds")
	f.Add("{% for c in contact.attributes.courses %}{{ c }}{% endfor %}", "{% assign n = link %}{{ n }}", "{{ link }}", " ", "%zz")
	f.Add("{{ contact.first_name | upcase | append: '!' }}", "+44 {{ contact.first_name }}", "https://www.facebook.com/{{ page.name }}", "207183875", "")
	f.Fuzz(func(t *testing.T, a, b, url, name, city string) {
		raw, err := json.Marshal(map[string]any{"attachment": map[string]any{"type": "template", "payload": map[string]any{"template_type": "new", "url": url, a: b, "list": []any{a, b, url}}}})
		require.NoError(t, err)
		taps := []content.Button{{Type: content.ButtonPostback, Title: a, Payload: b}, {Type: content.ButtonURL, Title: a, URL: url}, {Type: content.ButtonPhone, Title: a, Payload: b}}
		for _, m := range []content.Messenger{
			{Text: a, QuickReplies: []content.QuickReply{{Title: a, Payload: b}, {ContentType: content.ReplyEmail}}},
			{Text: b, Buttons: taps[:2]},
			{Text: url, Buttons: taps[2:]},
			{Elements: []content.Element{{Title: a, Subtitle: b}, {Title: b, Subtitle: a, ImageURL: url}, {Title: a, URL: url, Buttons: taps[:1]}}},
			{Media: &content.Media{Type: content.MediaImage, URL: url}},
			{Attachment: &content.Attachment{Type: content.MediaFile, URL: url}},
			{Raw: raw},
		} {
			c, _, err := content.Compile(content.Source{Messenger: &m}, school)
			if err != nil {
				requirePlaces(t, err)
				continue
			}
			sayAll(t, c, name, city)
		}
	})
}

func seed(f *testing.F, src content.Source) {
	f.Helper()
	written, err := json.Marshal(src)
	require.NoError(f, err)
	f.Add(written, "Ann", "Leeds")
	f.Add(written, "", strings.Repeat("é", 100))
	f.Add(bytes.ReplaceAll(written, []byte("Hi"), []byte("{{ contact.first_name }}")), `"},"x":"`, "%zz")
}

func requirePlaces(t *testing.T, err error) {
	t.Helper()
	var bad *fault.Error
	require.ErrorAs(t, err, &bad)
	require.Equal(t, fault.Invalid, bad.Kind)
	require.NotEmpty(t, bad.Fields)
	for _, f := range bad.Fields {
		require.True(t, strings.HasPrefix(f.Pointer, "/content/"), f.Pointer)
	}
}

// sayAll renders for nobody, for a friend, and for a person of whom that is known.
func sayAll(t *testing.T, c *content.Compiled, name, city string) {
	t.Helper()
	attributes, err := json.Marshal(map[string]any{"city": city, "courses": []string{name, city}})
	require.NoError(t, err)
	for _, v := range []*content.Vars{{}, ann(), {Link: "https://go.example/l/abc",
		Contact: content.Contact{FirstName: name, ExternalID: city, Attributes: attributes}}} {
		sayTo(t, c, v)
	}
}

func sayTo(t *testing.T, c *content.Compiled, v *content.Vars) {
	t.Helper()
	message, err := c.Messenger(v)
	if requireCode(t, err) {
		requireWithinMetasLimits(t, message)
		requireSayable(t, content.Rendered(message))
	}
	fixed, err := c.Utility(v)
	if requireCode(t, err) {
		require.True(t, json.Valid(fixed), "%s", fixed)
	}
	text, err := c.SMS(v)
	if requireCode(t, err) {
		require.LessOrEqual(t, utf8.RuneCountInString(text), content.MaxSMS)
	}
	_, _, _, err = c.RenderMail(v)
	requireCode(t, err)
}

// requireCode tells whether there is something to say.
func requireCode(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	codes := []string{content.CodeEmpty, content.CodeTooLong, content.CodeBadURL, content.CodeBadPhone, content.CodeRenderFailed, content.CodeNone}
	require.True(t, fault.Is(err, fault.Invalid) && slices.ContainsFunc(codes, func(code string) bool { return fault.HasCode(err, code) }), err)
	return false
}

// What was rendered has nothing of a template in it that would be filled again
// by mistake; read as content it is a message of one form.
func requireSayable(t *testing.T, m content.Messenger) {
	t.Helper()
	n := 0
	for _, given := range []bool{m.Text != "", len(m.Elements) > 0, m.Media != nil, m.Attachment != nil, m.Raw != nil} {
		if given {
			n++
		}
	}
	require.Equal(t, 1, n)
}

// requireWithinMetasLimits reads a message the way the Send API is described,
// knowing nothing of how it was written.
func requireWithinMetasLimits(t *testing.T, message []byte) {
	t.Helper()
	require.True(t, json.Valid(message) && message[0] == '{', "%s", message)
	var m map[string]any
	require.NoError(t, json.Unmarshal(message, &m))
	for _, ours := range []string{"recipient", "messaging_type", "tag", "metadata", "message", "template", "notification_type"} {
		require.NotContains(t, m, ours)
	}
	_, attachment := m["attachment"]
	if text, ok := m["text"]; ok {
		short(t, text, 2000)
	}
	require.NotEqual(t, attachment, m["text"] != nil, "%s", message)
	for _, q := range list(t, m["quick_replies"], 13) {
		if q["content_type"] == "text" {
			short(t, q["title"], 20)
			short(t, q["payload"], 1000)
		}
	}
	if a, ok := m["attachment"].(map[string]any); ok {
		payload, _ := a["payload"].(map[string]any)
		requireTemplate(t, payload)
	}
}

func requireTemplate(t *testing.T, p map[string]any) {
	t.Helper()
	switch p["template_type"] {
	case "button":
		short(t, p["text"], 640)
		require.NotEmpty(t, p["buttons"])
	case "generic":
		require.NotEmpty(t, p["elements"])
		for _, e := range list(t, p["elements"], 10) {
			short(t, e["title"], 80)
			require.Greater(t, len(e), 1)
			if e["subtitle"] != nil {
				require.LessOrEqual(t, utf8.RuneCountInString(fmt.Sprint(e["subtitle"])), 80)
			}
			requireButtons(t, e["buttons"])
		}
	case "media":
		for _, e := range list(t, p["elements"], 1) {
			requireButtons(t, e["buttons"])
		}
	case "one_time_notif_req", "notification_messages":
		t.Fatal("a campaign must not ask for permission")
	}
	requireButtons(t, p["buttons"])
}

func requireButtons(t *testing.T, buttons any) {
	t.Helper()
	for _, b := range list(t, buttons, 3) {
		switch b["type"] {
		case "web_url":
			short(t, b["title"], 20)
			require.Regexp(t, `^https?://[^/]`, b["url"])
		case "postback":
			short(t, b["title"], 20)
			short(t, b["payload"], 1000)
		case "phone_number":
			require.Regexp(t, `^\+[0-9]`, b["payload"])
		}
	}
}

// short demands a text that says something and is not too long.
func short(t *testing.T, v any, limit int) {
	t.Helper()
	s, ok := v.(string)
	require.True(t, ok && strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= limit, "%v", v)
}

// list returns the objects of a list that is not too long.
func list(t *testing.T, v any, limit int) (out []map[string]any) {
	t.Helper()
	all, _ := v.([]any)
	require.LessOrEqual(t, len(all), limit)
	for _, one := range all {
		if object, ok := one.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}

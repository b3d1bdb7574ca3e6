package content_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/content"
	"beckon/internal/fault"
)

func TestSMSWarnsAboutLinkAndOptOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"Hello":                                                 {content.WarnSMSWithoutLink, content.WarnSMSWithoutOptOut},
		"Hello, reply STOP to opt out":                          {content.WarnSMSWithoutLink},
		"{{ link }}":                                            {content.WarnSMSWithoutOptOut},
		"{{ link }} a non stopping show":                        {content.WarnSMSWithoutOptOut},
		"{{ link }} Stop: reply STOP":                           nil,
		"{{ link }} to opt-out":                                 nil,
		"{{ link }} unsubscribe here":                           nil,
		"{{ link }} {{ unsubscribe_url }}":                      nil,
		"{{ link }} Abmelden mit STOPP":                         nil,
		"{{ link }} Pour vous désabonner":                       nil,
		"{{ link }} Ответьте СТОП":                              nil,
		"{{ link }} 回复退订":                                       nil,
		"{% if contact.email %}{{ link }} STOP{% endif %}":      nil,
		"{% raw %}{{ link }}{% endraw %} Reply STOP":            {content.WarnSMSWithoutLink},
		"{% assign l = link %}{{ l }} baja":                     nil,
		"{% comment %}STOP {{ link }}{% endcomment %} see you.": {content.WarnSMSWithoutLink, content.WarnSMSWithoutOptOut},
	} {
		_, warnings, err := content.Compile(content.Source{SMS: &content.SMS{Text: text}}, school)
		require.NoError(t, err)
		var got []string
		for _, w := range warnings {
			require.Equal(t, "/content/sms/text", w.Pointer)
			require.NotEmpty(t, w.Detail)
			if w.Code != content.WarnSMSIsUnicode {
				got = append(got, w.Code)
			}
		}
		require.Equal(t, want, got, text)
	}
}

func TestSMSLimitsAreCheckedForEachContact(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{SMS: &content.SMS{Text: "{{ contact.first_name }}"}})
	name := func(s string) *content.Vars { return &content.Vars{Contact: content.Contact{FirstName: s}} }

	_, err := c.SMS(name(strings.Repeat("é", content.MaxSMS)))
	require.NoError(t, err)
	_, err = c.SMS(name(strings.Repeat("é", content.MaxSMS+1)))
	require.True(t, fault.HasCode(err, content.CodeTooLong))
	_, err = c.SMS(name(" \n"))
	require.True(t, fault.HasCode(err, content.CodeEmpty))
}

func TestValuesAreNeverRead(t *testing.T) {
	t.Parallel()
	v := &content.Vars{Contact: content.Contact{FirstName: "{{ link }}{% if %}"}, Link: "secret"}
	require.Equal(t, "Hi {{ link }}{% if %}", say(t, "Hi {{ contact.first_name }}", v))
	require.Equal(t, "Hi {{ LINK }}{% IF %}", say(t, "{% capture x %}Hi {{ contact.first_name | upcase }}{% endcapture %}{{ x }}", v))
}

func TestValuesAreCleaned(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"Zoë 😀 مرحبا":      "Zoë 😀 مرحبا",
		"a\x00b\x07c\x7fd": "abcd",
		"a\r\nb\rc\td":     "a\nb\nc\td",
		"a\xffb":           "a\uFFFDb",
		"a\u202eb\u2069c":  "abc",
		"a\u2028b\u0085c":  "a\nb\nc",
		"\ufeffa":          "a",
		"👩\u200d👧":         "👩\u200d👧", // joined emoji stay joined
	} {
		v := &content.Vars{Contact: content.Contact{FirstName: value}}
		require.Equal(t, want, say(t, "{{ contact.first_name }}", v))
		require.Equal(t, want, say(t, "{{ contact.first_name | append: '' }}", v))
	}
}

package content_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/content"
)

// texted fills an SMS in for a contact with a name.
func texted(t require.TestingT, template, name string) string {
	out, err := compile(t, content.Source{SMS: &content.SMS{Text: template}}).SMS(&content.Vars{Contact: content.Contact{FirstName: name}})
	require.NoError(t, err)
	return out
}

func TestLookAlikesTakeThePlaceOfWhatTheAlphabetLacks(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"plain":                   "plain",
		"It’s “here” – see ‘us’":  `It's "here" - see 'us'`,
		"wait…":                   "wait...",
		"a\u00a0b\u2009c\u202fd":  "a b c d",
		"a\u200bb\u00adc\ufeff":   "abc",
		"« Bonjour »":             `" Bonjour "`,
		"5−3 ½ 2×4":               "5-3 1/2 2x4",
		"a`b´c":                   "a'b'c",
		"a\tb":                    "a b",
		"cafe\u0301 Zu\u0308rich": "café Zürich", // composed, they are in it
		"Ça va? €5 [x]":           "Ça va? €5 [x]",
		// One that has no look-alike leaves all as it is.
		"It’s ça":   "It’s ça",
		"It’s 😀":    "It’s 😀",
		"“Привет”":  "“Привет”",
		"Zoë’s":     "Zoë’s",
		"naïve…":    "naïve…",
		"l·l – dos": "l·l – dos",
	} {
		require.Equal(t, want, texted(t, said, ""), said)
	}
}

func TestWhatAContactBringsIsNormalisedToo(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Hi O'Neil - here", texted(t, "Hi {{ contact.first_name }} – here", "O’Neil"))
	require.Equal(t, "Hi Zoë – here", texted(t, "Hi {{ contact.first_name }} – here", "Zoë"), "for this one it would change nothing")
}

func TestNormalisingCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	require.Equal(t, "It’s", say(t, "It’s", &content.Vars{}))
}

func TestTheLimitCountsWhatIsSent(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{SMS: &content.SMS{Text: "{{ contact.first_name }}"}})
	long := strings.Repeat("a", content.MaxSMS-1)
	_, err := c.SMS(&content.Vars{Contact: content.Contact{FirstName: long + "’"}})
	require.NoError(t, err)
	_, err = c.SMS(&content.Vars{Contact: content.Contact{FirstName: long + "…"}})
	require.ErrorContains(t, err, content.CodeTooLong)
}

func TestTheCharacterThatMakesASMSUnicodeIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sms  content.SMS
		want string
	}{
		"all in it":                {content.SMS{Text: "{{ link }} STOP"}, ""},
		"only look-alikes":         {content.SMS{Text: "It’s {{ link }} STOP…"}, ""},
		"a letter":                 {content.SMS{Text: "It’s ça {{ link }} STOP"}, "'ç' (U+00E7)"},
		"inside of a block":        {content.SMS{Text: "{% if contact.email %}ș{% endif %}{{ link }} STOP"}, "'ș' (U+0219)"},
		"look-alikes kept":         {content.SMS{Text: "It’s ça {{ link }} STOP", Normalise: new(false)}, "'’' (U+2019)"},
		"an accent of its own":     {content.SMS{Text: "Cafe\u0301 {{ link }} STOP"}, ""},
		"in a text that is a word": {content.SMS{Text: "{{ contact.first_name | default: 'ő' }} {{ link }} STOP"}, "'ő' (U+0151)"},
	} {
		_, warnings, err := content.Compile(content.Source{SMS: &c.sms}, school)
		require.NoError(t, err)
		if c.want == "" {
			require.Empty(t, warnings, name)
			continue
		}
		require.Len(t, warnings, 1, name)
		require.Equal(t, content.WarnSMSIsUnicode, warnings[0].Code)
		require.Equal(t, "/content/sms/text", warnings[0].Pointer)
		require.Contains(t, warnings[0].Detail, c.want, name)
	}
}

// Whatever is said, normalising never costs more, and it changes a text only into
// one that is in the alphabet as a whole.
func TestNormalisingNeverCostsMore(t *testing.T) {
	t.Parallel()
	letters := rapid.SampledFrom([]rune("aZ é'\"{}€’‘“”–…\u00a0\u200b½•«»ëș😀Ж\u0301"))
	c := compile(t, content.Source{SMS: &content.SMS{Text: "{{ contact.first_name }}"}})
	rapid.Check(t, func(rt *rapid.T) {
		said := strings.TrimSpace(rapid.StringOfN(letters, 1, 500, -1).Draw(rt, "text")) + "."
		vars := &content.Vars{Contact: content.Contact{FirstName: said}}
		as := say(t, "{{ contact.first_name }}", vars)
		got, err := c.SMS(vars)
		require.NoError(rt, err)
		require.LessOrEqual(rt, sms.Segments(got), sms.Segments(as))
		if got != as {
			require.NotContains(rt, strings.Map(func(r rune) rune {
				if channel.Septets(r) == 0 {
					return '?'
				}
				return 'x'
			}, got), "?")
		}
		again, err := c.SMS(&content.Vars{Contact: content.Contact{FirstName: got}})
		require.NoError(rt, err)
		require.Equal(rt, got, again, "twice is once")
		require.True(rt, utf8.ValidString(got))
	})
}

package content_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// school is who sends the e-mails of these tests.
var school = content.Sender{Name: "Harbour School", Postal: "1 Quay Street, Leeds LS1 1AA"}

func ann() *content.Vars {
	return &content.Vars{
		Contact: content.Contact{
			ExternalID: "c-7", FirstName: "Ann", LastName: "O'Neil", Email: "ann@example.com", Phone: "+4411", Locale: "en_GB",
			Attributes: json.RawMessage(`{"city":"Leeds","courses":["Knots","Sails"],"spent":1250000,"rate":1.5,"vip":true,"note":"","nested":{"a":{"b":"deep"}}}`),
		},
		Link: "https://go.example/l/abc", Unsubscribe: "https://go.example/u/abc",
		PageName: "Harbour School", CampaignName: "Spring",
	}
}

func compile(t require.TestingT, src content.Source) *content.Compiled {
	c, _, err := content.Compile(src, school)
	require.NoError(t, err)
	return c
}

// say fills a template in as an SMS, the plainest channel, as it is written.
func say(t require.TestingT, template string, v *content.Vars) string {
	out, err := compile(t, content.Source{SMS: &content.SMS{Text: template, Normalise: new(false)}}).SMS(v)
	require.NoError(t, err)
	return out
}

func TestTemplatesSayWhatTheyShould(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"plain":                         "plain",
		"Hi {{ contact.first_name }}!":  "Hi Ann!",
		"{{contact.first_name|upcase}}": "ANN",
		"{{ contact['last_name'] }}":    "O'Neil",
		"{{ contact.external_id }} {{ contact.email }} {{ contact.phone }} {{ contact.locale }}": "c-7 ann@example.com +4411 en_GB",
		"{{ link }} {{ unsubscribe_url }} {{ page.name }} {{ campaign.name }}":                   "https://go.example/l/abc https://go.example/u/abc Harbour School Spring",
		"{{ contact.attributes.city }}":                                                    "Leeds",
		"{{ contact.attributes.nested.a.b }}":                                              "deep",
		"{{ contact.attributes.spent }} {{ contact.attributes.rate }}":                     "1250000 1.5",
		"{{ contact.attributes.spent | plus: 1 }}":                                         "1250001",
		"{{ contact.attributes.vip }}":                                                     "true",
		"x{{ contact.attributes.none }}":                                                   "x",
		"{{ contact.attributes.note | default: 'none' }}":                                  "none",
		"{{ contact.attributes.courses.first }} {{ contact.attributes.courses.size }}":     "Knots 2",
		"{{ contact.attributes.courses }}":                                                 "KnotsSails",
		"{{ contact.attributes.courses | join: ', ' }}":                                    "Knots, Sails",
		"{{ contact.attributes.nested }}":                                                  `{"a":{"b":"deep"}}`,
		"{{ 'a,b' | split: ',' }}":                                                         "ab",
		"{% if contact.attributes.vip %}V{% else %}N{% endif %}":                           "V",
		"{% unless contact.attributes.gone %}here{% endunless %}":                          "here",
		"{% case contact.locale %}{% when 'de', 'en_GB' %}A{% else %}B{% endcase %}":       "A",
		"{% for c in contact.attributes.courses %}{{ forloop.index }}{{ c }} {% endfor %}": "1Knots 2Sails ",
		"{% for c in contact.attributes.courses %}{% cycle 'a', 'b' %}{% if forloop.last %}{% break %}{% endif %}{% endfor %}": "ab",
		"{% assign n = contact.first_name | downcase %}{{ n }} and {{ n | upcase }}":                                           "ann and ANN",
		"{% capture n %}<{{ contact.first_name }}>{% endcapture %}a {{ n }} b {{ n }}":                                         "a <Ann> b <Ann>",
		"{% if contact.email %}{% assign n = 'x' %}shown{% endif %} {{ n }}":                                                   "shown x",
		"{% assign n = 1 %}{% assign n = n | plus: 1 %}{{ n }}{% assign n = n | plus: 1 %}{{ n }}":                             "23",
		"a {% comment %}{{ nothing }} {% if %}{% endcomment %}b":                                                               "a b",
		"{% raw %}{{ not.ours }}{% endraw %}":                                                                                  "{{ not.ours }}",
		"a  {{- contact.first_name -}}  b":                                                                                     "aAnnb",
		"a  {%- if link -%}  b  {%- endif -%}  c":                                                                              "abc",
		"{{ link -}} {{- page.name }}":                                                                                         "https://go.example/l/abcHarbour School",
		"{% if contact.attributes.note == blank and contact.attributes.city != empty %}ok{% endif %}":                          "ok",
		"{% if contact.attributes.rate > 1 and contact.first_name contains 'nn' %}ok{% endif %}":                               "ok",
		"{{ 'élodie' | capitalize }} {{ 'ÄÖÜß' | slice: 1, 2 }} {{ 'ÄÖÜß' | truncate: 3, '…' }}":                               "Élodie ÖÜ ÄÖ…",
		"{{ 'a b c d' | truncatewords: 2 }} {{ 'abc' | slice: 9 }}{{ 'abc' | slice: -2, 9 }}":                                  "a b... bc",
		"{{ '2026-11-22' | date: '%d.%m.%Y' }} {{ 0 | date: '%Y' }}{{ contact.attributes.none | date: '%Y' }}":                 "22.11.2026 1970",
		"{{ 7 | divided_by: 2 }} {{ 7 | divided_by: 2.0 }} {{ 7 | modulo: 4 }} {{ 2.4 | round }}":                              "3 3.5 3 2",
		"{{ 'a%20b%zz' | url_decode }} {{ 'a%20b' | url_decode }} {{ 'a b' | url_encode }}":                                    "a%20b%zz a b a+b",
		"{{ '<b>' | escape }} {{ 'a' | append: 'b' | prepend: 'c' | replace: 'b', 'd' }}":                                      "&lt;b&gt; cad",
	} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, say(t, template, ann()))
		})
	}
}

func TestNobodyHasToHaveEverything(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"Hi {{ contact.first_name }}!":                                              "Hi !",
		"Hi {{ contact.first_name | default: 'there' }}!":                           "Hi there!",
		`Hi {{ contact.attributes.a.b | default: "you" }}!`:                         "Hi you!",
		"a{% if contact.first_name %}b{% endif %}":                                  "a",
		"a{% if contact.first_name != blank %}b{% endif %}":                         "a",
		"a{{ contact.last_name | upcase | append: '.' }}":                           "a.",
		"a{% for x in contact.attributes.list %}{{ x.name }}{% endfor %}":           "a",
		"a{{ link }}{{ unsubscribe_url }}{{ page.name }}{{ campaign.name | size }}": "a0",
	} {
		require.Equal(t, want, say(t, template, &content.Vars{}), template)
	}
	for _, odd := range []string{``, `null`, `[1]`, `"x"`, `{`, `7`, "\x00"} {
		v := &content.Vars{Contact: content.Contact{Attributes: json.RawMessage(odd)}}
		require.Equal(t, "a", say(t, "a{{ contact.attributes.city }}", v), odd)
	}
}

// Every filter must take a missing value: a contact who lacks it still gets the
// message.
func TestFiltersTakeMissingValues(t *testing.T) {
	t.Parallel()
	args := map[string]string{
		"default": ": ''", "append": ": ''", "prepend": ": ''", "remove": ": 'x'", "remove_first": ": 'x'",
		"replace": ": 'x', 'y'", "replace_first": ": 'x', 'y'", "slice": ": 0, 2", "split": ": ','", "join": ": ','",
		"map": ": 'x'", "concat": ": contact.attributes.none", "truncate": ": 5", "truncatewords": ": 5", "date": ": '%Y'",
		"plus": ": 1", "minus": ": 1", "times": ": 2", "divided_by": ": 2", "modulo": ": 2", "round": ": 1",
	}
	for _, name := range content.FilterNames() {
		_, warnings, err := content.Compile(content.Source{SMS: &content.SMS{
			Text: "{{ link }} STOP {{ contact.attributes.none | " + name + args[name] + " }}",
		}}, school)
		require.NoError(t, err, name)
		require.Empty(t, warnings, name)
	}
}

func TestMistakesAreFoundWhenCompiling(t *testing.T) {
	t.Parallel()
	for template, code := range map[string]string{
		"":                                          "required",
		" \n ":                                      "required",
		"{% comment %}x{% endcomment %}":            "required",
		strings.Repeat("x", content.MaxSMS+1):       "too_long",
		"{{ contact.frist_name }}":                  "unknown_variable",
		"{{ contact }}":                             "unknown_variable",
		"{{ contact.first_name.last }}":             "unknown_variable",
		"{{ name }}":                                "unknown_variable",
		"{{ page.id }}":                             "unknown_variable",
		"{% if age > 3 %}x{% endif %}":              "unknown_variable",
		"{% for x in list %}x{% endfor %}":          "unknown_variable",
		"{% assign x = y %}x":                       "unknown_variable",
		"{{ link | shorten }}":                      "unknown_filter",
		"{{ link | beckon_raw }}":                   "unknown_filter",
		"{% if link | nope %}x{% endif %}":          "unknown_filter",
		"{{ 'a' | append: 'b', 'c' }}":              "bad_filter",
		"{% include 'secret.txt' %}":                "unknown_tag",
		"{% tablerow x in link %}{% endtablerow %}": "unknown_tag",
		"{% break %}":                               "bad_template",
		"{% cycle 'a', 'b' %}":                      "bad_template",
		"{{ link":                                   "bad_template",
		"{{ link\n | upcase }}":                     "bad_template",
		"{% if link":                                "bad_template",
		"{% if link %}x":                            "bad_template",
		"{% if link %}x{% endfor %}":                "bad_template",
		"{% endif %}":                               "bad_template",
		"{% else %}":                                "bad_template",
		"{% if %}x{% endif %}":                      "bad_template",
		"{% capture %}x{% endcapture %}":            "bad_template",
		"{% capture a b %}x{% endcapture %}":        "bad_template",
		"{% raw %}x":                                "bad_template",
		"{% comment %}x":                            "bad_template",
		"{{ }}":                                     "bad_template",
		"{{ link | }}":                              "bad_template",
		"{{ link ! }}":                              "bad_template",
		"{{ 'open }}":                               "bad_template",
		"{{ 99999999999999999999 }}":                "bad_template",
		"{{ %assign x = 1 }}":                       "bad_template",
		"{% for a in contact.attributes.a %}{% for b in a %}{% for c in b %}{% endfor %}{% endfor %}{% endfor %}": "unsupported",
		"{% for i in (1..9) %}x{% endfor %}":                       "unsupported",
		"{% assign link = 'x' %}y":                                 "reserved_name",
		"{% for contact in contact.attributes.list %}{% endfor %}": "reserved_name",
		"{% capture beckon_discard %}{% endcapture %}":             "reserved_name",
	} {
		t.Run(template[:min(len(template), 40)], func(t *testing.T) {
			t.Parallel()
			_, _, err := content.Compile(content.Source{SMS: &content.SMS{Text: template}}, school)
			require.Equal(t, []string{"/content/sms/text " + code}, fields(t, err))
		})
	}
}

// fields are the mistakes of an error, as pointer and code, each once.
func fields(t require.TestingT, err error) (out []string) {
	var e *fault.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, fault.Invalid, e.Kind)
	seen := map[string]bool{}
	for _, f := range e.Fields {
		require.NotEmpty(t, f.Detail)
		if s := f.Pointer + " " + f.Code; !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := content.Compile(content.Source{
		Messenger: &content.Messenger{Text: "{{ a }}", QuickReplies: []content.QuickReply{{Title: "{{ b", Payload: "p"}}},
		SMS:       &content.SMS{Text: "{{ c }}{{ d | e }}"},
		Email:     &content.Email{Subject: "", HTML: "{% f %}", Text: "{{ g }}"},
	}, school)
	require.Equal(t, []string{
		"/content/messenger/text unknown_variable",
		"/content/messenger/quick_replies/0/title bad_template",
		"/content/sms/text unknown_variable",
		"/content/sms/text unknown_filter",
		"/content/email/text unknown_variable",
		"/content/email/html unknown_tag",
	}, fields(t, err))
}

func TestAnExpressionThatFailsIsRefusedForThatContactOnly(t *testing.T) {
	t.Parallel()
	c, warnings, err := content.Compile(content.Source{
		SMS:   &content.SMS{Text: "STOP {{ link }} {{ 100 | divided_by: contact.attributes.people }}"},
		Email: &content.Email{Subject: "s {{ 100 | divided_by: contact.attributes.people }}", Text: "t {{ link }} {{ unsubscribe_url }}"},
	}, school)
	require.NoError(t, err)
	require.Equal(t, content.WarnFailsWithoutDetails, warnings[0].Code)
	require.Equal(t, "/content/sms/text", warnings[0].Pointer)

	v := ann()
	_, err = c.SMS(v)
	require.True(t, fault.HasCode(err, content.CodeRenderFailed))
	_, err = c.Fill(v)
	require.True(t, fault.HasCode(err, content.CodeRenderFailed))
	_, _, _, err = c.RenderMail(v)
	require.True(t, fault.HasCode(err, content.CodeRenderFailed))
	require.NotContains(t, err.Error(), "people")

	v.Contact.Attributes = json.RawMessage(`{"people": 4}`)
	out, err := c.SMS(v)
	require.NoError(t, err)
	require.Contains(t, out, " 25")
}

func TestHasAndUsesAttributes(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{SMS: &content.SMS{Text: "Hi {{ contact.first_name }}"}})
	require.True(t, c.Has(channel.SMS))
	require.False(t, c.Has(channel.Messenger))
	require.False(t, c.Has(channel.Email))
	require.False(t, c.Has("pigeon"))
	require.False(t, c.UsesAttributes())

	_, err := c.Messenger(ann())
	require.True(t, fault.HasCode(err, content.CodeNone))
	_, err = c.Fill(ann())
	require.True(t, fault.HasCode(err, content.CodeNone))
	require.Empty(t, c.Mail())

	c = compile(t, content.Source{Email: &content.Email{Subject: "s", Text: "{% if contact.attributes.vip %}x{% endif %}"}})
	require.True(t, c.UsesAttributes())
	require.True(t, c.Has(channel.Email))
	_, err = c.SMS(ann())
	require.True(t, fault.HasCode(err, content.CodeNone))

	c, warnings, err := content.Compile(content.Source{}, school)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.False(t, c.Has(channel.SMS))
}

func TestCompiledServesManyAtOnce(t *testing.T) {
	t.Parallel()
	c := compile(t, content.Source{
		Messenger: &content.Messenger{Text: "{% assign n = contact.first_name | upcase %}{{ n }}"},
		Email:     &content.Email{Subject: "{{ contact.first_name }}", HTML: "{% for c in contact.attributes.courses %}<b>{{ c }}</b>{% endfor %}"},
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				out, err := c.Messenger(ann())
				if err != nil || string(out) != `{"text":"ANN"}` {
					t.Errorf("got %s, %v", out, err)
				}
				if fill, err := c.Fill(ann()); err != nil || fill[0] != "Ann" {
					t.Errorf("got %q, %v", fill, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSourceIsStoredAsTheAPIWritesIt(t *testing.T) {
	t.Parallel()
	const wire = `{"messenger":{"text":"a","quick_replies":[{"title":"b","payload":"c"}],"buttons":[{"type":"web_url","title":"d","url":"e"}]},` +
		`"sms":{"text":"f"},"email":{"subject":"g","html":"h","text":"i"}}`
	var src content.Source
	require.NoError(t, json.Unmarshal([]byte(wire), &src))
	out, err := json.Marshal(src)
	require.NoError(t, err)
	require.Equal(t, wire, string(out))
}

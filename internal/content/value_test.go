package content

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestShowWritesValuesAsPeopleReadThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, ""}, {"x", "x"}, {true, "true"}, {0, "0"}, {-5, "-5"}, {1e6, "1000000"}, {0.1, "0.1"}, {1e21, "1000000000000000000000"},
		{[]any{"a", nil, 1, []any{"b"}}, "a1b"}, {[]string{"a", "b"}, "ab"}, {map[string]any{"a": 1}, `{"a":1}`},
		{safe("<b>"), "<b>"}, {int64(7), "7"}, {float32(0.5), "0.5"}, {math.Inf(1), "+Inf"},
	} {
		require.Equal(t, c.want, show(c.in))
	}
}

func TestBlankIsWhatDefaultReplaces(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, false, "", []any{}, map[string]any{}} {
		require.True(t, blank(v), v)
	}
	for _, v := range []any{true, 0, 0.0, " ", []any{nil}, map[string]any{"a": nil}} {
		require.False(t, blank(v), v)
	}
}

func TestAttributesAreDecodedForTemplates(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]map[string]any{
		``:      {},
		`null`:  {},
		`[]`:    {},
		`{"a":`: {},
		`{"a":1,"b":1.5,"c":9007199254740993,"d":1e400,"e":1.0}`: {"a": 1, "b": 1.5, "c": 9007199254740993, "d": "1e400", "e": 1.0},
		`{"a":"","b":["",{"c":""}],"d":null,"e":true}`:           {"a": nil, "b": []any{nil, map[string]any{"c": nil}}, "d": nil, "e": true},
	} {
		require.Equal(t, want, decode(json.RawMessage(raw)), raw)
	}
}

func TestAttributesAreDecodedOnce(t *testing.T) {
	t.Parallel()
	v := &Vars{Contact: Contact{Attributes: json.RawMessage(`{"a":{"b":"c"}}`)}}
	f := &frame{vars: v}
	require.Equal(t, "c", f.attribute([]string{"a", "b"}))
	v.Contact.Attributes = nil
	require.Equal(t, "c", f.attribute([]string{"a", "b"}))
	require.Nil(t, f.attribute([]string{"a", "b", "c"}))
	require.Nil(t, f.attribute([]string{"x"}))
}

func TestBindingsAreNotShared(t *testing.T) {
	t.Parallel()
	f := &frame{vars: &Vars{Link: "x"}}
	f.bindings()["link"] = "changed"
	require.Equal(t, "x", f.bindings()["link"])
	require.Nil(t, f.bindings()["unsubscribe_url"])
}

func TestEveryVariableHasItsValue(t *testing.T) {
	t.Parallel()
	v := &Vars{
		Contact: Contact{ExternalID: "1", FirstName: "2", LastName: "3", Email: "4", Phone: "5", Locale: "6"},
		Link:    "7", Unsubscribe: "8", PageName: "9", CampaignName: "10",
	}
	for name, want := range map[string]string{
		"contact.external_id": "1", "contact.first_name": "2", "contact.last_name": "3", "contact.email": "4", "contact.phone": "5",
		"contact.locale": "6", "link": "7", "unsubscribe_url": "8", "page.name": "9", "campaign.name": "10",
		"contact.attributes": "", "contact": "", "page": "", "name": "", "a.b.c": "", "contact.name": "",
	} {
		require.Equal(t, want, v.get(fieldOf(strings.Split(name, "."))), name)
	}
}

func TestCleanLeavesNothingUnwanted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "in")
		out := clean(in)
		require.True(t, utf8.ValidString(out))
		require.False(t, strings.ContainsFunc(out, func(r rune) bool { return r == '\r' || unwanted(r) }))
		require.Equal(t, out, clean(out), "once is enough")
		require.NotContains(t, line.write(in), "\n")
		require.NotContains(t, markup.write(in), "<")
		require.NotContains(t, markup.write(in), `"`)
	})
}

func TestGuardTakesMarkersApart(t *testing.T) {
	t.Parallel()
	m := &mail{sign: "~"}
	for value, want := range map[string][2]string{ // plain, HTML
		"Ann":       {"Ann", "Ann"},
		"20%":       {"20%", "20%"},
		"a~b":       {"a~b", "a~b"},
		"~%b0h%":    {"~\u200b%b0h%", "~&#37;b0h%"},
		"%b0h%":     {"\u200b%b0h%", "&#37;b0h%"},
		"x~":        {"x~\u200b", "x&#126;"},
		"~":         {"~\u200b", "&#126;"},
		"%~%~":      {"\u200b%~\u200b%~\u200b", "&#37;~&#37;&#126;"},
		"":          {"", ""},
		"~~%":       {"~~\u200b%", "~~&#37;"},
		"&#126;%x%": {"&#126;%x%", "&#126;%x%"},
	} {
		require.Equal(t, want[0], m.guard(value, plain), value)
		require.Equal(t, want[0], m.guard(value, line), value)
		require.Equal(t, want[0], m.guard(value, derived), value)
		require.Equal(t, want[1], m.guard(value, markup), value)
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   any
		want string
		ok   bool
	}{
		{nil, "", true}, {"", "", true}, {false, "", true},
		{"2026-03-01", "01/03", true}, {"2026-03-01T10:00:00Z", "01/03", true}, {86400, "02/01", true},
		{"soon", "", false}, {[]any{1}, "", false}, {true, "", false},
	} {
		got, err := date(c.in, "%d/%m")
		require.Equal(t, c.ok, err == nil, c.in)
		require.Equal(t, c.want, got, c.in)
	}
}

func TestSliceAndTruncateTakeAnyNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := []rune(rapid.StringN(0, 20, -1).Draw(t, "s"))
		n := rapid.OneOf(rapid.IntRange(-30, 30), rapid.Int()).Draw(t, "n")
		start := rapid.OneOf(rapid.IntRange(-30, 30), rapid.Int()).Draw(t, "start")
		require.Contains(t, string(s), slice(s, start, n))
		cut := truncate(s, n, []rune("..."))
		if len(s) > n {
			require.LessOrEqual(t, utf8.RuneCountInString(cut), max(n, 3))
		} else {
			require.Equal(t, string(s), cut)
		}
	})
}

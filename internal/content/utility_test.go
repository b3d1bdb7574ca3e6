package content_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/content"
	"beckon/internal/fault"
)

func visit() *content.Utility {
	return &content.Utility{Template: "visit", Language: "en", Buttons: []content.UtilityButton{{Payload: "FINE"}},
		Parameters: map[string]string{"name": "{{ contact.first_name | default: 'you' }}", "day": "Monday"}}
}

func TestUtilityMessageHasMetasForm(t *testing.T) {
	t.Parallel()
	c, _, err := content.Compile(content.Source{Utility: visit()}, school)
	require.NoError(t, err)
	name, language := c.Template()
	require.Equal(t, []string{"visit", "en"}, []string{name, language})
	got, err := c.Utility(&content.Vars{Contact: content.Contact{FirstName: `A"my`}})
	require.NoError(t, err)
	require.JSONEq(t, `{"template":{"name":"visit","language":{"code":"en"},"components":[
		{"type":"body","parameters":[{"type":"text","parameter_name":"day","text":"Monday"},{"type":"text","parameter_name":"name","text":"A\"my"}]},
		{"type":"buttons","parameters":[{"type":"POSTBACK","payload":"FINE"}]}]}}`, string(got))
}

func TestNumberedHolesGoByTheirPlace(t *testing.T) {
	t.Parallel()
	u := &content.Utility{Template: "v", Language: "en", Parameters: map[string]string{"10": "ten", "2": "two", "1": "one"}}
	c, _, err := content.Compile(content.Source{Utility: u}, school)
	require.NoError(t, err)
	got, err := c.Utility(&content.Vars{})
	require.NoError(t, err)
	require.JSONEq(t, `{"template":{"name":"v","language":{"code":"en"},"components":[
		{"type":"body","parameters":[{"type":"text","text":"one"},{"type":"text","text":"two"},{"type":"text","text":"ten"}]}]}}`, string(got))
}

func TestUtilityWithoutHolesIsTheTemplateAlone(t *testing.T) {
	t.Parallel()
	c, _, err := content.Compile(content.Source{Utility: &content.Utility{Template: "v", Language: "en"}}, school)
	require.NoError(t, err)
	got, err := c.Utility(&content.Vars{})
	require.NoError(t, err)
	require.JSONEq(t, `{"template":{"name":"v","language":{"code":"en"}}}`, string(got))
	none, _, err := content.Compile(content.Source{SMS: &content.SMS{Text: "{{ link }} STOP"}}, school)
	require.NoError(t, err)
	_, err = none.Utility(&content.Vars{})
	require.True(t, fault.HasCode(err, content.CodeNone))
}

func TestHoleThatIsEmptyForAContactIsNotSent(t *testing.T) {
	t.Parallel()
	u := visit()
	u.Parameters["day"] = "{{ contact.attributes.day }}"
	c, _, err := content.Compile(content.Source{Utility: u}, school)
	require.NoError(t, err)
	_, err = c.Utility(&content.Vars{})
	require.True(t, fault.HasCode(err, content.CodeEmpty))
}

func TestWrongUtilityFieldsAreNamed(t *testing.T) {
	t.Parallel()
	u := &content.Utility{Parameters: map[string]string{"a/b": "{{ nonsense }}", "long": strings.Repeat("x", content.MaxParameter+1)},
		Buttons: []content.UtilityButton{{"1"}, {"2"}, {strings.Repeat("x", content.MaxPayload+1)}, {""}}}
	_, _, err := content.Compile(content.Source{Utility: u}, school)
	require.True(t, fault.Is(err, fault.Invalid))
	for _, pointer := range []string{"/template", "/language", "/parameters/a~1b", "/parameters/long", "/buttons", "/buttons/2/payload", "/buttons/3/payload"} {
		require.ErrorContains(t, err, "[/content/utility"+pointer+" ")
	}
	u = visit()
	for range 51 {
		u.Parameters[strings.Repeat("p", len(u.Parameters)+1)] = "x"
	}
	_, _, err = content.Compile(content.Source{Utility: u}, school)
	require.ErrorContains(t, err, "[/content/utility/parameters too_many")
}

func TestUtilityIsHeldAgainstItsTemplate(t *testing.T) {
	t.Parallel()
	form, err := content.ReadForm([]byte(`[{"type":"BODY","text":"{{day}}, {{ name }}, {{day}}"},{"type":"BUTTONS","buttons":[{"type":"POSTBACK"},{"type":"URL","url":"https://x.example"}]}]`))
	require.NoError(t, err)
	require.Equal(t, content.Form{Holes: []string{"day", "name"}, Postbacks: 1}, form)
	require.Empty(t, visit().Fits(form))

	u := visit()
	delete(u.Parameters, "day")
	u.Parameters["month"], u.Buttons = "May", nil
	var got []string
	for _, f := range u.Fits(form) {
		got = append(got, f.Pointer+" "+f.Code)
	}
	require.Equal(t, []string{"/content/utility/buttons wrong_number", "/content/utility/parameters/day required", "/content/utility/parameters/month not_allowed"}, got)

	for _, foreign := range []string{`[{"type":"HEADER","text":"{{x}}"}]`, `[{"type":"buttons","buttons":[{"type":"url","url":"https://x.example/{{1}}"}]}]`} {
		form, err := content.ReadForm([]byte(foreign))
		require.NoError(t, err)
		require.Equal(t, "template_unsupported", (&content.Utility{}).Fits(form)[0].Code)
	}
	_, err = content.ReadForm([]byte(`{"secret"`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

// TestWhatFitsATemplateFillsAllItsHoles holds for templates of any holes.
func TestWhatFitsATemplateFillsAllItsHoles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9_]{1,6}`), 0, 6, rapid.ID).Draw(t, "holes")
		var body strings.Builder
		u := &content.Utility{Template: "t", Language: "en", Parameters: map[string]string{}}
		for _, n := range names {
			body.WriteString("x {{" + n + "}} ")
			u.Parameters[n] = rapid.StringMatching(`[A-Za-z"\\<é ]{0,8}z`).Draw(t, "value")
		}
		form := content.Form{Holes: content.HolesIn(body.String())}
		require.ElementsMatch(t, names, form.Holes)
		require.Empty(t, u.Fits(form))
		c, _, err := content.Compile(content.Source{Utility: u}, school)
		require.NoError(t, err)
		got, err := c.Utility(&content.Vars{})
		require.NoError(t, err)
		require.Equal(t, len(names), strings.Count(string(got), `"type":"text"`))
	})
}

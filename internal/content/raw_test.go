package content_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/content"
)

func TestRawMessagesKeepTheLimitsThatAreKnown(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ü", n) }
	template := func(payload string) string { return `{"attachment":{"type":"template","payload":{` + payload + `}}}` }
	reply := `{"content_type":"text","title":"Y","payload":"Y"}`
	button := `{"type":"postback","title":"Y","payload":"Y"}`
	const payload = "/attachment/payload"
	for name, c := range map[string]struct{ raw, want string }{
		"not JSON":             {`{`, " bad_raw"},
		"not an object":        {`["x"]`, " bad_raw"},
		"null":                 {`null`, " bad_raw"},
		"two":                  {`{"text":"x"} {}`, " bad_raw"},
		"too long":             {`{"text":"x","x":"` + strings.Repeat("x", 1<<15) + `"}`, " bad_raw"},
		"too deep":             {`{"text":"x","x":` + strings.Repeat("[", 12) + strings.Repeat("]", 12) + `}`, " bad_raw"},
		"says nothing":         {`{"quick_replies":[` + reply + `]}`, " required"},
		"says two things":      {`{"text":"x","attachment":{"type":"image","payload":{}}}`, "/attachment not_allowed"},
		"recipient":            {`{"text":"x","recipient":{"id":"1"}}`, "/recipient not_allowed"},
		"metadata":             {`{"text":"x","metadata":"mine"}`, "/metadata not_allowed"},
		"messaging type":       {`{"text":"x","messaging_type":"UPDATE"}`, "/messaging_type not_allowed"},
		"tag that is no text":  {`{"text":"x","tag":7}`, "/tag not_allowed"},
		"whole request":        {`{"text":"x","message":{"text":"x"}}`, "/message not_allowed"},
		"utility":              {`{"text":"x","template":{"name":"visit"}}`, "/template not_allowed"},
		"notification type":    {`{"text":"x","notification_type":"NO_PUSH"}`, "/notification_type not_allowed"},
		"asks":                 {template(`"template_type":"one_time_notif_req","title":"x","payload":"x"`), payload + "/template_type not_allowed"},
		"asks again and again": {template(`"template_type":"notification_messages","payload":"x"`), payload + "/template_type not_allowed"},
		"text is no text":      {`{"text":{"a":1}}`, "/text wrong_type"},
		"empty text":           {`{"text":" "}`, "/text required"},
		"long text":            {`{"text":"` + long(2001) + `"}`, "/text too_long"},
		"bad template":         {`{"text":"{{ nobody }}"}`, "/text unknown_variable"},
		"template in a name":   {`{"text":"x","{{ link }}":1}`, "/{{ link }} bad_template"},
		"name with a slash":    {`{"text":"x","a/b~c":"{{ nobody }}"}`, "/a~1b~0c unknown_variable"},
		"14 replies":           {`{"text":"x","quick_replies":[` + strings.Repeat(reply+",", 13) + reply + `]}`, "/quick_replies too_many"},
		"replies are no list":  {`{"text":"x","quick_replies":{"a":1}}`, "/quick_replies wrong_type"},
		"long reply":           {`{"text":"x","quick_replies":[{"content_type":"text","title":"` + long(21) + `","payload":"Y"}]}`, "/quick_replies/0/title too_long"},
		"reply without":        {`{"text":"x","quick_replies":[{"content_type":"text","title":"Y"}]}`, "/quick_replies/0/payload required"},
		"moving type":          {`{"text":"x","quick_replies":[{"content_type":"{{ contact.locale }}"}]}`, "/quick_replies/0/content_type not_allowed"},
		"attachment without":   {`{"attachment":{"type":"image"}}`, "/attachment/payload required"},
		"url from contact":     {`{"attachment":{"type":"image","payload":{"url":"{{ contact.attributes.url }}"}}}`, payload + "/url bad_url"},
		"4 buttons":            {template(`"template_type":"button","text":"x","buttons":[` + strings.Repeat(button+",", 3) + button + `]`), payload + "/buttons too_many"},
		"no buttons":           {template(`"template_type":"button","text":"x","buttons":[]`), payload + "/buttons required"},
		"long button text":     {template(`"template_type":"button","text":"` + long(641) + `","buttons":[` + button + `]`), payload + "/text too_long"},
		"button without":       {template(`"template_type":"button","text":"x","buttons":[{"type":"web_url","title":"Y"}]`), payload + "/buttons/0/url required"},
		"button leads astray":  {template(`"template_type":"button","text":"x","buttons":[{"type":"web_url","title":"Y","url":"{{ contact.attributes.url }}"}]`), payload + "/buttons/0/url bad_url"},
		"number at home":       {template(`"template_type":"button","text":"x","buttons":[{"type":"phone_number","title":"Y","payload":"0207"}]`), payload + "/buttons/0/payload bad_phone"},
		"card without title":   {template(`"template_type":"generic","elements":[{"subtitle":"x","buttons":[` + button + `]}]`), payload + "/elements/0/title required"},
		"card with a title":    {template(`"template_type":"generic","elements":[{"title":"x"}]`), payload + "/elements/0 required"},
		"11 cards":             {template(`"template_type":"generic","elements":[` + strings.Repeat(`{"title":"x","subtitle":"x"},`, 10) + `{"title":"x","subtitle":"x"}]`), payload + "/elements too_many"},
		"2 media":              {template(`"template_type":"media","elements":[{"media_type":"image"},{"media_type":"image"}]`), payload + "/elements too_many"},
		"buttons anywhere":     {`{"text":"x","new_thing":{"buttons":[{"type":"postback","title":"` + long(21) + `","payload":"Y"}]}}`, "/new_thing/buttons/0/title too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := content.Compile(content.Source{Messenger: &content.Messenger{Raw: json.RawMessage(c.raw)}}, school)
			require.Equal(t, []string{"/content/messenger/raw" + c.want}, fields(t, err))
		})
	}
}

func TestRawStandsAlone(t *testing.T) {
	t.Parallel()
	raw := json.RawMessage(`{"text":"x"}`)
	_, _, err := content.Compile(content.Source{Messenger: &content.Messenger{Text: "x", Raw: raw, QuickReplies: replies(1)}}, school)
	require.Equal(t, []string{"/content/messenger/raw not_allowed"}, fields(t, err))
	_, _, err = content.Compile(content.Source{Messenger: &content.Messenger{Raw: raw, QuickReplies: replies(1), Buttons: buttons(1)}}, school)
	require.ElementsMatch(t, []string{"/content/messenger/buttons not_allowed", "/content/messenger/quick_replies not_allowed"}, fields(t, err))
}

func TestRawKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	const raw = `{"text":"<Hi> \u2028 \"{{ contact.first_name }}\"","big":12345678901234567890,"small":1.50,"x":{"empty":"","deep":[[{"a":"{{ contact.attributes.none }}"}],"{{ link }}"]}}`
	out, err := compile(t, content.Source{Messenger: &content.Messenger{Raw: json.RawMessage(raw)}}).Messenger(ann())
	require.NoError(t, err)
	require.JSONEq(t, `{"text":"<Hi> \u2028 \"Ann\"","big":12345678901234567890,"small":1.50,"x":{"empty":"","deep":[[{"a":""}],"https://go.example/l/abc"]}}`, string(out))
	require.Contains(t, string(out), "12345678901234567890")
}

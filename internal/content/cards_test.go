package content_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/content"
	"beckon/internal/fault"
)

// form is a message in each of the forms there are.
func forms() map[string]content.Messenger {
	return map[string]content.Messenger{
		"text": {Text: "Hi {{ contact.first_name }}", NotificationType: content.Silent,
			QuickReplies: []content.QuickReply{{ContentType: content.ReplyText, Title: "Yes", Payload: "Y"}, {ContentType: content.ReplyEmail}, {ContentType: content.ReplyPhone}}},
		"buttons": {Text: "Hi", Buttons: []content.Button{
			{Type: content.ButtonURL, Title: "See", URL: "{{ link }}"}, {Type: content.ButtonPhone, Title: "Call", Payload: "+44 20 7183 8750"}}},
		"cards": {ImageAspectRatio: "square", QuickReplies: replies(1), Elements: []content.Element{
			{Title: "Go for {{ contact.first_name }}", Subtitle: "{{ contact.attributes.city }}", ImageURL: "https://pics.example/{{ contact.attributes.city | downcase }}.png", URL: "{{ link }}", Buttons: buttons(3)},
			{Title: "Painting", Subtitle: "{{ contact.attributes.none }}", URL: "https://school.example/painting"}}},
		"media":       {Media: &content.Media{Type: content.MediaVideo, URL: "https://www.facebook.com/school/videos/1234"}, Buttons: buttons(1)},
		"media by id": {Media: &content.Media{Type: content.MediaImage, AttachmentID: "1745504518999123"}},
		"attachment":  {Attachment: &content.Attachment{Type: content.MediaFile, URL: "https://school.example/{{ contact.external_id }}.pdf", Reusable: true}},
		"upload":      {Attachment: &content.Attachment{Type: content.MediaAudio, AttachmentID: "1745504518999123"}, QuickReplies: replies(1)},
		"raw": {Raw: json.RawMessage(`{"attachment":{"type":"template","payload":{"template_type":"receipt","recipient_name":"{{ contact.first_name }}",
			"order_number":"{{ contact.external_id }}","currency":"GBP","summary":{"total_cost":12.50},"paid":true,"note":null,"list":["{{ contact.first_name }}",1]}}}`)},
	}
}

func TestEachFormIsWrittenTheWayMetaReadsIt(t *testing.T) {
	t.Parallel()
	reply := `{"content_type":"text","title":"Yes","payload":"YES"}`
	tap := `{"type":"postback","title":"Yes","payload":"YES"}`
	template := func(payload string) string { return `{"attachment":{"type":"template","payload":` + payload + `}}` }
	for name, want := range map[string]string{
		"text":    `{"text":"Hi Ann","quick_replies":[{"content_type":"text","title":"Yes","payload":"Y"},{"content_type":"user_email"},{"content_type":"user_phone_number"}]}`,
		"buttons": template(`{"template_type":"button","text":"Hi","buttons":[{"type":"web_url","title":"See","url":"https://go.example/l/abc"},{"type":"phone_number","title":"Call","payload":"+44 20 7183 8750"}]}`),
		"cards": `{"attachment":{"type":"template","payload":{"template_type":"generic","image_aspect_ratio":"square","elements":[
			{"title":"Go for Ann","subtitle":"Leeds","image_url":"https://pics.example/leeds.png","default_action":{"type":"web_url","url":"https://go.example/l/abc"},"buttons":[` + tap + "," + tap + "," + tap + `]},
			{"title":"Painting","default_action":{"type":"web_url","url":"https://school.example/painting"}}]}},"quick_replies":[` + reply + `]}`,
		"media":       template(`{"template_type":"media","elements":[{"media_type":"video","url":"https://www.facebook.com/school/videos/1234","buttons":[` + tap + `]}]}`),
		"media by id": template(`{"template_type":"media","elements":[{"media_type":"image","attachment_id":"1745504518999123"}]}`),
		"attachment":  `{"attachment":{"type":"file","payload":{"url":"https://school.example/c-7.pdf","is_reusable":true}}}`,
		"upload":      `{"attachment":{"type":"audio","payload":{"attachment_id":"1745504518999123"}},"quick_replies":[` + reply + `]}`,
		"raw": template(`{"template_type":"receipt","recipient_name":"Ann","order_number":"c-7","currency":"GBP","summary":{"total_cost":12.50},
			"paid":true,"note":null,"list":["Ann",1]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := forms()[name]
			c := compile(t, content.Source{Messenger: &src})
			out, err := c.Messenger(ann())
			require.NoError(t, err)
			require.JSONEq(t, want, string(out))
			require.Equal(t, src.NotificationType, c.NotificationType())
		})
	}
}

// What was rendered reads as content again, and says the same once more.
func TestRenderedIsContentAgain(t *testing.T) {
	t.Parallel()
	for name, src := range forms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := compile(t, content.Source{Messenger: &src}).Messenger(ann())
			require.NoError(t, err)
			back := content.Rendered(out)
			require.Equal(t, src.Raw != nil, back.Raw != nil, "only what has no other form is raw")
			again, err := compile(t, content.Source{Messenger: &back}).Messenger(ann())
			require.NoError(t, err)
			require.JSONEq(t, string(out), string(again))
		})
	}
}

func TestAMessageIsOneFormAndWithinItsLimits(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ü", n) }
	card := func(e content.Element) content.Messenger { return content.Messenger{Elements: []content.Element{e}} }
	media := func(m content.Media) content.Messenger { return content.Messenger{Media: &m} }
	file := func(a content.Attachment) content.Messenger { return content.Messenger{Attachment: &a} }
	call := func(number string) content.Messenger {
		return content.Messenger{Text: "x", Buttons: []content.Button{{Type: content.ButtonPhone, Title: "Call", Payload: number}}}
	}
	eleven := make([]content.Element, 11)
	for i := range eleven {
		eleven[i] = content.Element{Title: "T", Subtitle: "S"}
	}
	picture := "https://a.example/a.png"
	for name, c := range map[string]struct {
		src  content.Messenger
		want string
	}{
		"text and cards":         {content.Messenger{Text: "x", Elements: eleven[:1]}, "/elements not_allowed"},
		"media and attachment":   {content.Messenger{Media: &content.Media{Type: "image", AttachmentID: "1"}, Attachment: &content.Attachment{Type: "image", URL: picture}}, "/attachment not_allowed"},
		"buttons beside cards":   {content.Messenger{Elements: eleven[:1], Buttons: buttons(1)}, "/buttons not_allowed"},
		"ratio without cards":    {content.Messenger{Text: "x", ImageAspectRatio: "square"}, "/image_aspect_ratio not_allowed"},
		"unknown ratio":          {content.Messenger{Elements: eleven[:1], ImageAspectRatio: "round"}, "/image_aspect_ratio unknown_type"},
		"unknown notification":   {content.Messenger{Text: "x", NotificationType: "LOUD"}, "/notification_type unknown_type"},
		"11 cards":               {content.Messenger{Elements: eleven}, "/elements too_many"},
		"card without title":     {card(content.Element{Subtitle: "S"}), "/elements/0/title required"},
		"card with only a title": {card(content.Element{Title: "T"}), "/elements/0 required"},
		"long card title":        {card(content.Element{Title: long(81), Subtitle: "S"}), "/elements/0/title too_long"},
		"long subtitle":          {card(content.Element{Title: "T", Subtitle: long(81)}), "/elements/0/subtitle too_long"},
		"long subtitle, not all": {card(content.Element{Title: "T", Subtitle: long(81), ImageURL: picture}), "/elements/0/subtitle too_long"},
		"picture from contact":   {card(content.Element{Title: "T", ImageURL: "{{ contact.attributes.pic }}"}), "/elements/0/image_url bad_url"},
		"broken picture":         {card(content.Element{Title: "T", ImageURL: "https://a.example/%zz"}), "/elements/0/image_url bad_url"},
		"card leads nowhere":     {card(content.Element{Title: "T", URL: "javascript:alert(1)"}), "/elements/0/url bad_url"},
		"4 buttons on a card":    {card(content.Element{Title: "T", Buttons: buttons(4)}), "/elements/0/buttons too_many"},
		"button on a card":       {card(content.Element{Title: "T", Buttons: []content.Button{{Type: "postback", Title: long(21), Payload: "x"}}}), "/elements/0/buttons/0/title too_long"},
		"audio as media":         {media(content.Media{Type: "audio", AttachmentID: "1"}), "/media/type unknown_type"},
		"media from elsewhere":   {media(content.Media{Type: "image", URL: picture}), "/media/url bad_url"},
		"nearly facebook":        {media(content.Media{Type: "image", URL: "https://www.facebook.com.evil.example/x"}), "/media/url bad_url"},
		"media without source":   {media(content.Media{Type: "image"}), "/media/url required"},
		"two sources":            {media(content.Media{Type: "image", URL: "https://facebook.com/x", AttachmentID: "1"}), "/media/attachment_id not_allowed"},
		"id is a template":       {media(content.Media{Type: "image", AttachmentID: "{{ link }}"}), "/media/attachment_id bad_format"},
		"4 buttons under media":  {content.Messenger{Media: &content.Media{Type: "image", AttachmentID: "1"}, Buttons: buttons(4)}, "/buttons too_many"},
		"unknown attachment":     {file(content.Attachment{Type: "hologram", URL: picture}), "/attachment/type unknown_type"},
		"attachment nowhere":     {file(content.Attachment{Type: "image", URL: "/a.png"}), "/attachment/url bad_url"},
		"reusing what is reused": {file(content.Attachment{Type: "image", AttachmentID: "1", Reusable: true}), "/attachment/reusable not_allowed"},
		"chip with a title":      {content.Messenger{Text: "x", QuickReplies: []content.QuickReply{{ContentType: content.ReplyEmail, Title: "Mine"}}}, "/quick_replies/0/title not_allowed"},
		"unknown chip":           {content.Messenger{Text: "x", QuickReplies: []content.QuickReply{{ContentType: "user_shoe_size"}}}, "/quick_replies/0/content_type unknown_type"},
		"number at home":         {call("020 7183 8750"), "/buttons/0/payload bad_phone"},
		"no number":              {call("call us"), "/buttons/0/payload bad_phone"},
		"phone with url":         {content.Messenger{Text: "x", Buttons: []content.Button{{Type: content.ButtonPhone, Title: "Call", Payload: "+442071838750", URL: picture}}}, "/buttons/0/url not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := content.CompileMessenger("/follow_up/messenger", c.src)
			require.Equal(t, []string{"/follow_up/messenger" + c.want}, fields(t, err))
		})
	}
}

func TestAValueMustFitWhereItStands(t *testing.T) {
	t.Parallel()
	name := "{{ contact.first_name }}"
	card := func(e content.Element) content.Messenger { return content.Messenger{Elements: []content.Element{e}} }
	for what, c := range map[string]struct {
		src   content.Messenger
		first string
		code  string
	}{
		"empty title":      {card(content.Element{Title: name, Subtitle: "S"}), " ", content.CodeEmpty},
		"nothing but":      {card(content.Element{Title: "T", Subtitle: name}), "", content.CodeEmpty},
		"long subtitle":    {card(content.Element{Title: "T", Subtitle: name, URL: "{{ link }}"}), strings.Repeat("é", 81), content.CodeTooLong},
		"broken picture":   {card(content.Element{Title: "T", ImageURL: "https://a.example/" + name}), "%zz", content.CodeBadURL},
		"no number":        {content.Messenger{Text: "x", Buttons: []content.Button{{Type: content.ButtonPhone, Title: "Call", Payload: name}}}, "Ann", content.CodeBadPhone},
		"raw text":         {content.Messenger{Raw: json.RawMessage(`{"text":"` + name + `"}`)}, "", content.CodeEmpty},
		"long raw title":   {content.Messenger{Raw: json.RawMessage(`{"text":"x","quick_replies":[{"content_type":"text","title":"` + name + `","payload":"x"}]}`)}, strings.Repeat("é", 21), content.CodeTooLong},
		"raw leads astray": {content.Messenger{Raw: json.RawMessage(`{"attachment":{"type":"image","payload":{"url":"https://a.example/` + name + `"}}}`)}, "%zz", content.CodeBadURL},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := compile(t, content.Source{Messenger: &c.src}).Messenger(&content.Vars{Link: "https://go.example/l/abc", Contact: content.Contact{FirstName: c.first}})
			require.True(t, fault.HasCode(err, c.code), err)
			require.True(t, fault.Is(err, fault.Invalid))
		})
	}
}

func TestTagsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for tag, code := range map[string]string{
		"CONFIRMED_EVENT_UPDATE": "retired_tag", "ACCOUNT_UPDATE": "retired_tag", "POST_PURCHASE_UPDATE": "retired_tag",
		"HUMAN_AGENT": "tag_not_allowed", "NON_PROMOTIONAL_SUBSCRIPTION": "tag_not_allowed", "CUSTOMER_FEEDBACK": "tag_not_allowed",
	} {
		for at, src := range map[string]content.Messenger{
			"/content/messenger/tag":     {Text: "x", Tag: tag},
			"/content/messenger/raw/tag": {Raw: fmt.Appendf(nil, `{"text":"x","tag":%q}`, tag)},
		} {
			_, _, err := content.Compile(content.Source{Messenger: &src}, school)
			require.Equal(t, []string{at + " " + code}, fields(t, err))
			var f *fault.Error
			require.ErrorAs(t, err, &f)
			require.Contains(t, f.Fields[0].Detail, tag)
		}
	}
	_, _, err := content.Compile(content.Source{Messenger: &content.Messenger{Text: "x", Tag: "s3cr3t", MessagingType: "MESSAGE_TAG"}}, school)
	require.Equal(t, []string{"/content/messenger/tag tag_not_allowed", "/content/messenger/messaging_type not_allowed"}, fields(t, err))
	require.NotContains(t, fmt.Sprint(err), "s3cr3t")
}

func TestASubtitleOfNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	src := content.Messenger{Elements: []content.Element{{Title: "T", Subtitle: " ", URL: "https://a.example"}}}
	out, err := compile(t, content.Source{Messenger: &src}).Messenger(ann())
	require.NoError(t, err)
	require.NotContains(t, string(out), "subtitle")
}

func TestWhatHasNoFormOfItsOwnReadsAsRaw(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		`{"text":"Hi","new":1}`,
		`{"text":"Hi","quick_replies":[{"content_type":"text","title":"Y","payload":"Y","image_url":"https://a.example/y.png"}]}`,
		`{"attachment":{"type":"template","payload":{"template_type":"receipt"}}}`,
	} {
		require.Equal(t, content.Messenger{Raw: json.RawMessage(message)}, content.Rendered([]byte(message)))
	}
}

package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db/dbtest"
)

const fileBody = `{"type":"image","url":"https://school.example/spring.png"}`

func TestAFileIsUploadedOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	at := "/v1/pages/" + s.newPage().ID.String() + "/attachments"
	require.Equal(t, gen.UploadedAttachment{Type: "image", AttachmentID: "1745504518999123"}, ask[gen.UploadedAttachment](s, 201, "POST", at, fileBody))
	require.Equal(t, map[string]string{"/url": "bad_format"}, s.refused(422, "invalid_fields", post(at, `{"type":"image","url":"/spring.png"}`)))
	require.Equal(t, map[string]string{"/type": "not_allowed"}, s.refused(422, "invalid_fields", post(at, `{"type":"template","url":"https://a.example/"}`)))
	s.refused(404, "page_not_found", post("/v1/pages/0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01/attachments", fileBody))
}

func TestWhyAFileIsNotUploaded(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	page := s.newPage()
	at := "/v1/pages/" + page.ID.String() + "/attachments"
	s.upload = channel.Result{Outcome: channel.Refused, Code: "100/2018008"}
	require.Equal(t, map[string]string{"/url": "attachment_refused"}, s.refused(422, "attachment_refused", post(at, fileBody)))
	for code, res := range map[string]channel.Result{
		"graph_unavailable": {Outcome: channel.Unknown},
		"page_refused":      {Outcome: channel.StopTheLine, Code: "190/460", Detail: "the Page's access token is not valid any more"},
	} {
		s.upload = res
		w := s.bundle.do(post(at, fileBody))
		require.Equal(t, 503, w.Code)
		require.Equal(t, code, s.problem(w).Code)
	}
	require.Equal(t, gen.PageHealthTokenRefused, ask[gen.Page](s, 200, "GET", "/v1/pages/"+page.ID.String(), "").Health.Token)
	s = newService(t, dbtest.SQLite(t), channel.Messenger)
	w := s.bundle.do(post("/v1/pages/"+s.newPage().ID.String()+"/attachments", fileBody))
	require.Equal(t, 503, w.Code)
	require.Equal(t, "channel_absent", s.problem(w).Code)
}

// Every form of a message is taken, shown as it was written, and rendered in the
// preview.
func TestEachFormOfAMessageIsPreviewed(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	town := s.newTown()
	for name, form := range map[string]struct{ written, shown string }{
		"cards": {`{"elements":[{"title":"Hi {{ contact.first_name }}","subtitle":"{{ contact.attributes.none }}","url":"https://a.example/{{ contact.external_id }}"}],"image_aspect_ratio":"square"}`,
			`{"elements":[{"title":"Hi Amy","url":"https://a.example/amy"}],"image_aspect_ratio":"square"}`},
		"media": {`{"media":{"type":"image","attachment_id":"123"},"buttons":[{"type":"phone_number","title":"Call","payload":"+442071838750"}]}`,
			`{"media":{"type":"image","attachment_id":"123"},"buttons":[{"type":"phone_number","title":"Call","payload":"+442071838750"}]}`},
		"attachment": {`{"attachment":{"type":"file","url":"https://a.example/{{ contact.external_id }}.pdf","reusable":true},"quick_replies":[{"content_type":"user_email"}],"notification_type":"NO_PUSH"}`,
			`{"attachment":{"type":"file","url":"https://a.example/amy.pdf","reusable":true},"quick_replies":[{"content_type":"user_email"}]}`},
		"raw": {`{"raw":{"attachment":{"type":"template","payload":{"template_type":"receipt","recipient_name":"{{ contact.first_name }}","total":12345678901234567890}}}}`,
			`{"raw":{"attachment":{"type":"template","payload":{"template_type":"receipt","recipient_name":"Amy","total":12345678901234567890}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"name":"x","page_id":"` + town.page.ID.String() + `","topic":"courses","content":{"messenger":` + form.written + `}}`
			at := "/v1/campaigns/" + ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body).ID.String()
			stored := s.do(call{Method: "GET", Path: at}).Body.Bytes()
			require.JSONEq(t, form.written, part(t, stored, "content", "messenger"))
			preview := s.do(post(at+"/preview", "")).Body.Bytes()
			require.JSONEq(t, form.shown, part(t, preview, "samples", "messenger"))
		})
	}
}

func TestAMessagesMistakesAreNamed(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	town := s.newTown()
	for written, want := range map[string]map[string]string{
		`{}`:                                     {"/content/messenger/text": "required"},
		`{"text":"x","tag":"ACCOUNT_UPDATE"}`:    {"/content/messenger/tag": "retired_tag"},
		`{"text":"x","tag":"HUMAN_AGENT"}`:       {"/content/messenger/tag": "tag_not_allowed"},
		`{"text":"x","messaging_type":"UPDATE"}`: {"/content/messenger/messaging_type": "not_allowed"},
		`{"text":"x","shout":true}`:              {"/content/messenger/shout": "unknown_field"},
		`{"elements":[{"title":"x","buttons":[{"type":"postback","title":"` + longText(21) + `","payload":"x"}]}]}`: {"/content/messenger/elements/0/buttons/0/title": "too_long"},
		`{"raw":{"text":"x","tag":"POST_PURCHASE_UPDATE"}}`:                                                         {"/content/messenger/raw/tag": "retired_tag"},
		`{"raw":{"text":"{{ nobody }}"}}`:                                                                           {"/content/messenger/raw/text": "unknown_variable"},
		`{"raw":"x"}`:                                                                                               {"/content/messenger/raw": "wrong_type"},
	} {
		body := `{"name":"x","page_id":"` + town.page.ID.String() + `","topic":"courses","content":{"messenger":` + written + `}}`
		require.Equal(t, want, s.refused(422, "invalid_fields", post("/v1/campaigns", body)), written)
	}
}

func longText(n int) string { return strings.Repeat("x", n) }

// part cuts a part out of an answer, as it stands there.
func part(t *testing.T, body []byte, path ...string) string {
	t.Helper()
	for _, name := range path {
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &object))
		body = object[name]
	}
	return string(body)
}

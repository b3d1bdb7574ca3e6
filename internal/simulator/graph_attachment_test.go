package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// upload has a file kept for a Page.
func (b *bundle) upload(t *testing.T, page, token, attachment string) reply {
	t.Helper()
	path := "/graph/v25.0/" + page + "/message_attachments?appsecret_proof=" + proof(testSecret, token)
	req := b.request(t, http.MethodPost, path, `{"message":{"attachment":`+attachment+`}}`)
	req.Header.Set("Authorization", "Bearer "+token)
	return b.do(t, req)
}

func uploaded(t *testing.T, r reply) string {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.body)
	var made map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.body), &made))
	require.Regexp(t, `^[0-9]+$`, made["attachment_id"])
	return made["attachment_id"]
}

const picture = `{"type":"image","payload":{"is_reusable":true,"url":"https://a.example/a.png"}}`

func TestAnUploadBelongsToItsPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	ours := uploaded(t, b.upload(t, testPage, testToken, picture))
	theirs := uploaded(t, b.upload(t, "1002", "other-token", picture))
	for id, status := range map[string]int{ours: http.StatusOK, theirs: http.StatusBadRequest, "12345": http.StatusBadRequest} {
		for _, message := range []string{
			`{"attachment":{"type":"image","payload":{"attachment_id":"` + id + `"}}}`,
			`{"attachment":{"type":"template","payload":{"template_type":"media","elements":[{"media_type":"image","attachment_id":"` + id + `"}]}}}`,
		} {
			require.Equal(t, status, b.graph(t, toPSID("psid-1", message)).status, message)
		}
	}
}

func TestWhatCannotBeUploaded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct{ attachment, code string }{
		"nothing":           {`null`, "100"},
		"not reusable":      {`{"type":"image","payload":{"url":"https://a.example/a.png"}}`, "100"},
		"no address":        {`{"type":"image","payload":{"is_reusable":true}}`, "100"},
		"half an address":   {`{"type":"image","payload":{"is_reusable":true,"url":"a.png"}}`, "100"},
		"a template":        {`{"type":"template","payload":{"template_type":"button","is_reusable":true}}`, "100"},
		"an upload":         {`{"type":"image","payload":{"is_reusable":true,"attachment_id":"1"}}`, "100"},
		"what is not there": {`{"type":"image","payload":{"is_reusable":true,"url":"https://a.example/missing"}}`, "100/2018008"},
	} {
		require.Equal(t, c.code, b.upload(t, testPage, testToken, c.attachment).code(t), name)
	}
	require.Equal(t, "190", b.upload(t, testPage, "wrong", picture).code(t))
}

func TestGraphChecksCardsAndMedia(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	button := `{"type":"postback","title":"Go","payload":"GO"}`
	generic := func(elements string) string {
		return `{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[` + elements + `]}}}`
	}
	media := func(elements string) string {
		return `{"attachment":{"type":"template","payload":{"template_type":"media","elements":[` + elements + `]}}}`
	}
	for name, c := range map[string]struct {
		message string
		ok      bool
	}{
		"card that leads":       {generic(`{"title":"T","default_action":{"type":"web_url","url":"https://a.example"}}`), true},
		"card leads nowhere":    {generic(`{"title":"T","default_action":{"type":"web_url","url":"/x"}}`), false},
		"action with a title":   {generic(`{"title":"T","default_action":{"type":"web_url","title":"T","url":"https://a.example"}}`), false},
		"picture is no address": {generic(`{"title":"T","image_url":"a.png"}`), false},
		"square":                {strings.Replace(generic(`{"title":"T","subtitle":"S"}`), `"elements"`, `"image_aspect_ratio":"square","elements"`, 1), true},
		"round":                 {strings.Replace(generic(`{"title":"T","subtitle":"S"}`), `"elements"`, `"image_aspect_ratio":"round","elements"`, 1), false},
		"media":                 {media(`{"media_type":"video","url":"https://www.facebook.com/x/videos/1","buttons":[` + button + `]}`), true},
		"media from elsewhere":  {media(`{"media_type":"video","url":"https://a.example/1"}`), false},
		"media, 4 buttons":      {media(`{"media_type":"video","url":"https://www.facebook.com/x","buttons":[` + strings.Repeat(button+",", 3) + button + `]}`), false},
		"media, two":            {media(`{"media_type":"video","url":"https://www.facebook.com/x"},{"media_type":"video","url":"https://www.facebook.com/x"}`), false},
		"media, audio":          {media(`{"media_type":"audio","url":"https://www.facebook.com/x"}`), false},
		"media, no source":      {media(`{"media_type":"image"}`), false},
		"number":                {`{"attachment":{"type":"template","payload":{"template_type":"button","text":"x","buttons":[{"type":"phone_number","title":"Call","payload":"+442071838750"}]}}}`, true},
		"number at home":        {`{"attachment":{"type":"template","payload":{"template_type":"button","text":"x","buttons":[{"type":"phone_number","title":"Call","payload":"02071838750"}]}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.graph(t, toPSID("psid-1", c.message))
			require.Equal(t, c.ok, got.status == http.StatusOK, got.body)
		})
	}
	quiet := strings.Replace(toPSID("psid-1", `{"text":"x"}`), `{`, `{"notification_type":"NO_PUSH",`, 1)
	require.Equal(t, http.StatusOK, b.graph(t, quiet).status)
	require.Equal(t, "100", b.graph(t, strings.Replace(quiet, "NO_PUSH", "LOUD", 1)).code(t))
}

func TestThePhoneReadsEveryMessageOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.AddPeople(testPage, 1)
	for message, want := range map[string]string{
		`{"text":"Hi"}`: "Hi",
		`{"attachment":{"type":"template","payload":{"template_type":"button","text":"Hi","buttons":[{"type":"postback","title":"Go","payload":"GO"}]}}}`:                    "Hi [Go]",
		`{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[{"title":"A","subtitle":"B"},{"title":"C","image_url":"https://a.example/c"}]}}}`: "A: B\nC",
		`{"attachment":{"type":"template","payload":{"template_type":"media","elements":[{"media_type":"image","url":"https://www.facebook.com/x"}]}}}`:                      "[image] https://www.facebook.com/x",
		`{"attachment":{"type":"file","payload":{"url":"https://a.example/a.pdf"}}}`:                                                                                         "[file] https://a.example/a.pdf",
		`{"attachment":{"type":"template","payload":{"template_type":"one_time_notif_req","title":"News","payload":"n"}}}`:                                                   "News [Notify Me]",
		`{"template":{"name":"visit","language":{"code":"en"}}}`:                                                                                                             "[visit]",
	} {
		ask := toPSID("psid-1", message)
		if strings.HasPrefix(message, `{"template"`) {
			ask = strings.Replace(ask, "UPDATE", "UTILITY", 1)
		}
		require.Equal(t, http.StatusOK, b.graph(t, ask).status, message)
		got := b.sim.Received(testPage, "psid-1")
		require.Equal(t, want, got[len(got)-1].Text)
	}
}

package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/db"
)

const graphID = "104829305581"

func (s *service) newPage() gen.Page {
	s.t.Helper()
	return ask[gen.Page](s, 201, "POST", "/v1/pages",
		`{"facebook_page_id":"`+graphID+`","name":"Northern Courses","username":"northerncourses","access_token":"EAAB-s3cr3t"}`)
}

func (s *service) newTopic(slug string) {
	s.t.Helper()
	ask[gen.Topic](s, 201, "POST", "/v1/topics", `{"slug":"`+slug+`","title":"About `+slug+`"}`)
}

// newContact makes a contact from the fields of a JSON object.
func (s *service) newContact(format string, args ...any) gen.Contact {
	s.t.Helper()
	return ask[gen.Contact](s, 201, "POST", "/v1/contacts", "{"+fmt.Sprintf(format, args...)+"}")
}

func phone(n int) string { return fmt.Sprintf("+447700900%03d", n) }

const subscribed = `{"sms":{"status":"subscribed","source":"form"},"email":{"status":"subscribed","source":"form"}}`

// acted opens the window of everybody at the clock's time.
func (s *service) acted(at time.Time) {
	s.t.Helper()
	require.NoError(s.t, s.db.Transact(s.t.Context(), func(tx *db.Tx) error {
		return tx.Exec("UPDATE messenger_addresses SET last_action_at = ?", at).Error
	}))
}

const campaignBody = `{"name":"Spring courses","page_id":"%s","topic":"courses",
	"content":{"messenger":{"text":"Hi {{ contact.first_name | default: 'there' }}, spring courses are open.","quick_replies":[{"title":"Yes please","payload":"COURSES_YES"}]},
		"sms":{"text":"Spring courses are open: {{ link }} Reply STOP to opt out"},
		"email":{"subject":"Spring courses are open","html":"<p><a href=\"{{ link }}\">Our chat</a> <a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p>"}}%s}`

func (s *service) newCampaign(page gen.Page, more string) gen.Campaign {
	s.t.Helper()
	return ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", fmt.Sprintf(campaignBody, page.ID, more))
}

// town is a page, a topic and people on every lane: two in the window, one
// with a token, two by SMS, one by e-mail and two who cannot be reached.
type town struct {
	page   gen.Page
	people map[string]gen.Contact
	token  uuid.UUID // Cat's
}

func (s *service) newTown() town {
	s.t.Helper()
	t := town{page: s.newPage(), people: map[string]gen.Contact{}}
	s.newTopic("courses")
	id := t.page.ID
	add := func(name, more string) {
		t.people[name] = s.newContact(`"external_id":"%s","first_name":"%s",%s`, name, strings.ToUpper(name[:1])+name[1:], more)
	}
	add("amy", fmt.Sprintf(`"messenger":[{"page_id":"%s","psid":"1001"}],"email":"amy@example.com","consents":%s`, id, subscribed))
	add("ben", fmt.Sprintf(`"messenger":[{"page_id":"%s","psid":"1002"}]`, id))
	s.acted(s.clock.Now().Add(-time.Hour))
	add("cat", fmt.Sprintf(`"messenger":[{"page_id":"%s","psid":"1003"}],"tokens":[{"page_id":"%s","topic":"courses","token":"t-cat","granted_at":"2026-02-20T17:00:00Z"}]`, id, id))
	add("dan", `"phone":"`+phone(1)+`","consents":`+subscribed)
	add("eve", `"phone":"`+phone(2)+`","email":"eve@example.com","consents":`+subscribed)
	add("fay", `"email":"fay@example.com","consents":`+subscribed)
	add("gus", `"phone":"`+phone(3)+`"`)
	add("hal", `"attributes":{"town":"Leeds"}`)
	t.token = ask[gen.TokenList](s, 200, "GET", "/v1/contacts/"+t.people["cat"].ID.String()+"/tokens", "").Data[0].ID
	return t
}

// started is a campaign over the whole town, sent.
func (s *service) started(t town) gen.Campaign {
	s.t.Helper()
	c := s.newCampaign(t.page, "")
	c = ask[gen.Campaign](s, 202, "POST", "/v1/campaigns/"+c.ID.String()+"/start", "")
	s.work()
	return c
}

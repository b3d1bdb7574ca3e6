package api

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db/dbtest"
)

const helpText = "Northern Courses: courses in your town. Questions & prices: https://example.com. Reply STOP to end"

// texted is what Twilio posts when somebody texts us.
func texted(from, sid, words string, more ...string) call {
	form := url.Values{"MessageSid": {sid}, "From": {from}, "To": {"+447700900999"}, "Body": {words}, "NumMedia": {"0"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return twilioCall("/webhooks/twilio/inbound", form)
}

const nothing = `<?xml version="1.0" encoding="UTF-8"?><Response></Response>`

// The refusal holds before Twilio is answered: no job has run yet.
func TestAStopHoldsBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		dan := town.people["dan"].ID.String()
		status := func() gen.ConsentStatus {
			return ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+dan, "").Consents.SMS.Status
		}
		require.Equal(t, gen.ConsentStatusSubscribed, status())
		w := s.do(texted(phone(1), "SM1", "Arrêt!"))
		require.Equal(t, 200, w.Code, w.Body)
		require.Equal(t, nothing, w.Body.String(), "Twilio confirms by itself")
		require.Equal(t, "text/xml; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, gen.ConsentStatusUnsubscribed, status())
		suppressed, err := s.parts.Contacts.IsSuppressed(t.Context(), channel.SMS, phone(1))
		require.NoError(t, err)
		require.True(t, suppressed)

		before := s.rows()
		s.work()
		require.Equal(t, nothing, s.do(texted(phone(1), "SM1", "Arrêt!")).Body.String())
		s.work()
		require.Equal(t, before, s.rows(), "the job, and the same text again, change nothing")

		s.clock.Pass(1e9)
		s.do(texted(phone(1), "SM2", "START"))
		s.work()
		require.Equal(t, gen.ConsentStatusSubscribed, status())
		require.NotContains(t, s.logs.String(), "7700900")
	})
}

func TestOnlyWhoAsksForHelpIsAnswered(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	for words, answered := range map[string]bool{"HELP": true, "help?": true, "STOP": false, "START": false, "Hello": false, "": false} {
		w := s.do(texted(phone(1), "SM-"+words, words))
		require.Equal(t, 200, w.Code)
		if answered {
			require.Equal(t, `<?xml version="1.0" encoding="UTF-8"?><Response><Message>Northern Courses: courses in your town. Questions &amp; prices: https://example.com. Reply STOP to end</Message></Response>`, w.Body.String())
		} else {
			require.Equal(t, nothing, w.Body.String(), words)
		}
	}
	require.Equal(t, nothing, s.do(texted(phone(1), "SM9", "HELP", "OptOutType", "HELP")).Body.String(), "Twilio says that it answers")
}

func TestATextThatIsNotSignedIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	c := texted(phone(1), "SM1", "STOP")
	c.Body += "1"
	s.refused(403, "bad_signature", c)
	require.Zero(t, s.rows()["callbacks"])
}

// The link in an e-mail, and an event of it.
func TestWhoUnsubscribesByTheLinkIsToldOfOnce(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)
		for range 2 {
			require.Equal(t, 200, s.do(call{Method: "POST", Path: "/u/" + s.parts.Unsubscribes.Code(6), Body: "List-Unsubscribe=One-Click",
				Headers: map[string]string{"Authorization": "-", "Content-Type": "application/x-www-form-urlencoded"}}).Code)
		}
		s.clock.Pass(60e9)
		list := ask[gen.EventList](s, 200, "GET", "/v1/events?type=contact.opted_out", "")
		require.Len(t, list.Data, 1)
		require.Equal(t, map[string]any{"channel": "email", "reason": "unsubscribe"}, list.Data[0].Data)
	})
}

func TestTheTimelineTellsWhatHappenedWithAPerson(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)
		dan := "/v1/contacts/" + town.people["dan"].ID.String() + "/timeline"
		s.clock.Pass(60e9)
		s.do(texted(phone(1), "SM1", "Is there room on <Tuesday>?"))
		s.clock.Pass(60e9)
		s.do(texted(phone(1), "SM2", "STOP"))
		s.work()
		types, texts := []string{}, []any{}
		for at := dan + "?limit=1"; ; {
			page := ask[gen.Timeline](s, 200, "GET", at, "")
			for _, it := range page.Data {
				types = append(types, it.Type)
				if it.Type == "text" {
					texts = append(texts, it.Data["text"])
				}
			}
			if page.NextCursor == nil {
				break
			}
			at = dan + "?limit=1&cursor=" + *page.NextCursor
		}
		require.Subset(t, types, []string{"contact.opted_out", "text", "consent", "delivery"})
		require.Equal(t, []any{"STOP", "Is there room on <Tuesday>?"}, texts, "newest first")
		require.NotContains(t, s.logs.String(), "Tuesday")
		s.refused(404, "contact_not_found", call{Method: "GET", Path: "/v1/contacts/" + pageID + "/timeline"})
		require.Equal(t, map[string]string{"/query/cursor": "bad_format"}, s.refused(422, "invalid_fields", call{Method: "GET", Path: dan + "?cursor=MXsicmFuayI6MX0"}))
	})
}

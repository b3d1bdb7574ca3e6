package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/db"
)

func TestAnUpsertMakesThenChanges(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		const at = "/v1/contacts/by-external-id/a%2Fb"
		made := ask[gen.Contact](s, 201, "PUT", at, `{"first_name":"Amy","attributes":{"a":1,"b":[1,{"c":null}]},"consents":{"email":{"status":"subscribed"}}}`)
		require.Equal(t, "a/b", *made.ExternalID)
		s.clock.Pass(time.Hour)
		again := ask[gen.Contact](s, 200, "PUT", at, `{"first_name":"Amy","attributes":{"a":1}}`)
		require.Equal(t, made, again, "repeating the call changes nothing")
		changed := ask[gen.Contact](s, 200, "PUT", at, `{"first_name":null,"last_name":"Shaw","attributes":{"a":null,"d":"é"}}`)
		require.Nil(t, changed.FirstName)
		require.Equal(t, gen.Attributes{"b": []any{float64(1), map[string]any{"c": nil}}, "d": "é"}, changed.Attributes)
		require.Equal(t, made.Consents, changed.Consents)
		require.Equal(t, s.clock.Now(), changed.UpdatedAt)
	})
}

func TestAPatchSetsRemovesAndLeaves(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		c := s.newContact(`"external_id":"1","email":"amy@example.com","phone":"%s","locale":"en_GB"`, phone(1))
		at := "/v1/contacts/" + c.ID.String()
		p := ask[gen.Contact](s, 200, "PATCH", at, `{"phone":null,"last_name":"Shaw","consents":{"sms":{"status":"unsubscribed","source":"call","at":"2026-01-05T10:00:00+02:00","evidence":"call 7"}}}`)
		require.Nil(t, p.Phone)
		require.Equal(t, "amy@example.com", *p.Email)
		require.Equal(t, "en-GB", *p.Locale)
		require.Equal(t, time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), p.Consents.SMS.At)
		require.Equal(t, "call 7", *p.Consents.SMS.Evidence)
		require.Equal(t, p, ask[gen.Contact](s, 200, "GET", at, ""))
		s.refused(404, "contact_not_found", call{Method: "PATCH", Path: "/v1/contacts/" + uuid.NewString(), Body: `{}`, Headers: mergePatch})
	})
}

func TestWholeNumbersStayWhole(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		w := s.do(call{Method: "POST", Path: "/v1/contacts", Body: `{"external_id":"1","attributes":{"n":12345678901234567890,"x":1.50}}`})
		require.Contains(t, w.Body.String(), `"n":12345678901234567890`)
		w = s.do(call{Method: "GET", Path: "/v1/contacts"})
		require.Contains(t, strings.ReplaceAll(w.Body.String(), " ", ""), `"n":12345678901234567890`)
	})
}

func TestFiltersFind(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		for query, want := range map[string][]string{
			"email=EVE%40example.com":               {"eve"},
			"phone=07700+900001":                    {"dan"},
			"external_id=hal":                       {"hal"},
			"q=example.com":                         {"fay", "eve", "amy"},
			"q=EVE":                                 {"eve"},
			"has_token=courses":                     {"cat"},
			"q=%25%25":                              nil,
			"phone=12345":                           nil,
			"email=amy%40example.com&phone=1234567": nil,
		} {
			var got []string
			for _, c := range ask[gen.ContactList](s, 200, "GET", "/v1/contacts?"+query, "").Data {
				got = append(got, *c.ExternalID)
			}
			require.Equal(t, want, got, query)
		}
		require.Len(t, town.people, 8)
	})
}

func TestErasureLeavesNoTrace(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		town := s.newTown()
		s.started(town)
		at := "/v1/contacts/" + town.people["cat"].ID.String()
		ask[struct{}](s, 204, "DELETE", at, "")
		s.refused(404, "contact_not_found", call{Method: "GET", Path: at})
		s.refused(404, "contact_not_found", call{Method: "DELETE", Path: at})
		s.refused(404, "contact_not_found", call{Method: "GET", Path: at + "/tokens"})
		require.Zero(t, s.rows()["tokens"])
		d := ask[gen.DeliveryDetail](s, 200, "GET", "/v1/deliveries/3", "")
		require.Equal(t, town.people["cat"].ID, d.ContactID, "the counts of the campaign stay")
	})
}

// However many contacts a page has, what belongs to them is read at once.
func TestAListReadsAFixedNumberOfTimes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	d, err := db.Open(t.Context(), db.Options{Dir: t.TempDir(), Statements: func(string) {
		mu.Lock()
		defer mu.Unlock()
		n++
	}})
	require.NoError(t, err)
	defer d.Close()
	require.NoError(t, d.Migrate(t.Context()))
	s := newService(t, d)
	count := func(limit int) int {
		mu.Lock()
		n = 0
		mu.Unlock()
		require.Len(t, ask[gen.ContactList](s, 200, "GET", fmt.Sprintf("/v1/contacts?limit=%d", limit), "").Data, limit)
		mu.Lock()
		defer mu.Unlock()
		return n
	}
	s.newTown()
	count(1) // the key is looked up once
	require.Equal(t, count(1), count(8))
}

// The same call made twice, as after a time-out, makes one contact.
func TestARepeatedCallMakesOneContact(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		c := call{Method: "POST", Path: "/v1/contacts", Body: `{"external_id":"1","first_name":"Amy"}`, Headers: map[string]string{headerIdempotency: "k"}}
		first, second := s.do(c), s.do(c)
		require.Equal(t, 201, second.Code)
		require.Equal(t, first.Body.String(), second.Body.String())
		require.EqualValues(t, 1, s.rows()["contacts"])
		s.clock.Pass(answersKept + time.Minute)
		s.queueNow(PurgeJob{})
		s.work()
		require.Zero(t, s.rows()["idempotency_keys"])
	})
}

func TestSuppressionsAreMadeFoundAndLifted(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		amy := s.newContact(`"external_id":"1","phone":"%s","consents":%s`, phone(1), subscribed)
		made := ask[gen.Suppression](s, 201, "POST", "/v1/suppressions", `{"channel":"sms","address":"07700 900001","reason":"stop"}`)
		require.Equal(t, made, ask[gen.Suppression](s, 200, "POST", "/v1/suppressions", `{"channel":"sms","address":"`+phone(1)+`","reason":"stop"}`))
		byHand := ask[gen.Suppression](s, 201, "POST", "/v1/suppressions", `{"channel":"sms","address":"`+phone(1)+`"}`)
		require.Equal(t, gen.SuppressionReasonManual, byHand.Reason)
		require.Equal(t, gen.ConsentStatusUnsubscribed, ask[gen.Contact](s, 200, "GET", "/v1/contacts/"+amy.ID.String(), "").Consents.SMS.Status)
		found := ask[gen.SuppressionList](s, 200, "GET", "/v1/suppressions?channel=sms&address=%2B44+7700+900001", "")
		require.Equal(t, []gen.Suppression{byHand, made}, found.Data)
		require.Equal(t, []gen.Suppression{made}, ask[gen.SuppressionList](s, 200, "GET", "/v1/suppressions?reason=stop", "").Data)
		lift := `{"channel":"sms","address":"07700 900001","reason":"manual"}`
		ask[struct{}](s, 204, "POST", "/v1/suppressions/lift", lift)
		s.refused(404, "suppression_not_found", post("/v1/suppressions/lift", lift))
		require.Empty(t, ask[gen.SuppressionList](s, 200, "GET", "/v1/suppressions?channel=email", "").Data)
		got := s.refused(422, "invalid_fields", call{Method: "GET", Path: "/v1/suppressions?address=amy%40example.com"})
		require.Equal(t, map[string]string{"/query/channel": "required"}, got)
		got = s.refused(422, "invalid_fields", call{Method: "POST", Path: "/v1/suppressions", Body: `{"channel":"email","address":"nobody"}`})
		require.Equal(t, map[string]string{"/address": "bad_address"}, got)
		ask[struct{}](s, 204, "DELETE", "/v1/suppressions/"+made.ID.String(), "")
		s.refused(404, "suppression_not_found", call{Method: "DELETE", Path: "/v1/suppressions/" + made.ID.String()})
		require.Empty(t, ask[gen.SuppressionList](s, 200, "GET", "/v1/suppressions", "").Data)
		told := ask[gen.ConsentChangeList](s, 200, "GET", "/v1/contacts/"+amy.ID.String()+"/consents?limit=1", "")
		require.Equal(t, []string{"refused", "api", "stop"}, []string{string(told.Data[0].How), orZero(told.Data[0].Source), orZero(told.Data[0].Evidence)})
		first := ask[gen.ConsentChangeList](s, 200, "GET", "/v1/contacts/"+amy.ID.String()+"/consents?cursor="+*told.NextCursor, "")
		require.Equal(t, gen.ConsentChangeHowAPI, first.Data[len(first.Data)-1].How)
		s.refused(404, "contact_not_found", call{Method: "GET", Path: "/v1/contacts/" + pageID + "/consents"})
	})
}

package sms_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sms"
	"beckon/internal/channel/wire"
)

const testService = "MG00000000000000000000000000000001"

// accountOf reads an account from answers by path and query, with what was asked.
func accountOf(t *testing.T, answers map[string]string) (*sms.Account, *[]string) {
	t.Helper()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = append(asked, r.Method+" "+r.RequestURI+" "+user+":"+password)
		answer, known := answers[r.RequestURI]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"code":20404,"message":"The requested resource was not found","status":404}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(srv.Close)
	a, err := sms.NewAccount(sms.Settings{APIURL: srv.URL, AccountSID: "AC1", AuthToken: "hush", MessagingServiceSID: testService}, nil)
	require.NoError(t, err)
	return a, &asked
}

// The answers are those of Twilio's own description of its API.
func TestAnAccountIsReadAsTwilioDescribesIt(t *testing.T) {
	t.Parallel()
	const service, account = "/v1/Services/" + testService, "/2010-04-01/Accounts/AC1"
	a, asked := accountOf(t, map[string]string{
		account + ".json": `{"auth_token":"auth_token","friendly_name":"x","owner_account_sid":"AC1","sid":"AC1","status":"active","type":"Full"}`,
		account + "/IncomingPhoneNumbers.json?PhoneNumber=%2B18089255327": `{"end":0,"incoming_phone_numbers":[
			{"sid":"PN9","phone_number":"+180892553271","capabilities":{"voice":true,"sms":true},"sms_url":"https://other.example"},
			{"sid":"PN1","phone_number":"+18089255327","capabilities":{"voice":true,"sms":false,"mms":true,"fax":false},"sms_application_sid":"AP1","sms_method":"POST","sms_url":""}]}`,
		account + "/SMS/ShortCodes.json?ShortCode=99990": `{"short_codes":[{"short_code":"99990","sid":"SC1","sms_method":"GET","sms_url":"https://go.example/in"}]}`,
		account + "/SMS/ShortCodes.json?ShortCode=9999":  `{"short_codes":[{"short_code":"99990","sid":"SC1"}]}`,
		service: `{"sid":"MG","friendly_name":"My Service!","inbound_request_url":null,"inbound_method":"POST","us_app_to_person_registered":true,"use_inbound_webhook_on_number":true}`,
		service + "/PhoneNumbers?PageSize=1000": `{"meta":{"page":0,"key":"phone_numbers"},"phone_numbers":[{"sid":"PN1","phone_number":"+987654321","country_code":"US","capabilities":["Voice","SMS"]},
			{"sid":"PN2","phone_number":"+447700900000","country_code":"GB","capabilities":[]}]}`,
		service + "/ShortCodes?PageSize=1000":   `{"short_codes":[{"sid":"SC1","short_code":"12345","country_code":"US","capabilities":["SMS"]}]}`,
		service + "/AlphaSenders?PageSize=1000": `{"alpha_senders":[{"sid":"AI1","alpha_sender":"Twilio","capabilities":["SMS"]}]}`,
		service + "/Compliance/Usa2p?PageSize=50": `{"compliance":[{"sid":"QE1","us_app_to_person_usecase":"MARKETING","campaign_status":"FAILED",
			"errors":[{"error_code":30897,"description":"d","url":"u","fields":["message_flow"]}]}]}`,
		"/v1/Tollfree/Verifications?PageSize=50&TollfreePhoneNumberSid=PN1": `{"verifications":[{"sid":"HH1","status":"TWILIO_REJECTED"},{"sid":"HH2","status":"TWILIO_APPROVED"}]}`,
		"/v1/Tollfree/Verifications?PageSize=50&TollfreePhoneNumberSid=PN2": `{"verifications":[]}`,
	})
	ctx := t.Context()
	state, err := a.State(ctx)
	require.NoError(t, err)
	require.Equal(t, sms.State{Status: "active", Type: "Full"}, state)
	n, found, err := a.Number(ctx, "+18089255327")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, sms.Number{SID: "PN1", Number: "+18089255327", Method: "POST", App: "AP1"}, n)
	n, found, err = a.Number(ctx, "99990")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, sms.Number{SID: "SC1", Number: "99990", SMS: true, InboundURL: "https://go.example/in", Method: "GET"}, n)
	_, found, err = a.Number(ctx, "9999")
	require.NoError(t, err)
	require.False(t, found, "a part of another is not it")
	s, err := a.Service(ctx)
	require.NoError(t, err)
	require.Equal(t, sms.Service{Name: "My Service!", Method: "POST", OnNumber: true, USRegistered: true}, s)
	pool, err := a.Senders(ctx)
	require.NoError(t, err)
	require.Equal(t, []sms.Sender{{"PN1", sms.LongNumber, "+987654321", "US", true}, {"PN2", sms.LongNumber, "+447700900000", "GB", false},
		{"SC1", sms.ShortCode, "12345", "US", true}, {"AI1", sms.SenderID, "Twilio", "", true}}, pool)
	r, err := a.Registrations(ctx)
	require.NoError(t, err)
	require.Equal(t, []any{"FAILED", 30897}, []any{r[0].Status, r[0].Errors[0].Code})
	for sid, want := range map[string]string{"PN1": "TWILIO_APPROVED", "PN2": ""} {
		status, err := a.TollFree(ctx, sid)
		require.NoError(t, err)
		require.Equal(t, want, status)
	}
	for _, call := range *asked {
		require.True(t, strings.HasPrefix(call, "GET ") && strings.HasSuffix(call, " AC1:hush"), call)
	}
}

func TestAnAccountThatIsNotThereIsToldFromOneThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	a, _ := accountOf(t, nil)
	_, err := a.Service(t.Context())
	require.Equal(t, http.StatusNotFound, wire.Refused(err))
	away, err := sms.NewAccount(sms.Settings{APIURL: "http://127.0.0.1:1", AccountSID: "AC1", AuthToken: "hush", From: "+1"}, nil)
	require.NoError(t, err)
	_, err = away.State(t.Context())
	require.ErrorIs(t, err, wire.ErrSilent)
	_, err = sms.NewAccount(sms.Settings{APIURL: "http://127.0.0.1:1"}, nil)
	require.Error(t, err)
}

func TestServicesHaveAHostOfTheirOwnAtTwilio(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{"https://api.twilio.com": "messaging.twilio.com", "https://api.dublin.ie1.twilio.com": "messaging.dublin.ie1.twilio.com",
		"http://127.0.0.1:8090/twilio": "127.0.0.1:8090", "https://api.example.com": "api.example.com"} {
		require.Equal(t, want, sms.MessagingHost(t, at), at)
	}
}

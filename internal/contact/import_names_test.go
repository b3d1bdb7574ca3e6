package contact_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db/dbtest"
)

func TestColumnsAreKnownByManyNames(t *testing.T) {
	t.Parallel()
	s, page := forms(t), uuid.Must(uuid.NewV7())
	for target, names := range map[string]string{
		"external_id":       "external_id,External ID,Record ID,Record ID - Contact,Contact ID,Customer Id,user_id,ID",
		"first_name":        "first_name,First Name,FIRSTNAME,Given name",
		"last_name":         "last_name,Last Name,Surname,Family Name",
		"like:name":         "Full Name,Name",
		"email":             "email,Email,E-mail,Email Address",
		"phone":             "phone,Phone Number,Telephone,Mobile,Mobile Phone Number",
		"locale":            "locale,Locale",
		"like:locale":       "Language,Preferred language",
		"time_zone":         "time_zone",
		"like:time_zone":    "Time Zone,Timezone",
		"psid":              "psid,PSID,Messenger ID,messenger.psid,Page-scoped ID",
		"page_id":           "page_id,Page ID,messenger.page_id",
		"token":             "token,tokens.token",
		"topic":             "topic,tokens.topic",
		"granted_at":        "granted_at,tokens.granted_at",
		"tokens.page_id":    "tokens.page_id",
		"consents.sms":      "consents.sms",
		"consents.email.at": "consents.email.at",
		"like:sms":          "SMS Consent,Opted-in for SMS,sms_opt_in,optin_phone",
		"like:email":        "Email Consent,Opted-in for Email,Accepts Email Marketing",
		"out:sms":           "SMS opt-out,Unsubscribed from all SMS",
		"out:email":         "Unsubscribed from all email,Opted out of email: One to One,Email opt out",
		"":                  "Marketing contact status,City,consents.fax,consents.sms.colour,attributes.email,Company phone,email_verified",
	} {
		for name := range strings.SplitSeq(names, ",") {
			got, problem := s.Meaning([]string{name, "Shoe size"}, contact.ImportOptions{PageID: page})
			require.Equal(t, target, got[0], name)
			require.Empty(t, got[1])
			identity := target == "external_id" || target == "email" || target == "phone" || target == "psid"
			require.Equal(t, identity, problem == "", name)
		}
	}
}

func TestManyChatsContactIDIsTheMessengerID(t *testing.T) {
	t.Parallel()
	s, page := forms(t), uuid.Must(uuid.NewV7())
	for _, tt := range []struct {
		header string
		page   uuid.UUID
		want   string
	}{
		{"Contact Id,Opted-in for SMS", page, "psid"},
		{"User ID,Last Interaction", page, "psid"},
		{"Contact Id,Opted-in for SMS", uuid.Nil, "external_id"},
		{"Contact Id,PSID,Opted-in for SMS", page, "external_id"},
		{"Contact ID,First Name", page, "external_id"},
	} {
		got, problem := s.Meaning(strings.Split(tt.header, ","), contact.ImportOptions{PageID: tt.page})
		require.Empty(t, problem, tt.header)
		require.Equal(t, tt.want, got[0], tt.header)
	}
}

func TestCellsAreReadWithGoodWill(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	imp := b.csv("id;Name;Phone;Mobile;Mobile Number;Time Zone;Language;SMS Consent;SMS opt-out;phone number!",
		"1;Plato;+12025550101;+12025550102;+12025550103;america_slash_new_york;pt-br;Opted-in;;x",
		"2;Jean Luc Picard;+12025550104;;;-5;Klingon;perhaps;no;",
		"3;;;;;GMT+14:00;;yes;yes;",
		"4;;;;;UTC;;0;;",
		"5;;;;;UTC-12:30;;n;;",
	)
	require.Equal(t, "finished: 5 lines, 5 created, 0 updated, 0 refused", counts(imp))
	get := func(id string) contact.Contact { return b.find(contact.Filter{ExternalID: id}) }
	one, two := get("1"), get("2")
	require.Equal(t, "Plato||+12025550102|America/New_York|pt-BR|subscribed", strings.Join([]string{one.FirstName, one.LastName, one.Phone, one.TimeZone, one.Locale, one.SMSConsent.Status}, "|"))
	require.Equal(t, map[string]any{"phone": "+12025550101", "mobile_number": "+12025550103", "phone_number": "x"}, one.Attributes.Map())
	require.Equal(t, "Jean|Luc Picard|+12025550104|Etc/GMT+5|", strings.Join([]string{two.FirstName, two.LastName, two.Phone, two.TimeZone, two.SMSConsent.Status}, "|"))
	require.Equal(t, map[string]any{"language": "Klingon", "sms_consent": "perhaps"}, two.Attributes.Map())
	require.Equal(t, "Etc/GMT-14 unsubscribed", get("3").TimeZone+" "+get("3").SMSConsent.Status)
	require.Equal(t, "UTC unsubscribed", get("4").TimeZone+" "+get("4").SMSConsent.Status)
	require.Equal(t, map[string]any{"time_zone": "UTC-12:30"}, get("5").Attributes.Map())
}

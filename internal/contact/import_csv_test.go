package contact_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(b)
}

func TestImportReadsHubSpotsExport(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		imp := b.imports(file(t, "hubspot.csv"), contact.ImportOptions{Format: contact.CSV, ConsentSource: "hubspot"})
		require.Equal(t, "finished: 48 lines, 40 created, 1 updated, 7 refused", counts(imp))
		require.Equal(t, []string{"8 /email bad_email", "12 /phone bad_phone", "16 /email address_taken", "32  open_quote",
			"41  wrong_columns", "44  bad_encoding", "49  wrong_columns"}, b.refused(imp))

		zoe := b.find(contact.Filter{ExternalID: "51000000"})
		require.Equal(t, "Zoë|O'Neil|en-GB|Europe/London|+447700900100|person00@example.com",
			strings.Join([]string{zoe.FirstName, zoe.LastName, zoe.Locale, zoe.TimeZone, zoe.Phone, zoe.Email}, "|"), "the mobile number is the one to send to")
		require.Equal(t, map[string]any{"city": "Leeds", "country_region": "United Kingdom", "lifecycle_stage": "Lead", "contact_owner": "Dana Reyes",
			"create_date": "2025-01-11 09:00", "marketing_contact_status": "Marketing contact", "associated_company": "Harbour & Sons, Ltd.", "phone_number": "+44 20 7946 0000"}, zoe.Attributes.Map())
		require.Equal(t, "subscribed hubspot", zoe.SMSConsent.Status+" "+zoe.SMSConsent.Source)

		require.Equal(t, "+12125550101", b.find(contact.Filter{ExternalID: "51000001"}).Phone, "the only number there is")
		require.Equal(t, "Met at the fair, wants the list.\nCall again in spring", b.find(contact.Filter{ExternalID: "51000003"}).Attributes.Map()["notes"])
		require.Equal(t, `"Blue" Kites GmbH`, b.find(contact.Filter{ExternalID: "51000002"}).Attributes.Map()["associated_company"])
		require.Equal(t, contact.Unsubscribed, b.find(contact.Filter{ExternalID: "51000014"}).EmailConsent.Status, "an opt-out wins over a yes beside it")
		none := b.find(contact.Filter{ExternalID: "51000004"})
		require.Empty(t, none.EmailConsent.Status, "not opted out is not opted in")
		mars := b.find(contact.Filter{ExternalID: "51000017"})
		require.Equal(t, []any{"Mars", "Klingonisch", "", ""}, []any{mars.Attributes.Map()["time_zone"], mars.Attributes.Map()["preferred_language"], mars.TimeZone, mars.Locale})
		require.Equal(t, "Søren", b.find(contact.Filter{ExternalID: "51000030"}).FirstName, "the later line about a person wins")
	})
}

func TestImportReadsManyChatsExport(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		refused := []string{"10 /messenger/0/psid bad_psid", "14 /email bad_email", "18  not_identified", "24  wrong_columns", "28 /phone bad_phone", "33  open_quote"}
		imp := b.imports(file(t, "manychat.csv"), contact.ImportOptions{Format: contact.CSV, PageID: b.page})
		require.Equal(t, "finished: 36 lines, 30 created, 0 updated, 6 refused", counts(imp))
		require.Equal(t, refused, b.refused(imp))

		zoe := b.find(contact.Filter{Email: "chat00@example.com"})
		require.Equal(t, map[string]uuid.UUID{"6100000000000000": b.page}, b.psids(zoe.ID))
		require.Equal(t, "en-GB UTC subscribed subscribed", strings.Join([]string{zoe.Locale, zoe.TimeZone, zoe.SMSConsent.Status, zoe.EmailConsent.Status}, " "))
		require.Equal(t, map[string]any{"gender": "female", "language": "English", "subscribed": "2025-01-02 10:00:00", "last_interaction": "2026-01-05 18:40:00",
			"last_input_text": "Yes please", "tags": "vip, courses", "favourite_course": "Pottery"}, zoe.Attributes.Map())
		misaki := b.find(contact.Filter{Phone: "+447700900204"})
		require.Equal(t, "美咲 佐藤", misaki.FirstName+" "+misaki.LastName, "split from the full name")
		anna := b.find(contact.Filter{Email: "chat15@example.com"})
		require.Equal(t, []any{"maybe", ""}, []any{anna.Attributes.Map()["opted_in_for_sms"], anna.SMSConsent.Status}, "a maybe is no answer")
		require.Equal(t, "multi\nline", anna.Attributes.Map()["last_input_text"])
		require.Equal(t, "Etc/GMT-3", b.find(contact.Filter{Phone: "+447700900202"}).TimeZone)

		again := b.imports(file(t, "manychat.csv"), contact.ImportOptions{Format: contact.CSV, PageID: b.page})
		require.Equal(t, "finished: 36 lines, 0 created, 30 updated, 6 refused", counts(again))
	})
}

func TestImportReadsOurOwnColumns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		page := b.page.String()
		imp := b.csv(
			"sep=\t",
			strings.Join([]string{"external_id", "first_name", "last_name", "email", "phone", "locale", "time_zone", "attributes.City", "consents.sms.status", "consents.sms.source", "consents.sms.at",
				"consents.sms.evidence", "consents.email", "messenger.page_id", "messenger.psid", "tokens.topic", "tokens.token", "tokens.granted_at", "Größe", "", "tokens.page_id"}, "\t"),
			strings.Join([]string{"1", "Amy", "Lee", "amy@example.com", "+447700900123", "en_GB", "Europe/London", "Leeds", "subscribed", "form", "2026-01-02", "I agree", "no", page, "p1", "", "tok-1", "2026-05-01 10:00", "XL", "x", ""}, "\t"),
			strings.Join([]string{"2", "", "", "", "", "no such", "Nowhere", "", "maybe", "", "yesterday", "", "", "no id", "p2", "none", "tok-2", "x", "", "", "y"}, "\t"),
			strings.Join([]string{"3", "", "", "", "", "", "", "", "", "form", "2026-01-02", "I agree", "", "", "p3", "", "", "", "", "", ""}, "\t"),
			"\t\t",
		)
		require.Equal(t, "finished: 3 lines, 1 created, 0 updated, 2 refused", counts(imp))
		require.Equal(t, []string{"4 /consents/sms/at bad_time", "4 /consents/sms/status bad_consent", "4 /locale bad_locale", "4 /messenger/0/page_id bad_id",
			"4 /time_zone bad_time_zone", "4 /tokens/0/granted_at bad_time", "4 /tokens/0/page_id bad_id", "5 /messenger/0/page_id required"}, b.refused(imp))
		amy := b.find(contact.Filter{ExternalID: "1"})
		require.Equal(t, map[string]any{"City": "Leeds", "größe": "XL", "column_20": "x"}, amy.Attributes.Map())
		require.Equal(t, "2026-01-02", amy.SMSConsent.At.UTC().Format("2006-01-02"))
		require.Equal(t, contact.Unsubscribed, amy.EmailConsent.Status)
		require.Equal(t, map[string]uuid.UUID{"p1": b.page}, b.psids(amy.ID))
		require.Len(t, b.grants, 1)
		require.Equal(t, "unsorted tok-1", b.grants[0].Topic+" "+b.grants[0].Value)
	})
}

func TestABrokenCSVLineCostsOnlyItself(t *testing.T) {
	t.Parallel()
	long, tall := strings.Repeat("x", 70<<10), strings.Repeat("y\n", 60)
	for name, tt := range map[string]struct {
		lines   []string
		created int64
		refused []string
	}{
		"a quote never closed":           {[]string{`1,"a`, `2,b`, `3,c`}, 2, []string{"2  open_quote"}},
		"a quote in the last line":       {[]string{`1,a`, `2,"b`}, 1, []string{"3  open_quote"}},
		"a quote inside a quoted cell":   {[]string{`1,"a "b" c"`, `2,b`}, 1, []string{"2  open_quote"}},
		"a quote inside a plain cell":    {[]string{`1,5" pipe`, `2,b`}, 2, nil},
		"an open quote meets a full one": {[]string{`1,"a`, `2,"b, c"`, `3,"c"`}, 2, []string{"2  open_quote"}},
		"too many cells over lines":      {[]string{`1,"a`, `2,b",c`, `3,c`}, 1, []string{"2  open_quote", "3  wrong_columns"}},
		"a cell over two lines":          {[]string{"1,\"a\r\nb\"", `2,""""`, `3,`}, 3, nil},
		"a cell over too many lines":     {[]string{`1,"` + tall + `"`, `2,b`}, 1, []string{"2  open_quote", "3  wrong_columns"}},
		"a line too long":                {[]string{"1," + long, `2,b`}, 1, []string{"2  too_long"}},
		"a quoted line too long":         {[]string{`1,"` + long + `"`, `2,b`}, 1, []string{"2  too_long"}},
		"too few and too many cells":     {[]string{`1`, `2,b,c`, `3,c`}, 1, []string{"2  wrong_columns", "3  wrong_columns"}},
		"empty lines":                    {[]string{``, `1,a`, ` , `, `"",""`, `2,b`, ``}, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			imp := b.csv(append([]string{"external_id,note"}, tt.lines...)...)
			got := b.refused(imp)
			if name == "a cell over too many lines" {
				require.Len(t, got, 61, "each of its lines, for itself")
				got = got[:2]
			}
			require.Equal(t, tt.refused, got)
			require.Equal(t, tt.created, imp.Created)
		})
	}
}

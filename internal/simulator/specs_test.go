package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// loadSpecs skips when the vendors' descriptions are not at hand: they are not
// part of this repository.
func loadSpecs(t *testing.T) *Specs {
	dir := os.Getenv("BECKON_SPECS")
	if dir == "" {
		t.Skip("SKIPPED: set BECKON_SPECS to the folder with " + twilioSpec + " and " + sendGridSpec + " to check against the official descriptions")
	}
	specs, err := LoadSpecs(dir)
	require.NoError(t, err)
	return specs
}

func TestOfficialDescriptionsTellRightFromWrong(t *testing.T) {
	t.Parallel()
	specs := loadSpecs(t)
	const messages = "/twilio/2010-04-01/Accounts/" + testAccount + "/Messages.json"
	form := func(change url.Values) string {
		v := url.Values{"To": {"+14155550100"}, "MessagingServiceSid": {testService}, "Body": {"hi"}, "ValidityPeriod": {"60"},
			"StatusCallback": {"https://e.x/s#rc=2"}}
		for k := range change {
			v[k] = change[k]
		}
		return v.Encode()
	}
	mail := func(old, fresh string) string { return strings.Replace(mailTo("ann@example.org"), old, fresh, 1) }
	for name, c := range map[string]struct {
		p                  Provider
		method, path, body string
		ok                 bool
	}{
		"text":               {Twilio, http.MethodPost, messages, form(nil), true},
		"list":               {Twilio, http.MethodGet, messages + "?To=%2B14155550100&PageSize=20", "", true},
		"bad service":        {Twilio, http.MethodPost, messages, form(url.Values{"MessagingServiceSid": {"MG1"}}), false},
		"no recipient":       {Twilio, http.MethodPost, messages, "Body=hi", false},
		"validity of a word": {Twilio, http.MethodPost, messages, form(url.Values{"ValidityPeriod": {"secret"}}), false},
		"list of a day on":   {Twilio, http.MethodGet, messages + "?To=%2B14155550100&DateSent%3E=2026-11-22T00%3A00%3A00Z&PageSize=50&Page=1&PageToken=PASM1", "", true},
		"bad page":           {Twilio, http.MethodGet, messages + "?Page=first", "", false},
		"fat page":           {Twilio, http.MethodGet, messages + "?PageSize=1001", "", false},
		"bad account":        {Twilio, http.MethodGet, strings.Replace(messages, "AC", "XX", 1), "", false},
		"no such thing":      {Twilio, http.MethodGet, "/twilio/2010-04-01/Pigeons.json", "", false},
		"mail":               {SendGrid, http.MethodPost, "/sendgrid/v3/mail/send", mailTo("ann@example.org"), true},
		"bad address":        {SendGrid, http.MethodPost, "/sendgrid/v3/mail/send", mailTo("secret"), false},
		"empty subject":      {SendGrid, http.MethodPost, "/sendgrid/v3/mail/send", mail("Hi %%n%%", ""), false},
		"number substituted": {SendGrid, http.MethodPost, "/sendgrid/v3/mail/send", mail(`"Ann"`, `1`), false},
		"crowd":              {SendGrid, http.MethodPost, "/sendgrid/v3/mail/send", mailTo(strings.Split(strings.Repeat("a@example.org,", 1001), ",")...), false},
		"no description":     {Graph, http.MethodPost, "/graph/v25.0/me/messages", "{}", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://host"+c.path, nil)
			require.NoError(t, err)
			req.Header.Set("Content-Type", map[Provider]string{Twilio: "application/x-www-form-urlencoded", SendGrid: "application/json"}[c.p])
			err = specs.Check(c.p, req, []byte(c.body))
			if c.ok {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// What the stand-in lists is what clients of Twilio may rely on.
func TestListsAreAsTwilioDescribes(t *testing.T) {
	t.Parallel()
	specs, b := loadSpecs(t), setup(t)
	b.sim.Refuse(Twilio, "+14155550100", "30005")
	for range 3 {
		require.Equal(t, http.StatusCreated, b.twilio(t, nil).status)
	}
	list := specs.docs[Twilio].Paths.Value("/2010-04-01/Accounts/{AccountSid}/Messages.json").Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
	for _, query := range []string{"", "?PageSize=2", "?PageSize=2&Page=1", "?To=%2B14155550199"} {
		got := b.do(t, b.twilioRequest(t, http.MethodGet, "/Messages.json"+query, ""))
		require.Equal(t, http.StatusOK, got.status)
		var page any
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		require.NoError(t, list.VisitJSON(page, openapi3.VisitAsResponse(), openapi3.EnableFormatValidation()), query)
	}
}

func TestLoadSpecsSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := LoadSpecs(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	dir := t.TempDir()
	for _, name := range []string{twilioSpec, sendGridSpec} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("["), 0o600))
	}
	_, err = LoadSpecs(dir)
	require.ErrorContains(t, err, "simulator: specs")
}

func TestCheckIsAskedAboutEveryRequestAndItsRefusalsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) {
		c.Check = func(p Provider, r *http.Request, body []byte) error {
			if p == Twilio || bytes.Contains(body, []byte("worse")) {
				return errors.New("not as described")
			}
			return nil
		}
	})
	b.sim.AddPeople(testPage, 1)
	require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", `{"text":"x"}`)).status)
	require.Empty(t, b.sim.SpecErrors())
	require.Equal(t, http.StatusBadRequest, b.graph(t, toPSID("psid-1", `{"text":"worse"}`)).status)
	require.Equal(t, http.StatusBadRequest, b.twilio(t, nil).status)
	require.Equal(t, http.StatusBadRequest, b.do(t, b.twilioRequest(t, http.MethodGet, "/Messages.json", "")).status)
	require.Len(t, b.sim.SpecErrors(), 3)
	require.Equal(t, int64(1), b.sim.Counts()[Graph].Accepted)
}

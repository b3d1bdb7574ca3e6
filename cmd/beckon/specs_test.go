package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// specsFolder names a folder with the providers' own descriptions of their
// APIs, twilio_api_v2010.yaml and sendgrid_mail_v3.yaml, as they publish them at
// github.com/twilio/twilio-oai and github.com/twilio/sendgrid-oai.
const specsFolder = "BECKON_SPECS"

func officialSpecs(t *testing.T) *simulator.Specs {
	t.Helper()
	dir := os.Getenv(specsFolder)
	if dir == "" {
		t.Skipf("requests are NOT held against Twilio's and SendGrid's own descriptions: set %s to a folder with twilio_api_v2010.yaml "+
			"(github.com/twilio/twilio-oai, spec/yaml) and sendgrid_mail_v3.yaml (github.com/twilio/sendgrid-oai, spec/yaml/tsg_mail_v3.yaml)", specsFolder)
	}
	specs, err := simulator.LoadSpecs(dir)
	require.NoError(t, err)
	return specs
}

func TestEveryRequestIsAsTheProvidersDescribe(t *testing.T) {
	t.Parallel()
	specs := officialSpecs(t)
	w, people := newWorld(t, onSQLite(t), func(c *simulator.Config) { c.Check = specs.Check }), crowd{sms: 40, email: 40}
	w.serve(t)
	w.open(t)
	w.imported(t, people.file(w))
	// Names and values that are hard to write into a form or JSON.
	w.imported(t, file{csv, "external_id,first_name,attributes.interest\ne0,\"Zoë \"\"Zed\"\" & <Sons>\",-=%_ 100% -b1-\ne1,{{ x }},\u202eסבבה 🎓\ns0,%00%+&=,\n"})
	campaign := w.campaign(t, "sms", "email")
	eventually(t, func(c *assert.CollectT) { require.Equal(c, 80, w.report(c, campaign).count("delivered")) })
	require.Empty(t, w.sim.SpecErrors())
	require.Equal(t, w.addressed(t, campaign, "delivered"), w.sentTo())
}

// Look-ups too are requests that Twilio describes.
func TestEveryLookUpIsAsTwilioDescribes(t *testing.T) {
	t.Parallel()
	specs := officialSpecs(t)
	w, a := servingApp(t, onSQLite(t), func(c *simulator.Config) { c.Check, c.Receipts.Off = specs.Check, true })
	people := crowd{sms: 5}
	w.imported(t, people.file(w))
	w.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
	campaign := w.campaign(t, "sms")
	eventually(t, func(c *assert.CollectT) { require.Equal(c, [2]int{5, 0}, w.unknowns(c, campaign)) })
	a.later(t, 3*time.Minute)
	eventually(t, func(c *assert.CollectT) {
		require.Empty(c, w.sim.SpecErrors())
		require.Equal(c, 5, w.report(c, campaign).count("delivered"))
	})
}

// So are doctor's looks at the account and its numbers.
func TestEveryLookOfDoctorIsAsTwilioDescribes(t *testing.T) {
	t.Parallel()
	specs := officialSpecs(t)
	for _, from := range []string{simulatorFrom, "12345"} {
		w := newWorld(t, onSQLite(t), func(c *simulator.Config) { c.Check = specs.Check })
		w.sim.SetTwilioAccount(simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: from}}})
		_, found, _ := examined(t, func() []string { return append(w.environ(), "TWILIO_FROM="+from) })
		require.Contains(t, found[fine]["SMS"], "Texts to "+from+" come here")
		require.Empty(t, w.sim.SpecErrors())
	}
}

// Were the check to let everything pass, the test above would say nothing.
func TestARequestThatIsNotAsDescribedIsReported(t *testing.T) {
	t.Parallel()
	specs := officialSpecs(t)
	sim := simulator.New(simulator.Config{Check: specs.Check})
	l := listen(t)
	background(t, func(ctx context.Context) error { return sim.Serve(ctx, l) })
	const texts = "/twilio/2010-04-01/Accounts/" + simulatorSID + "/Messages.json"
	for _, wrong := range []struct{ path, kind, body, problem string }{
		{texts, "application/x-www-form-urlencoded", "To=%2B15005550001&From=%2B15005550006&Body=Hi&ValidityPeriod=soon", "twilio: /2010-04-01/Accounts/{AccountSid}/Messages.json: "},
		{"/sendgrid/v3/mail/send", "application/json", `{"personalizations":[{"to":[{"email":"no address"}]}],"from":{"email":"a@example.com"},"subject":"s","content":[{"type":"text/plain","value":"v"}]}`, "sendgrid: /v3/mail/send: /"},
		{"/sendgrid/v3/mail/send", "application/json", `{"subject":"s"}`, "sendgrid: /v3/mail/send: /"},
	} {
		before := len(sim.SpecErrors())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+wrong.path, bytes.NewBufferString(wrong.body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", wrong.kind)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, wrong.body)
		reported := sim.SpecErrors()
		require.Len(t, reported, before+1, wrong.body)
		require.True(t, strings.HasPrefix(reported[before].Error(), wrong.problem), reported[before])
	}
}

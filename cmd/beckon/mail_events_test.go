package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// reason is a thing that SendGrid may tell of a mail, and all that follows. In
// the events, ME stands for what names the mail and its reader.
type reason struct {
	name   string
	events []string
	want   string // lane and state of the delivery, consent, reasons of suppression, misses, complaints
}

// sendGridReasons is every event and every reason that SendGrid has.
func sendGridReasons() []reason {
	arrived := []string{`{"event":"processed",ME}`, `{"event":"delivered","response":"250 OK",ME}`}
	after := func(events ...string) []string { return append(slices.Clone(arrived), events...) }
	const (
		untouched = "email accepted, subscribed"
		delivered = "email delivered, subscribed"
		onward    = "sms accepted, subscribed"
	)
	return []reason{
		{"processed", arrived[:1], untouched},
		{"delivered", arrived, delivered},
		{"delivered, told before processed", []string{arrived[1], arrived[0]}, delivered},
		{"deferred", []string{`{"event":"deferred","response":"400 try again later","attempt":"5",ME}`}, untouched},
		{"deferred, attempt as number", []string{`{"event":"deferred","attempt":5,"category":["a","b"],ME}`}, untouched},
		{"bounce", []string{`{"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 no such user",ME}`}, onward + ", bounce"},
		{"bounce without a type", []string{`{"event":"bounce","status":"5.0.0","category":"news",ME}`}, onward + ", bounce"},
		{"bounce after all", after(`{"event":"bounce","type":"bounce","status":"5.1.1",ME}`), delivered + ", bounce"},
		{"blocked: mailbox full", []string{`{"event":"bounce","type":"blocked","status":"5.2.2",ME}`}, onward + ", 1 missed"},
		{"blocked: mailbox provider unavailable", []string{`{"event":"bounce","type":"blocked","bounce_classification":"Mailbox Unavailable",ME}`}, onward + ", 1 missed"},
		{"blocked: policy", []string{`{"event":"bounce","type":"blocked","status":"5.7.1",ME}`}, onward},
		{"blocked: reputation", []string{`{"event":"bounce","type":"blocked","bounce_classification":"Reputation",ME}`}, onward},
		{"blocked: content", []string{`{"event":"bounce","type":"blocked","bounce_classification":"Content",ME}`}, onward},
		{"expired", []string{`{"event":"bounce","type":"expired","reason":"unable to get mx info",ME}`}, onward + ", 1 missed"},
		{"dropped: bounced", []string{`{"event":"dropped","reason":"Bounced Address",ME}`}, onward + ", bounce"},
		{"dropped: unsubscribed", []string{`{"event":"dropped","reason":"Unsubscribed Address",ME}`}, "sms accepted, unsubscribed, unsubscribe"},
		{"dropped: spam report", []string{`{"event":"dropped","reason":"Spam Reporting Address",ME}`}, "sms accepted, unsubscribed, complaint"},
		{"dropped: invalid", []string{`{"event":"dropped","reason":"Invalid",ME}`}, onward + ", bounce"},
		{"dropped: header", []string{`{"event":"dropped","reason":"Invalid SMTPAPI header",ME}`}, onward},
		{"dropped: content", []string{`{"event":"dropped","reason":"Spam Content (if Spam Checker app is enabled)",ME}`}, onward},
		{"dropped: something new", []string{`{"event":"dropped","reason":"A new reason",ME}`}, onward},
		{"spamreport", after(`{"event":"spamreport",ME}`), "email delivered, unsubscribed, complaint, 1 complained"},
		{"unsubscribe", after(`{"event":"unsubscribe",ME}`), "email delivered, unsubscribed, unsubscribe"},
		{"group_unsubscribe", after(`{"event":"group_unsubscribe","asm_group_id":10,ME}`), "email delivered, unsubscribed, unsubscribe"},
		{"group_resubscribe", after(`{"event":"group_unsubscribe","asm_group_id":10,ME}`, `{"event":"group_resubscribe","asm_group_id":10,ME}`), delivered},
		{"group_resubscribe, told first", []string{`{"event":"group_resubscribe",LATER}`, `{"event":"group_unsubscribe",ME}`}, untouched},
		{"group_resubscribe after a complaint", after(`{"event":"spamreport",ME}`, `{"event":"group_resubscribe",LATER}`), "email delivered, unsubscribed, complaint, 1 complained"},
		{"open and click", after(`{"event":"open","sg_machine_open":true,ME}`, `{"event":"click","url":"https://example.com/",ME}`), delivered},
		{"account_status_change", []string{`{"event":"account_status_change","type":"compliance_suspend"}`}, untouched},
		{"somebody else's mail bounces", []string{`{"event":"bounce","type":"bounce",THEIRS}`}, untouched + ", bounce"},
		{"somebody else's mails miss, twice a day", []string{`{"event":"bounce","type":"blocked","sg_message_id":"x1",THEIRS}`, `{"event":"bounce","type":"blocked","sg_message_id":"x2",THEIRS}`}, untouched + ", 1 missed"},
		{"somebody else's mail arrives", []string{`{"event":"delivered",THEIRS}`}, untouched},
		{"what no database keeps", []string{`{"event":"unsubscribe","email":"a\u0000b@hidden.example.com","sg_message_id":"\u0000","bk_delivery":"\ud800"}`}, untouched},
		{"no ids", []string{`{"event":"bounce","type":"bounce",NAMELESS}`}, onward + ", bounce"},
	}
}

// mailWorld is a world in which SendGrid tells only what the test has it tell.
func mailWorld(t *testing.T, database string, n int) (*world, *app, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w, a := servingApp(t, database, func(c *simulator.Config) { c.Receipts.Off, c.SendGridWebhookKey = true, key })
	var people strings.Builder
	for i := range n {
		fmt.Fprintf(&people, `{"external_id":"p%02d","email":%q,"phone":%q,"consents":{"email":{"status":"subscribed","at":"2026-01-05T09:00:00Z"},"sms":{"status":"subscribed"}}}`+"\n", i, address(i), phone(i))
	}
	w.imported(t, file{ndjson, people.String()})
	w.hidden = append(w.hidden, "@hidden.example.com", "+4477009")
	return w, a, key
}

// sendGrid posts events as SendGrid does.
func (w *world) sendGrid(t *testing.T, key *ecdsa.PrivateKey, events []string) {
	t.Helper()
	body := "[" + strings.Join(events, ",\r\n") + "]\r\n"
	sum := sha256.Sum256([]byte("1795348800" + body))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.gate.URL+"/webhooks/sendgrid", bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature))
	req.Header.Set("X-Twilio-Email-Event-Webhook-Timestamp", "1795348800")
	res, err := w.gate.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 2, res.StatusCode/100, res.Status)
}

// events are those of a reason about what one person got.
func (r reason) about(w *world, t *testing.T, i int) (out []string) {
	t.Helper()
	mails := w.sim.Mail(address(i))
	require.Len(t, mails, 1)
	mail, at := mails[0], mails[0].At.Add(-5*time.Minute).Unix() // what lies in the future is dated when it came
	who := fmt.Sprintf(`"email":%q`, strings.ToUpper(address(i)[:1])+address(i)[1:])
	named := fmt.Sprintf(`%s,"sg_message_id":"%s.recvd-0-1","bk_delivery":%q`, who, mail.MessageID, mail.CustomArgs["bk_delivery"])
	for n, e := range r.events {
		when := func(later int64) string {
			return fmt.Sprintf(`,"timestamp":%d,"sg_event_id":"e%d-%d"`, at+int64(n)+later, i, n)
		}
		out = append(out, strings.NewReplacer(
			"ME}", named+when(0)+"}", "LATER}", named+when(60)+"}",
			"THEIRS}", who+`,"bk_delivery":"made-up","smtp-id":"<theirs@ismtpd>"`+when(0)+"}",
			"NAMELESS}", fmt.Sprintf(`%s,"smtp-id":%q}`, who, mail.Headers["Message-ID"])).Replace(e))
	}
	return out
}

// effects is what the events did to each person.
func (a *app) effects(db func(string) []map[string]any) map[string]string {
	out := map[string]string{}
	for _, r := range db(`SELECT c.external_id AS who, d.lane, d.state, c.email_consent_status AS consent FROM deliveries d JOIN contacts c ON c.id = d.contact_id`) {
		out[fmt.Sprint(r["who"])] = fmt.Sprintf("%v %v, %v", r["lane"], r["state"], r["consent"])
	}
	for _, r := range db(`SELECT c.external_id AS who, s.reason FROM suppressions s JOIN contacts c ON c.email_hash = s.hash ORDER BY s.reason`) {
		out[fmt.Sprint(r["who"])] += fmt.Sprintf(", %v", r["reason"])
	}
	for _, r := range db(`SELECT c.external_id AS who, COUNT(*) AS n FROM misses m JOIN contacts c ON c.email_hash = m.hash GROUP BY c.external_id`) {
		out[fmt.Sprint(r["who"])] += fmt.Sprintf(", %v missed", r["n"])
	}
	for _, r := range db(`SELECT c.external_id AS who, COUNT(*) AS n FROM complaints k JOIN deliveries d ON d.id = k.delivery_id JOIN contacts c ON c.id = d.contact_id GROUP BY c.external_id`) {
		out[fmt.Sprint(r["who"])] += fmt.Sprintf(", %v complained", r["n"])
	}
	return out
}

// rows reads what a statement finds.
func (a *app) rows(t require.TestingT) func(string) []map[string]any {
	return func(sql string) (out []map[string]any) {
		require.NoError(t, a.db.Read(context.Background()).Raw(sql).Scan(&out).Error)
		return out
	}
}

// quiet waits until all that came in is applied.
func (a *app) quiet(c require.TestingT) {
	require.Empty(c, a.rows(c)("SELECT id FROM callbacks WHERE applied_at IS NULL"))
}

// TestEveryReasonOfSendGridHasItsEffect tells every reason there is, each about
// another person, by the webhook: all at once, and then again in other portions
// and backwards, which changes nothing.
func TestEveryReasonOfSendGridHasItsEffect(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		all := sendGridReasons()
		w, a, key := mailWorld(t, database, len(all))
		id := w.campaign(t, "email", "sms")
		eventually(t, func(c *assert.CollectT) { require.Equal(c, len(all), w.report(c, id).count("accepted")) })
		var events []string
		want := map[string]string{}
		for i, r := range all {
			events = append(events, r.about(w, t, i)...)
			want[fmt.Sprintf("p%02d", i)] = r.name + ": " + r.want
		}
		named := func(c require.TestingT) map[string]string {
			got := a.effects(a.rows(c))
			for i, r := range all {
				got[fmt.Sprintf("p%02d", i)] = r.name + ": " + got[fmt.Sprintf("p%02d", i)]
			}
			return got
		}
		w.sendGrid(t, key, events)
		eventually(t, func(c *assert.CollectT) {
			a.quiet(c)
			require.Equal(c, want, named(c))
		})
		slices.Reverse(events)
		for part := range slices.Chunk(events, 7) {
			w.sendGrid(t, key, append(part, part...))
		}
		eventually(t, func(c *assert.CollectT) { a.quiet(c) })
		require.Equal(t, want, named(t), "told again, in other portions and backwards")
		require.Equal(t, 2, ask[struct{ Complaints int }](t, w, 200, "GET", "/v1/campaigns/"+id+"/report", nil).Complaints)
		for to, n := range w.sentTo() {
			require.Equal(t, 1, n, to)
		}
	})
}

// A quota that is used up is nobody's fault: nobody is burned, the line stops.
func TestAQuotaOfSendGridStopsTheLine(t *testing.T) {
	t.Parallel()
	w, a, key := mailWorld(t, onSQLite(t), 2)
	id := w.campaign(t, "email")
	eventually(t, func(c *assert.CollectT) { require.Equal(c, 2, w.report(c, id).count("accepted")) })
	w.sendGrid(t, key, reason{events: []string{`{"event":"dropped","reason":"Recipient List over Package Quota",ME}`}}.about(w, t, 0))
	eventually(t, func(c *assert.CollectT) {
		a.quiet(c)
		got := ask[struct {
			Stopped []struct{ Sender, Code string }
		}](c, w, 200, "GET", "/v1/campaigns/"+id+"/report", nil)
		require.Len(c, got.Stopped, 1)
		require.Equal(c, map[string]string{"p00": "email pending, subscribed", "p01": "email accepted, subscribed"}, a.effects(a.rows(c)))
	})
	require.Equal(t, 1, w.sentTo()[address(0)])
}

package bounce_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/bounce"
	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/db/dbtest"
	"beckon/internal/link"
	"beckon/internal/optout"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/token"
	"beckon/internal/webhook"
)

// inbox is the whole way of an e-mail's callback, from its signature to what
// follows, but for the engine.
type inbox struct {
	*bundle
	*webhook.Inbox
	queue *queue.Queue
	key   *ecdsa.PrivateKey
	marks link.Coder
	log   bytes.Buffer
	late  int
}

func openInbox(t testing.TB) *inbox {
	t.Helper()
	d := dbtest.SQLite(t)
	i := &inbox{bundle: setup(t, d)}
	now := func() time.Time { return noon }
	box, err := seal.New(bytes.Repeat([]byte{5}, seal.MinSecret))
	require.NoError(t, err)
	i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
	require.NoError(t, err)
	receiver, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: base64.StdEncoding.EncodeToString(der)})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(&i.log, nil))
	i.queue = queue.New(d, log)
	i.marks = link.NewCoder(box.Key("link"), link.PurposeMark)
	bounces := bounce.New(bounce.Parts{DB: d, Queue: i.queue, Contacts: i.contacts, Ledger: i.ledger, Log: log, Now: now})
	optOuts := optout.New(optout.Parts{DB: d, Queue: i.queue, Contacts: i.contacts, Box: box, Now: now})
	i.Inbox = webhook.New(webhook.Parts{DB: d, Queue: i.queue, Receivers: map[channel.Kind]channel.Receiver{channel.Email: receiver}, Contacts: i.contacts,
		Tokens: token.NewStore(d, box, now), Ledger: i.ledger, Links: i.marks, Marks: i.marks, LinkBack: []webhook.Listener{optOuts, bounces}, Log: log, Now: now,
		PageByGraph: func(context.Context, []string) (map[string]uuid.UUID, error) { return map[string]uuid.UUID{}, nil },
		Late: func(_ context.Context, _ channel.Kind, failed []channel.Event) error {
			i.late += len(failed)
			return nil
		}})
	require.NoError(t, i.queue.Open())
	return i
}

func (i *inbox) callback(body []byte) channel.Callback {
	i.t.Helper()
	sum := sha256.Sum256(append([]byte("1795348800"), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, i.key, sum[:])
	require.NoError(i.t, err)
	return channel.Callback{URL: "https://go.example.com/webhooks/sendgrid", Body: body, Header: map[string]string{
		"X-Twilio-Email-Event-Webhook-Signature": base64.StdEncoding.EncodeToString(signature), "X-Twilio-Email-Event-Webhook-Timestamp": "1795348800"}}
}

// seeds are bodies about one mail that went to somebody.
func (i *inbox) seeds() []string {
	who, email, _ := i.person()
	_, sent := i.campaign(channel.LaneEmail, who)
	me := `"email":"` + email + `","timestamp":1795348740,"sg_message_id":"sg-1.recvd","sg_event_id":"e1","bk_delivery":"` + i.marks.Code(sent[0]) + `"`
	return []string{
		`[]`, `{}`, `[null,17,"x",{}]`, `[{"event":"processed",` + me + `},` + "\r\n" + `{"event":"delivered",` + me + `}]` + "\r\n",
		`[{"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 ` + email + ` is unknown",` + me + `}]`,
		`[{"event":"bounce","type":"blocked","status":"5.2.2","bounce_classification":"Mailbox Unavailable",` + me + `}]`,
		`[{"event":"bounce","type":"expired",` + strings.Replace(me, "1795348740", `"1e300"`, 1) + `}]`,
		`[{"event":"dropped","reason":"Spam Reporting Address",` + me + `},{"event":"dropped","reason":"Recipient List over Package Quota",` + me + `}]`,
		`[{"event":"spamreport",` + me + `},{"event":"unsubscribe",` + me + `},{"event":"group_resubscribe","asm_group_id":10,` + me + `}]`,
		`[{"event":"bounce","type":"bounce","email":"no\u0000body\ud800@example.com","smtp-id":"<a@b>","category":["a",1],"attempt":5}]`,
		`[{"event":"open","Event":"x","useragent":"x","url_offset":{"index":0}},{"event":"account_status_change","type":"compliance_suspend","timestamp":1795348740}]`,
		`[{"event":"deferred","attempt":"5","email":"","timestamp":-1}]`,
	}
}

// FuzzMailEvents holds that a signed body is applied, whatever is in it: nothing
// is left to be tried for ever, nothing lies in the future, and a second time it
// changes nothing.
func FuzzMailEvents(f *testing.F) {
	i := openInbox(f)
	for _, body := range i.seeds() {
		f.Add([]byte(body))
	}
	count := func(from string, args ...any) (n int) {
		require.NoError(i.t, i.d.Read(i.t.Context()).Raw("SELECT COUNT(*) FROM "+from, args...).Scan(&n).Error)
		return n
	}
	world := func() [5]int {
		return [5]int{count("suppressions"), count("misses"), count("complaints"), count("deliveries WHERE state = 'delivered'"), count("contacts WHERE email_consent_status = 'unsubscribed'")}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		i.t = t
		var after [2][5]int
		for n := range after {
			require.NoError(t, i.Accept(t.Context(), channel.Email, i.callback(body)))
			require.NoError(t, i.queue.Drain(t.Context(), noon))
			after[n] = world()
			body = append(body, ' ') // the same again, as another callback
		}
		require.Equal(t, after[0], after[1])
		require.Zero(t, count("callbacks WHERE applied_at IS NULL"))
		require.Zero(t, count("river_job WHERE state <> 'completed' AND kind = ?", webhook.ApplyJob{}.Kind()))
		require.Zero(t, count("deliveries WHERE delivered_at > ? OR accepted_at > ?", noon, noon))
		require.Zero(t, count("misses WHERE at > ?", noon)+count("suppressions WHERE refused_at > ?", noon)+count("complaints WHERE at > ?", noon))
		require.NotContains(t, i.log.String(), "@example.com")
		require.NotContains(t, i.log.String(), "level=ERROR")
	})
}

// FuzzForgedMailEvents holds that nothing is kept of a body whose signature is not
// that of SendGrid's key.
func FuzzForgedMailEvents(f *testing.F) {
	i := openInbox(f)
	good := i.callback([]byte(`[]`))
	name := "X-Twilio-Email-Event-Webhook-Signature"
	f.Add([]byte(`[ ]`), good.Header[name], "1795348800")
	f.Add([]byte(`[]`), good.Header[name], "1795348801")
	f.Add([]byte(`[]`), good.Header[name]+"\n", "1795348800")
	f.Add([]byte(`[]`), "", "")
	f.Add([]byte(`1[]`), good.Header[name], "179534880")
	f.Fuzz(func(t *testing.T, body []byte, signature, timestamp string) {
		if string(body) == "[]" && signature == good.Header[name] && timestamp == "1795348800" {
			return
		}
		cb := channel.Callback{URL: good.URL, Body: body, Header: map[string]string{name: signature, "X-Twilio-Email-Event-Webhook-Timestamp": timestamp}}
		require.Error(t, i.Accept(t.Context(), channel.Email, cb))
		var n int
		require.NoError(t, i.d.Read(t.Context()).Raw("SELECT COUNT(*) FROM callbacks").Scan(&n).Error)
		require.Zero(t, n)
	})
}

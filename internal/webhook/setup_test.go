package webhook_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/sms"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/link"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/token"
	"beckon/internal/webhook"
)

const (
	appSecret = "app-secret-of-the-tests"
	authToken = "0123456789abcdef0123456789abcdef"
	public    = "https://go.example.com"
)

// noon is when the callbacks under testdata arrive.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is an inbox over one database with the real receivers and stores, two
// Pages (5001 and 5002) and a clock that the test sets.
type bundle struct {
	*webhook.Inbox
	t         testing.TB
	d         *db.DB
	queue     *queue.Queue
	contacts  *contact.Store
	tokens    *token.Store
	ledger    *delivery.Store
	codes     link.Coder
	marks     link.Coder
	page      uuid.UUID // 5001
	elsewhere uuid.UUID // 5002
	key       *ecdsa.PrivateKey
	clock     atomic.Int64
	ticking   bool // the clock goes on by a microsecond each time it is read
	log       bytes.Buffer

	mu   sync.Mutex
	late func([]channel.Event) error // nil takes every word
	told [][]channel.Event
}

func (b *bundle) now() time.Time {
	if b.ticking {
		b.clock.Add(1)
	}
	return time.UnixMicro(b.clock.Load()).UTC()
}

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t testing.TB, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d}
	b.clock.Store(noon.UnixMicro())
	box, err := seal.New(bytes.Repeat([]byte{7}, seal.MinSecret))
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	b.queue = queue.New(d, log)
	b.contacts = contact.New(d, nil, box, contact.Options{Now: b.now})
	b.tokens = token.NewStore(d, box, b.now)
	b.ledger = delivery.NewStore(d, b.now)
	b.codes, b.marks = link.NewCoder(box.Key("link"), link.PurposeLink), link.NewCoder(box.Key("link"), link.PurposeMark)
	pages := page.NewStore(d, box, b.now)
	b.Inbox = webhook.New(webhook.Parts{DB: d, Queue: b.queue, Receivers: b.receivers(), Contacts: b.contacts, Tokens: b.tokens, Ledger: b.ledger,
		Links: b.codes, Marks: b.marks, PageByGraph: byGraph(pages), Late: b.hear, KeepBodies: true, Log: log, Now: b.now})
	require.NoError(t, b.queue.Open())
	for graphID, id := range map[string]*uuid.UUID{"5001": &b.page, "5002": &b.elsewhere} {
		p, err := pages.Create(t.Context(), page.Draft{FacebookPageID: graphID, Name: "School", AccessToken: "page-token"})
		require.NoError(t, err)
		*id = p.ID
	}
	_, err = b.tokens.CreateTopic(t.Context(), token.TopicDraft{Slug: "courses", Title: "New courses", Payloads: []string{"ASK_COURSES"}})
	require.NoError(t, err)
	t.Cleanup(b.logsTellNothing)
	return b
}

func (b *bundle) receivers() map[channel.Kind]channel.Receiver {
	b.t.Helper()
	var err error
	b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b.t, err)
	der, err := x509.MarshalPKIXPublicKey(&b.key.PublicKey)
	require.NoError(b.t, err)
	texts, err := sms.NewReceiver(sms.Settings{AuthToken: authToken})
	require.NoError(b.t, err)
	mails, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: base64.StdEncoding.EncodeToString(der)})
	require.NoError(b.t, err)
	return map[channel.Kind]channel.Receiver{
		channel.Messenger: messenger.NewReceiver(messenger.Settings{AppSecret: appSecret}), channel.SMS: texts, channel.Email: mails,
	}
}

func byGraph(pages *page.Store) func(context.Context, []string) (map[string]uuid.UUID, error) {
	return func(ctx context.Context, ids []string) (map[string]uuid.UUID, error) {
		found, err := pages.ByGraphID(ctx, ids...)
		out := map[string]uuid.UUID{}
		for graphID, p := range found {
			out[graphID] = p.ID
		}
		return out, err
	}
}

func (b *bundle) hear(_ context.Context, _ channel.Kind, failed []channel.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, failed)
	if b.late != nil {
		return b.late(failed)
	}
	return nil
}

// logsTellNothing looks for what the fixtures hold of people and secrets.
func (b *bundle) logsTellNothing() {
	for _, private := range []string{"2468013579", "otn-", "nm-one", "psid!", "@example.com", "+4477", "class", "Hello", appSecret, authToken} {
		require.NotContains(b.t, b.log.String(), private)
	}
}

// read returns a body from testdata; the pairs replace what differs by test.
func (b *bundle) read(name string, pairs ...string) string {
	b.t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(b.t, err)
	return strings.NewReplacer(pairs...).Replace(string(body))
}

func meta(body string) channel.Callback {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(body))
	return channel.Callback{URL: public + "/webhooks/messenger", Body: []byte(body),
		Header: map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}}
}

func twilio(id int64, form url.Values) channel.Callback {
	cb := channel.Callback{URL: fmt.Sprintf("%s/webhooks/twilio/status/%d", public, id), Body: []byte(form.Encode())}
	mac := hmac.New(sha1.New, []byte(authToken))
	_, _ = io.WriteString(mac, cb.URL)
	for _, k := range slices.Sorted(maps.Keys(form)) {
		_, _ = io.WriteString(mac, k+form.Get(k))
	}
	cb.Header = map[string]string{"X-Twilio-Signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	return cb
}

func status(word, code string) url.Values {
	return url.Values{"MessageSid": {"SM1"}, "MessageStatus": {word}, "ErrorCode": {code}, "To": {"+447700900001"}, "From": {"+447700900009"}}
}

func (b *bundle) sendgrid(body string) channel.Callback {
	b.t.Helper()
	sum := sha256.Sum256([]byte("1795348800" + body))
	signature, err := ecdsa.SignASN1(rand.Reader, b.key, sum[:])
	require.NoError(b.t, err)
	return channel.Callback{URL: public + "/webhooks/sendgrid", Body: []byte(body), Header: map[string]string{
		"X-Twilio-Email-Event-Webhook-Signature": base64.StdEncoding.EncodeToString(signature),
		"X-Twilio-Email-Event-Webhook-Timestamp": "1795348800"}}
}

func (b *bundle) accept(kind channel.Kind, cb channel.Callback) {
	b.t.Helper()
	require.NoError(b.t, b.Accept(b.t.Context(), kind, cb))
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

// take accepts a Messenger body from testdata and applies it.
func (b *bundle) take(name string, pairs ...string) {
	b.t.Helper()
	b.accept(channel.Messenger, meta(b.read(name, pairs...)))
	b.drain()
}

// stored is what the test looks at of a stored callback.
type stored struct {
	ID        uuid.UUID
	Body      []byte
	AppliedAt *time.Time
	Events    int
	Problem   string
}

func (b *bundle) callbacks() (out []stored) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT id, body, applied_at, events, problem FROM callbacks ORDER BY id").Scan(&out).Error)
	return out
}

// again has all that is stored applied once more, an hour later: all together, and
// then each alone by a job of an earlier version.
func (b *bundle) again() {
	b.t.Helper()
	all := webhook.ApplyJob{}
	orders := []queue.Order{{}}
	for _, cb := range b.callbacks() {
		all.Callbacks = append(all.Callbacks, cb.ID)
		orders = append(orders, queue.Order{Args: webhook.ApplyJob{Callback: cb.ID}})
	}
	orders[0].Args = all
	for _, order := range orders {
		b.advance(time.Hour)
		b.tx(func(tx *db.Tx) error {
			if err := tx.Exec("UPDATE callbacks SET applied_at = NULL").Error; err != nil {
				return err
			}
			return b.queue.Insert(b.t.Context(), tx, order)
		})
		b.drain()
	}
}

// world is everything that callbacks can change.
func (b *bundle) world() string {
	b.t.Helper()
	var out []map[string][]map[string]any
	for _, table := range []string{"contacts", "messenger_addresses", "tokens", "opt_in_requests", "deliveries", "attempts", "suppressions"} {
		var rows []map[string]any
		require.NoError(b.t, b.d.Read(b.t.Context()).Table(table).Order("1, 2").Find(&rows).Error)
		out = append(out, map[string][]map[string]any{table: rows})
	}
	text, err := json.MarshalIndent(out, "", " ")
	require.NoError(b.t, err)
	return string(text)
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) count(from string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+from, args...).Scan(&n).Error)
	return n
}

// known makes a contact with an external id and, where given, a PSID on 5001.
func (b *bundle) known(externalID, psid string) uuid.UUID {
	b.t.Helper()
	dr := contact.Draft{ExternalID: contact.Of(externalID)}
	if psid != "" {
		dr.Messenger = []contact.MessengerID{{PageID: b.page, PSID: psid}}
	}
	c, _, err := b.contacts.Upsert(b.t.Context(), dr)
	require.NoError(b.t, err)
	return c.ID
}

// holder is who holds a PSID on 5001, or uuid.Nil.
func (b *bundle) holder(psid string) uuid.UUID { return b.address(b.page, psid).ContactID }

func (b *bundle) address(pageID uuid.UUID, psid string) (a contact.Address) {
	b.t.Helper()
	err := b.d.Read(b.t.Context()).Where("page_id = ? AND psid = ?", pageID, psid).Take(&a).Error
	require.True(b.t, err == nil || db.IsNone(err), "%v", err)
	return a
}

// window is when a person last acted on 5001: so long before noon.
func (b *bundle) window(psid string) time.Duration {
	b.t.Helper()
	at := b.address(b.page, psid).LastActionAt
	require.NotNil(b.t, at, "no window")
	return noon.Sub(*at)
}

// grants are a contact's tokens by topic.
func (b *bundle) grants(id uuid.UUID) map[string]int {
	b.t.Helper()
	list, err := b.tokens.List(b.t.Context(), id, uuid.Nil, 100)
	require.NoError(b.t, err)
	out := map[string]int{}
	for _, x := range list {
		require.Equal(b.t, token.FromWebhook, x.Source)
		out[x.Topic]++
	}
	return out
}

// sent makes a delivery in a campaign of its own on 5001 that went out an hour
// before noon; with Sending its call is still under way.
func (b *bundle) sent(who uuid.UUID, lane channel.Lane, to delivery.State) (id int64) {
	b.t.Helper()
	campaign := uuid.Must(uuid.NewV7())
	b.clock.Store(noon.Add(-time.Hour).UnixMicro())
	defer b.clock.Store(noon.UnixMicro())
	b.tx(func(tx *db.Tx) (err error) {
		if err := tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, 'c', ?, 'courses', '{}', '[]', '{}', 'running', ?, ?)`, campaign, b.page, noon, noon).Error; err != nil {
			return err
		}
		if id, err = b.ledger.Write(tx, campaign, []delivery.Place{{Contact: who, Lane: lane}}); err != nil {
			return err
		}
		got, err := b.ledger.Claim(tx, delivery.Batch{CampaignID: campaign, Lane: lane, FirstID: id, LastID: id}, 1, 1)
		if err != nil || to == delivery.Sending {
			return err
		}
		outcome, provider := channel.Accepted, "m_sent"
		if to == delivery.Unknown {
			outcome, provider = channel.Unknown, ""
		}
		_, err = b.ledger.Settle(tx, []delivery.Settlement{{Try: delivery.Try{Delivery: id, N: got[0].Attempt, Lane: lane, Started: b.now()},
			Outcome: outcome, To: to, Result: channel.Result{Outcome: outcome, ProviderID: provider}}})
		return err
	})
	return id
}

func (b *bundle) get(id int64) delivery.Delivery {
	b.t.Helper()
	x, _, err := b.ledger.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return x
}

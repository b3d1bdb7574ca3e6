package loop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/loop"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/reply"
	"beckon/internal/seal"
	"beckon/internal/simulator"
	"beckon/internal/token"
	"beckon/internal/webhook"
)

const (
	graphPage = "5001"
	pageToken = "page-token"
	appSecret = "app-secret"
)

// bundle is the loop over one database, behind the real inbox and in front of
// the real Messenger client, with people on simulated phones and a clock that
// the test sets.
type bundle struct {
	*loop.Loop
	t        testing.TB
	d        *db.DB
	sim      *simulator.Simulator
	inbox    *webhook.Inbox
	queue    *queue.Queue
	contacts *contact.Store
	tokens   *token.Store
	ledger   *delivery.Store
	services *campaign.Service
	codes    link.Coder
	page     uuid.UUID
	clock    atomic.Int64
	sender   *door
	topic    string
}

// door is the way to Messenger; it may be given other answers than Messenger's.
type door struct {
	*messenger.Client
	sends, asks int
	instead     func(psid, text string) *channel.Result // nil hands it over
	before      func(psid, text string)
}

func (d *door) Send(ctx context.Context, b channel.Batch) []channel.Result {
	var m struct{ Text string }
	_ = json.Unmarshal(b.Messages[0].Body, &m)
	d.sends++
	if d.before != nil {
		d.before(b.Messages[0].To, m.Text)
	}
	if d.instead != nil {
		if r := d.instead(b.Messages[0].To, m.Text); r != nil {
			return []channel.Result{*r}
		}
	}
	return d.Client.Send(ctx, b)
}

func (d *door) AskOptIn(ctx context.Context, p channel.Page, psid, title, payload string) channel.Result {
	d.asks++
	if d.before != nil {
		d.before(psid, "ask:"+title)
	}
	if d.instead != nil {
		if r := d.instead(psid, "ask:"+title); r != nil {
			return *r
		}
	}
	return d.Client.AskOptIn(ctx, p, psid, title, payload)
}

func (b *bundle) now() time.Time          { return time.UnixMicro(b.clock.Load()).UTC() }
func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t testing.TB, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, topic: "courses"}
	b.clock.Store(time.Now().UnixMicro())
	b.sim = simulator.New(simulator.Config{AppSecret: appSecret, Pages: map[string]string{graphPage: pageToken}, Clock: b.now, Receipts: simulator.Receipts{Off: true}})
	graph, phone := httptest.NewServer(b.sim.Handler()), httptest.NewServer(http.HandlerFunc(b.receive))
	b.sim.SetCallbackURL(phone.URL)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(func() { b.sim.Close(); graph.Close(); phone.Close(); transport.CloseIdleConnections() })
	set := messenger.Settings{GraphURL: graph.URL + "/graph", GraphVersion: "v25.0", AppSecret: appSecret, VerifyToken: "v"}
	client, err := messenger.New(set, transport)
	require.NoError(t, err)
	b.sender = &door{Client: client}
	b.wire(messenger.NewReceiver(set))
	return b
}

func (b *bundle) wire(receiver channel.Receiver) {
	box, err := seal.New(bytes.Repeat([]byte{5}, seal.MinSecret))
	require.NoError(b.t, err)
	log := slog.New(slog.DiscardHandler)
	b.queue = queue.New(b.d, log)
	pages := page.NewStore(b.d, box, b.now)
	b.contacts = contact.New(b.d, b.queue, box, contact.Options{Now: b.now})
	b.tokens, b.ledger = token.NewStore(b.d, box, b.now), delivery.NewStore(b.d, b.now)
	b.services = campaign.NewService(b.d, b.queue, campaign.Settings{Channels: map[channel.Kind]bool{channel.Messenger: true, channel.SMS: true}, Budgets: budget.NewStore(b.d, b.now), Now: b.now})
	asks := token.NewService(b.tokens, token.Options{Pages: pages, Asker: b.sender})
	b.codes = link.NewCoder(box.Key("link"), link.PurposeLink)
	lines := line.NewStore(b.d, line.Rates{}, b.now)
	b.Loop = loop.New(loop.Parts{DB: b.d, Queue: b.queue, Campaigns: b.services, Contacts: b.contacts, Now: b.now, Log: log,
		Speaker: reply.New(reply.Parts{DB: b.d, Pages: pages, Lines: lines, Sender: b.sender, Now: b.now, Wait: func(_ context.Context, d time.Duration) { b.advance(d) }}),
		Ask: func(ctx context.Context, who, page uuid.UUID, topic string) (string, error) {
			r, err := asks.Ask(ctx, token.Request{ContactID: who, PageID: page, Topic: topic})
			return string(r.State), err
		},
		Capture: func(context.Context, uuid.UUID, uuid.UUID, content.Question) (string, error) { return "asked", nil },
		Link:    func(id int64) string { return "https://go.example.com/l/" + b.codes.Code(id) },
	})
	b.inbox = webhook.New(webhook.Parts{DB: b.d, Queue: b.queue, Receivers: map[channel.Kind]channel.Receiver{channel.Messenger: receiver},
		Contacts: b.contacts, Tokens: b.tokens, Ledger: b.ledger, Links: b.codes, Marks: link.NewCoder(box.Key("link"), link.PurposeMark),
		PageByGraph: func(context.Context, []string) (map[string]uuid.UUID, error) {
			return map[string]uuid.UUID{graphPage: b.page}, nil
		}, Listeners: []webhook.Listener{b.Loop}, Log: log, Now: b.now})
	require.NoError(b.t, b.queue.Open())
	p, err := pages.Create(b.t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", AccessToken: pageToken})
	require.NoError(b.t, err)
	b.page = p.ID
	_, err = b.tokens.CreateTopic(b.t.Context(), token.TopicDraft{Slug: b.topic, Title: "New courses"})
	require.NoError(b.t, err)
}

// receive takes what the phones post.
func (b *bundle) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = b.inbox.Accept(r.Context(), channel.Messenger, channel.Callback{Body: body,
			Header: map[string]string{"X-Hub-Signature-256": r.Header.Get("X-Hub-Signature-256")}})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return tx.Exec(sql, args...).Error })
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

// known makes a contact, with a PSID where given: one who wrote days ago.
func (b *bundle) known(name, psid string) uuid.UUID {
	b.t.Helper()
	dr := contact.Draft{ExternalID: contact.Of("crm-" + name), FirstName: contact.Of(name)}
	if psid != "" {
		dr.Messenger = []contact.MessengerID{{PageID: b.page, PSID: psid}}
		b.sim.CloseWindow(graphPage, psid)
	}
	c, _, err := b.contacts.Upsert(b.t.Context(), dr)
	require.NoError(b.t, err)
	return c.ID
}

const thanking = `{"messenger":{"text":"Thank you, {{ contact.first_name }}!"},"ask":true}`

// campaign makes a running campaign; follow "" is no follow-up.
func (b *bundle) campaign(follow string) campaign.Campaign {
	b.t.Helper()
	name, src := "Spring", content.Source{Messenger: &content.Messenger{Text: "Hi"}, SMS: &content.SMS{Text: "{{ link }}"}}
	p := campaign.Patch{Name: &name, PageID: &b.page, Topic: &b.topic, Content: &src}
	if follow != "" {
		p.FollowUp = json.RawMessage(follow)
	}
	c, _, err := b.services.Create(b.t.Context(), p)
	require.NoError(b.t, err)
	b.exec("UPDATE campaigns SET state = 'running' WHERE id = ?", c.ID)
	return c
}

// sent makes a delivery that went out just now.
func (b *bundle) sent(c uuid.UUID, who uuid.UUID, lane channel.Lane) (id int64) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) (err error) {
		if id, err = b.ledger.Write(tx, c, []delivery.Place{{Contact: who, Lane: lane}}); err != nil {
			return err
		}
		got, err := b.ledger.Claim(tx, delivery.Batch{CampaignID: c, Lane: lane, FirstID: id, LastID: id}, 1, 1)
		if err != nil {
			return err
		}
		_, err = b.ledger.Settle(tx, []delivery.Settlement{{Try: delivery.Try{Delivery: id, N: got[0].Attempt, Lane: lane, Started: b.now()},
			Outcome: channel.Accepted, To: delivery.Accepted, Result: channel.Result{Outcome: channel.Accepted, ProviderID: "m_sent"}}})
		return err
	})
	return id
}

// say lets somebody write, and works off what follows.
func (b *bundle) say(psid, text string) {
	b.t.Helper()
	require.NoError(b.t, b.sim.Say(b.t.Context(), graphPage, psid, text))
	b.drain()
}

// got are the texts somebody has got; "[ask]" stands for a "Notify Me".
func (b *bundle) got(psid string) (out []string) {
	for _, m := range b.sim.Received(graphPage, psid) {
		if strings.HasSuffix(m.Text, "[Notify Me]") {
			m.Text = "[ask]"
		}
		out = append(out, m.Text)
	}
	return out
}

// only is the one follow-up of a contact.
func (b *bundle) only(who uuid.UUID) loop.FollowUp {
	b.t.Helper()
	list, err := b.Of(b.t.Context(), who, 10)
	require.NoError(b.t, err)
	require.Len(b.t, list, 1)
	return list[0]
}

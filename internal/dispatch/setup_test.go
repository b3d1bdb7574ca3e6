package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/sms"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

const (
	graphPage  = "1001"
	pageToken  = "page-token"
	appSecret  = "app-secret"
	twilioSID  = "AC00000000000000000000000000000001"
	twilioAuth = "0123456789abcdef0123456789abcdef"
	sendKey    = "SG.key"
)

// bundle is the engine over one database, with the real senders pointed at the
// simulator and a clock that the test sets.
type bundle struct {
	t         testing.TB
	d         *db.DB
	sim       *simulator.Simulator
	queue     *queue.Queue
	contacts  *contact.Store
	pages     *page.Store
	tokens    *token.Store
	recurring *token.Recurring
	campaigns *campaign.Service
	ledger    *delivery.Store
	lines     *line.Store
	budgets   *budget.Store
	engine    *dispatch.Engine
	page      page.Page
	marks     link.Coder
	clock     *atomic.Int64 // the clock that all nodes go by
	providers string
	count     int
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

type options struct {
	size  dispatch.Sizes
	wrap  func(channel.Sender) channel.Sender
	rates line.Rates
}

func setup(t testing.TB, d *db.DB, o options) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, clock: new(atomic.Int64)}
	b.clock.Store(time.Now().UnixMicro())
	b.sim = simulator.New(simulator.Config{AppSecret: appSecret, Pages: map[string]string{graphPage: pageToken},
		TwilioAccountSID: twilioSID, TwilioAuthToken: twilioAuth, SendGridKey: sendKey, Clock: b.now, Receipts: simulator.Receipts{Off: true}})
	server := httptest.NewServer(b.sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(b.sim.Close)
	deaf := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(deaf.Close)
	b.sim.SetCallbackURL(deaf.URL)
	b.wire(server.URL, o)
	var err error
	b.page, err = b.pages.Create(t.Context(), page.Draft{FacebookPageID: graphPage, Name: "School", Username: "school", AccessToken: pageToken})
	require.NoError(t, err)
	b.oneTime(page.Works)
	_, err = b.tokens.CreateTopic(t.Context(), token.TopicDraft{Slug: "courses", Title: "New courses"})
	require.NoError(t, err)
	return b
}

// node is another node over the same database, with the same providers and clock.
func (b *bundle) node(o options) *bundle {
	b.t.Helper()
	n := &bundle{t: b.t, d: b.d, sim: b.sim, page: b.page, clock: b.clock}
	n.wire(b.providers, o)
	return n
}

// wire makes the parts of one node.
func (b *bundle) wire(providers string, o options) {
	t, d := b.t, b.d
	t.Helper()
	b.providers = providers
	box, err := seal.New(bytes.Repeat([]byte{9}, seal.MinSecret))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	b.queue = queue.New(d, log)
	b.pages = page.NewStore(d, box, b.now)
	b.tokens = token.NewStore(d, box, b.now)
	b.recurring = token.NewRecurring(b.tokens, token.RecurringOptions{Queue: b.queue, Pages: b.pages})
	b.ledger = delivery.NewStore(d, b.now)
	b.contacts = contact.New(d, b.queue, box, contact.Options{Now: b.now, Grant: b.grant})
	senders := senders(t, providers, b.now)
	present := map[channel.Kind]bool{}
	for kind, s := range senders {
		present[kind] = true
		if o.wrap != nil {
			senders[kind] = o.wrap(s)
		}
	}
	b.lines = line.NewStore(d, o.rates, b.now)
	b.budgets = budget.NewStore(d, b.now)
	b.campaigns = campaign.NewService(d, b.queue, campaign.Settings{Channels: present, Budgets: b.budgets, Now: b.now,
		Sender: content.Sender{Name: "School", Postal: "1 Quay Street, Leeds LS1 1AA"}})
	if o.size.Page == 0 {
		o.size = dispatch.Sizes{Page: 50, Batch: 20, Parallel: 4}
	}
	codes := link.NewCoder(box.Key("link"), link.PurposeLink)
	b.marks = link.NewCoder(box.Key("link"), link.PurposeMark)
	b.engine = dispatch.New(dispatch.Parts{DB: d, Queue: b.queue, Campaigns: b.campaigns, Contacts: b.contacts, Tokens: b.tokens, Ledger: b.ledger,
		Pages: b.pages, Lines: b.lines, Purse: b.budgets, Senders: senders, Segments: sms.Segments, Country: budget.Country, Log: log, Now: b.now, Wait: func(_ context.Context, d time.Duration) { b.advance(d + time.Microsecond) },
		Link:        func(id int64) string { return "https://go.example.com/l/" + codes.Code(id) },
		Unsubscribe: func(id int64) string { return "https://go.example.com/u/" + codes.Code(id) },
		Mark:        b.marks.Code,
	}, o.size)
	require.NoError(t, b.queue.Open())
}

// oneTime is what the operator says of one-time messages; unknown is that nothing is known.
func (b *bundle) oneTime(state page.State) {
	b.t.Helper()
	_, err := b.pages.Patch(b.t.Context(), b.page.ID, page.Patch{Capabilities: map[page.Capability]page.State{page.OneTime: state}})
	require.NoError(b.t, err)
}

func senders(t testing.TB, url string, now func() time.Time) map[channel.Kind]channel.Sender {
	t.Helper()
	transport := func() *http.Transport {
		tr := http.DefaultTransport.(*http.Transport).Clone()
		tr.MaxIdleConnsPerHost = 64
		t.Cleanup(tr.CloseIdleConnections)
		return tr
	}
	m, err := messenger.New(messenger.Settings{GraphURL: url + "/graph", GraphVersion: "v25.0", AppSecret: appSecret, VerifyToken: "v"}, transport())
	require.NoError(t, err)
	s, err := sms.New(sms.Settings{APIURL: url + "/twilio", AccountSID: twilioSID, AuthToken: twilioAuth, From: "+15005550006", CallbackURL: "https://go.example.com", Country: budget.Country, Now: now}, transport())
	require.NoError(t, err)
	e, err := sendgrid.New(sendgrid.Settings{APIURL: url + "/sendgrid", Key: sendKey, From: "school@example.com"}, transport())
	require.NoError(t, err)
	return map[channel.Kind]channel.Sender{channel.Messenger: m, channel.SMS: s, channel.Email: e}
}

func (b *bundle) grant(ctx context.Context, tx *db.Tx, grants []contact.Grant) error {
	out := make([]token.Grant, len(grants))
	for i, g := range grants {
		out[i] = token.Grant{ContactID: g.ContactID, PageID: g.PageID, Topic: g.Topic, Value: g.Value, Source: token.FromImport, GrantedAt: g.GrantedAt}
	}
	_, err := b.tokens.Grant(ctx, tx, out)
	return err
}

// human says what a contact is made of; each part is left out when zero.
type human struct {
	psid     bool
	window   bool // acted a minute ago
	tokens   int
	permit   bool   // a recurring token
	phone    string // "" none, "new" a fresh number, else the number
	email    string // "" none, "new" a fresh address, else the address
	noSMS    bool   // no consent
	noEmail  bool
	silenced bool // phone suppressed
	zone     string
}

type made struct {
	id    uuid.UUID
	psid  string
	phone string
	email string
}

func (b *bundle) make(h human) made {
	b.t.Helper()
	b.count++
	m := made{phone: h.phone, email: h.email}
	if m.phone == "new" {
		m.phone = fmt.Sprintf("+4477009%05d", b.count)
	}
	if m.email == "new" {
		m.email = fmt.Sprintf("p%d@example.com", b.count)
	}
	dr := contact.Draft{ExternalID: contact.Of(fmt.Sprintf("x%d", b.count)), FirstName: contact.Of("Amy")}
	if h.zone != "" {
		dr.TimeZone = contact.Of(h.zone)
	}
	if m.phone != "" {
		dr.Phone = contact.Of(m.phone)
	}
	if m.email != "" {
		dr.Email = contact.Of(m.email)
	}
	if !h.noSMS {
		dr.SMSConsent = contact.Of(contact.Consent{Status: contact.Subscribed})
	}
	if !h.noEmail {
		dr.EmailConsent = contact.Of(contact.Consent{Status: contact.Subscribed})
	}
	if h.psid || h.window || h.permit || h.tokens > 0 {
		m.psid = b.sim.AddPeople(graphPage, b.count)[b.count-1]
		if !h.window {
			b.sim.CloseWindow(graphPage, m.psid)
		}
		dr.Messenger = []contact.MessengerID{{PageID: b.page.ID, PSID: m.psid}}
		for range h.tokens {
			dr.Tokens = append(dr.Tokens, contact.TokenDraft{PageID: b.page.ID, Topic: "courses", Value: b.sim.GrantToken(graphPage, m.psid), GrantedAt: b.now()})
		}
	}
	c, created, err := b.contacts.Upsert(b.t.Context(), dr)
	require.NoError(b.t, err)
	require.True(b.t, created)
	m.id = c.ID
	b.tx(func(tx *db.Tx) error {
		if h.window {
			if err := b.contacts.MoveWindow(b.t.Context(), tx, b.page.ID, map[string]time.Time{m.psid: b.now().Add(-time.Minute)}); err != nil {
				return err
			}
		}
		if h.permit {
			if err := b.permit(tx, m); err != nil {
				return err
			}
		}
		if h.silenced {
			return b.contacts.Suppress(b.t.Context(), tx, []contact.Silence{{Channel: channel.SMS, ContactID: m.id, Reason: contact.ReasonStop}})
		}
		return nil
	})
	return m
}

// permit has a person give a recurring token for the topic "courses".
func (b *bundle) permit(tx *db.Tx, who made) error {
	return b.recurring.Hear(b.t.Context(), tx, channel.Heard{Page: b.page.ID, People: map[string]uuid.UUID{who.psid: who.id}, Events: []channel.Event{{
		Kind: channel.EventOptIn, OptInType: channel.OptInRecurring, PSID: who.psid, Payload: "courses", At: b.now(), Expires: b.now().AddDate(0, 6, 0),
		Token: b.sim.GrantRecurring(graphPage, who.psid)}}})
}

// template makes the utility template "visit" known with a status, at the Page
// and at Meta.
func (b *bundle) template(status string) {
	b.sim.AddTemplate(graphPage, simulator.Template{Name: "visit", Language: "en", Status: status,
		Components: json.RawMessage(visitComponents)})
	b.tx(func(tx *db.Tx) error {
		return tx.Exec(`INSERT INTO message_templates (id, page_id, name, language, category, status, components, status_at, created_at, updated_at)
			VALUES (?, ?, 'visit', 'en', 'UTILITY', ?, ?, ?, ?, ?)`, uuid.New(), b.page.ID, status, visitComponents, b.now(), b.now(), b.now()).Error
	})
}

const visitComponents = `[{"type":"BODY","text":"Your visit is on {{day}}, {{name}}."},{"type":"BUTTONS","buttons":[{"type":"POSTBACK","text":"Fine"}]}]`

// allLanes makes a campaign one that can take every lane there is.
func allLanes(p *campaign.Patch) {
	src, yes, lanes := *p.Content, true, channel.Lanes()
	src.Utility = &content.Utility{Template: "visit", Language: "en", Buttons: []content.UtilityButton{{Payload: "FINE"}},
		Parameters: map[string]string{"day": "Monday", "name": "{{ contact.first_name }}"}}
	p.Content, p.Transactional, p.Route = &src, &yes, &lanes
}

func (b *bundle) tx(work func(*db.Tx) error) { require.NoError(b.t, b.d.Transact(b.t.Context(), work)) }

var saying = content.Source{
	Messenger: &content.Messenger{Text: "Hi {{ contact.first_name | default: 'there' }}!", QuickReplies: []content.QuickReply{{Title: "Yes", Payload: "YES"}}},
	SMS:       &content.SMS{Text: "Courses are open: {{ link }} Reply STOP to opt out"},
	Email:     &content.Email{Subject: "Courses", Text: "Hi {{ contact.first_name }}: {{ link }} {{ unsubscribe_url }}"},
}

// draft is a campaign over everybody, at any hour of the day.
func (b *bundle) draft(change func(*campaign.Patch)) campaign.Campaign {
	b.t.Helper()
	name, topic, src := "Spring", "courses", saying
	p := campaign.Patch{Name: &name, PageID: &b.page.ID, Topic: &topic, Content: &src, Audience: json.RawMessage(`{}`), AllowedHours: json.RawMessage(`{}`)}
	if change != nil {
		change(&p)
	}
	c, _, err := b.campaigns.Create(b.t.Context(), p)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) start(c campaign.Campaign) {
	b.t.Helper()
	_, err := b.campaigns.Start(b.t.Context(), c.ID)
	require.NoError(b.t, err)
}

// resumed forgets all trouble with senders, as a person may who looks after them.
func (b *bundle) resumed() {
	b.tx(func(tx *db.Tx) error { return tx.Exec("DELETE FROM lines").Error })
}

func (b *bundle) drain() {
	b.t.Helper()
	require.NoError(b.t, b.queue.Drain(b.t.Context(), b.now()))
}

// sendOut starts a campaign over everybody and works until it is finished.
func (b *bundle) sendOut(c campaign.Campaign) delivery.Report {
	b.t.Helper()
	b.start(c)
	for range 50 {
		b.resumed()
		b.drain()
		got, err := b.campaigns.Get(b.t.Context(), c.ID)
		require.NoError(b.t, err)
		if got.State == campaign.Finished {
			break
		}
		b.advance(10 * time.Second)
	}
	got, err := b.campaigns.Get(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, campaign.Finished, got.State)
	return b.report(c)
}

func (b *bundle) report(c campaign.Campaign) delivery.Report {
	b.t.Helper()
	r, err := b.ledger.Report(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, r.Audience, r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total, "the partition")
	return r
}

func (b *bundle) of(c campaign.Campaign, who made) (delivery.Delivery, []delivery.Attempt) {
	b.t.Helper()
	list, err := b.ledger.List(b.t.Context(), delivery.Filter{Campaign: c.ID, Contact: who.id, Limit: 10})
	require.NoError(b.t, err)
	require.Len(b.t, list, 1, "one delivery for each contact")
	d, attempts, err := b.ledger.Get(b.t.Context(), list[0].ID)
	require.NoError(b.t, err)
	return d, attempts
}

func (b *bundle) tokenStates(who made) map[token.Status]int {
	b.t.Helper()
	list, err := b.tokens.List(b.t.Context(), who.id, uuid.Nil, 100)
	require.NoError(b.t, err)
	out := map[token.Status]int{}
	for _, x := range list {
		out[x.Status]++
	}
	return out
}

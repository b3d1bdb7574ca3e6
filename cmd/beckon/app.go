package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"beckon"
	"beckon/internal/api"
	"beckon/internal/bounce"
	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/event"
	"beckon/internal/health"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/loop"
	"beckon/internal/mirror"
	"beckon/internal/optout"
	"beckon/internal/page"
	"beckon/internal/privacy"
	"beckon/internal/profile"
	"beckon/internal/queue"
	"beckon/internal/relay"
	"beckon/internal/seal"
	"beckon/internal/selftest"
	"beckon/internal/thread"
	"beckon/internal/timeline"
	"beckon/internal/token"
	"beckon/internal/utility"
	"beckon/internal/webhook"
)

// app is the program with every part wired, by hand and in one place.
type app struct {
	config    Config
	log       *slog.Logger
	db        *db.DB
	box       *seal.Box
	queue     *queue.Queue
	keys      *api.Keys
	answers   *api.Idempotency
	contacts  *contact.Store
	pages     *page.Store
	health    *health.Service
	tokens    *token.Store
	optIns    *token.Service
	recurring *token.Recurring
	templates *utility.Service
	selfTests *selftest.Service
	profiles  *profile.Service
	campaigns *campaign.Service
	ledger    *delivery.Store
	lines     *line.Store
	budgets   *budget.Store
	events    *event.Store
	engine    *dispatch.Engine
	loop      *loop.Loop
	captures  *capture.Service
	inbox     *webhook.Inbox
	bounces   *bounce.Service
	mirror    *mirror.Service
	threads   *thread.Service
	privacy   *privacy.Service
	optOuts   *optout.Service
	relay     *relay.Relay
	clicks    *delivery.Clicks
	channels  channels
}

// now is the program's clock: UTC, as precise as both databases.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (c Config) database() db.Options {
	return db.Options{URL: c.DatabaseURL, Dir: c.DataDir, Pooled: c.Pooler == poolerTransaction}
}

// newApp opens the database and wires the parts. The caller closes it. The
// schema must be up to date by the time it runs.
func newApp(ctx context.Context, c Config, log *slog.Logger) (*app, error) {
	box, err := openBox(c)
	if err != nil {
		return nil, err
	}
	chans, err := openChannels(c)
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, c.database())
	if err != nil {
		return nil, err
	}
	a := &app{config: c, log: log, db: d, box: box, channels: chans.keyed(box), queue: queue.New(d, log)}
	a.queue.Within(c.JobTimeout)
	a.wireStores()
	a.wireEngine()
	if err := a.wireMirror(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := a.queue.Open(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return a, nil
}

func (a *app) wireStores() {
	a.keys = api.NewKeys(a.db, now)
	a.answers = api.NewIdempotency(a.db, a.box, now)
	a.pages = page.NewStore(a.db, a.box, now)
	a.tokens = token.NewStore(a.db, a.box, now)
	a.contacts = contact.New(a.db, a.queue, a.box, contact.Options{
		DefaultRegion: a.config.Region, Now: now, Grant: granter(a.tokens), MaxImport: a.config.MaxImport, MissLimit: a.config.SoftBounces})
	a.ledger = delivery.NewStore(a.db, now).WithGrace(a.config.UnknownGrace)
	a.lines = line.NewStore(a.db, line.Rates{Messenger: a.config.MessengerPace, SMS: a.config.SMSPace, Email: a.config.EmailPace}, now)
	a.events = event.NewStore(a.db, now)
	a.clicks = delivery.NewClicks(a.ledger, a.log, 200*time.Millisecond)
	present := map[channel.Kind]bool{}
	for kind := range a.channels.senders {
		present[kind] = true
	}
	a.budgets = budget.NewStore(a.db, now)
	a.campaigns = campaign.NewService(a.db, a.queue, campaign.Settings{Channels: present, Budgets: a.budgets, Sender: a.config.Mail.sender(), Now: now})
}

// granter hands tokens that came with contacts to their own store.
func granter(tokens *token.Store) contact.GrantFunc {
	return func(ctx context.Context, tx *db.Tx, grants []contact.Grant) error {
		out := make([]token.Grant, len(grants))
		for i, g := range grants {
			out[i] = token.Grant{ContactID: g.ContactID, PageID: g.PageID, Topic: g.Topic, Value: g.Value, Source: token.FromImport, GrantedAt: g.GrantedAt}
		}
		_, err := tokens.Grant(ctx, tx, out)
		return err
	}
}

func (a *app) wireEngine() {
	links, unsubscribes, marks := a.coder(link.PurposeLink), a.coder(link.PurposeUnsubscribe), a.coder(link.PurposeMark)
	size := dispatch.DefaultSizes()
	size.Parallel = a.config.Parallel
	a.engine = dispatch.New(dispatch.Parts{
		DB: a.db, Queue: a.queue, Campaigns: a.campaigns, Contacts: a.contacts, Tokens: a.tokens, Ledger: a.ledger, Pages: a.pages, Lines: a.lines, Purse: a.budgets,
		Senders:     a.channels.senders,
		Link:        func(id int64) string { return a.config.PublicURL + "/l/" + links.Code(id) },
		Unsubscribe: func(id int64) string { return a.config.PublicURL + "/u/" + unsubscribes.Code(id) },
		Mark:        marks.Code,
		Segments:    sms.Segments, Country: budget.Country, AskAgain: a.config.AskAgain, Log: a.log, Now: now,
	}, size)
	a.wireThreads()
	a.wirePrivacy()
	a.health = health.New(health.Parts{DB: a.db, Queue: a.queue, Pages: a.pages, Graph: a.channels.messenger, App: a.config.Meta.AppID, Log: a.log, Now: now})
	a.optIns = token.NewService(a.tokens, token.Options{Pages: a.pages, Asker: a.channels.asker(), Guard: a.config.AskAgain,
		Notice: a.config.TokenNotice, Held: a.contacts.HoldThreads, Recurring: a.channels.recurringAsker()})
	a.wireLanes()
	a.wireSelfTests()
	a.wireProfiles()
	a.wireLoop(links)
	a.wireOptOuts()
	a.relay = relay.New(a.db, a.queue, relay.Settings{URL: a.config.RelayURL, Log: a.log, Now: now})
	a.bounces = bounce.New(bounce.Parts{DB: a.db, Queue: a.queue, Contacts: a.contacts, Ledger: a.ledger, Log: a.log, Now: now})
	a.inbox = webhook.New(webhook.Parts{
		DB: a.db, Queue: a.queue, Receivers: a.channels.receivers, Contacts: a.contacts, Tokens: a.tokens, Ledger: a.ledger,
		Links: links, Marks: marks, PageByGraph: a.pageByGraph, Late: a.late,
		Listeners: []webhook.Listener{a.health, a.recurring, a.templates, a.threads, a.privacy, a.selfTests, a.profiles, a.captures, a.loop},
		LinkBack:  []webhook.Listener{a.optOuts, a.bounces},
		Relay:     a.relay.Keep, KeepBodies: a.config.KeepBodies, Log: a.log, Now: now,
	})
	a.optIns.Register(a.queue)
	a.answers.Register(a.queue)
	a.ledger.Register(a.queue, a.config.Keep)
	a.events.Register(a.queue)
}

// wireLanes keeps what the lanes recurring and utility depend on at Meta.
func (a *app) wireLanes() {
	a.recurring = token.NewRecurring(a.tokens, token.RecurringOptions{Queue: a.queue, Pages: a.pages, Lister: a.channels.lister(), People: a.contacts.FindOrMake})
	a.templates = utility.New(utility.Parts{DB: a.db, Queue: a.queue, Pages: a.pages, Graph: a.channels.templates(), Now: now})
}

func (a *app) coder(purpose string) link.Coder { return link.NewCoder(a.box.Key("link"), purpose) }

func (a *app) pageByGraph(ctx context.Context, graphIDs []string) (map[string]uuid.UUID, error) {
	pages, err := a.pages.ByGraphID(ctx, graphIDs...)
	if err != nil {
		return nil, err
	}
	out := make(map[string]uuid.UUID, len(pages))
	for graphID, p := range pages {
		out[graphID] = p.ID
	}
	return out, nil
}

// late passes failures that come by callback on to the engine; one that came
// before the answer of its own call is heard again.
func (a *app) late(ctx context.Context, kind channel.Kind, failed []channel.Event) error {
	words := make([]dispatch.Word, len(failed))
	for i, ev := range failed {
		words[i] = dispatch.Word{Delivery: ev.Delivery, Address: ev.Address, At: ev.At, Result: ev.Failure()}
	}
	err := a.engine.Late(ctx, kind, words)
	if errors.Is(err, dispatch.ErrInFlight) {
		return queue.Later(2 * time.Second)
	}
	return err
}

// waiting says what this node waits for before it can do its part.
func (a *app) waiting() string {
	if a.config.Role.works() && !a.queue.Running() {
		return "The jobs are not being worked yet."
	}
	return ""
}

// handler is the HTTP face. A worker shows its health and nothing else.
func (a *app) handler() (http.Handler, error) {
	if !a.config.Role.serves() {
		return api.NewHealth(a.db, a.log, a.waiting), nil
	}
	contract, err := api.NewContract(beckon.OpenAPI)
	if err != nil {
		return nil, err
	}
	return api.New(api.Parts{
		Contract: contract, DB: a.db, Box: a.box, Keys: a.keys, Answers: a.answers, Log: a.log, Now: now, ImportLimit: a.config.MaxImport,
		Contacts: a.contacts, Pages: a.pages, Health: a.health, Tokens: a.tokens, OptIns: a.optIns, Recurring: a.recurring, Templates: a.templates, SelfTests: a.selfTests, Campaigns: a.campaigns, Engine: a.engine,
		Ledger: a.ledger, Lines: a.lines, Budgets: a.budgets, Events: a.events, Loop: a.loop, Captures: a.captures, Inbox: a.inbox, OptOuts: a.optOuts, Timelines: timeline.NewStore(a.db, a.contacts, a.optOuts.Words), Clicks: a.clicks, Links: a.coder(link.PurposeLink), Unsubscribes: a.coder(link.PurposeUnsubscribe),
		MetaVerify: a.channels.verify(), Upload: a.channels.upload(), PublicURL: a.config.PublicURL, SMSHelp: a.config.Twilio.HelpText, Waiting: a.waiting,
		Threads: a.threads, Privacy: a.privacy,
	})
}

// run serves HTTP on the listener and works jobs, each if that is its role,
// until ctx ends. Then it takes nothing new, lets requests and jobs end, and
// returns.
func (a *app) run(ctx context.Context, l net.Listener) error {
	h, err := a.handler()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return a.stop(ctx, srv)
	})
	if a.config.Role.works() {
		g.Go(func() error { return a.queue.Run(ctx, a.config.StopWithin) })
	}
	g.Go(func() error { return a.clicks.Run(ctx) })
	return errors.Join(g.Wait(), a.clicks.Flush(context.WithoutCancel(ctx))) // the last requests may have been clicks
}

// stop lets requests end, and breaks off those that take too long.
func (a *app) stop(ctx context.Context, srv *http.Server) error {
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.StopWithin)
	defer cancel()
	err := srv.Shutdown(soft)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(fmt.Errorf("requests were broken off that did not end within %s", a.config.StopWithin), srv.Close())
	}
	return err
}

// close ends the database connections.
func (a *app) close() error { return a.db.Close() }

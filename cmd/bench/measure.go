package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/sample"
	"beckon/internal/simulator"
)

const (
	graphPage = "104829305581"
	appSecret = "bench-app-secret"
	topic     = "courses"
	noTopic   = "nobody" // a topic that nobody gave a token for
)

type bench struct {
	options
	log, errOut io.Writer
}

// run is one measurement on one engine.
type runOn struct {
	*bench
	api      *client
	server   *process
	standIns *standIns
	page     string
	figures  []figure
}

func (b *bench) measure(ctx context.Context, e engine) (figures []figure, err error) {
	settings, leave, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	callbacks := ""
	if b.receipts {
		callbacks = "http://" + addr
	}
	r := &runOn{bench: b}
	if r.standIns, err = startStandIns(ctx, b.options, callbacks, b.errOut); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.standIns.stop()) }()
	if r.server, r.api, err = startServer(ctx, b.options, addr, append(settings, r.standIns.settings...), b.errOut); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.server.stop()) }()
	err = r.all(ctx)
	return r.figures, err
}

func (r *runOn) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.prepare, r.imports, r.plan, r.oneTime, r.sms, r.email, r.events, r.window, r.memory, r.bare} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *runOn) note(f figure) {
	r.figures = append(r.figures, f)
	fmt.Fprintf(r.log, "  %-34s %s\n", f.name, f)
}

// prepare makes the page and the topics, and tells the stand-ins who there is.
func (r *runOn) prepare(ctx context.Context) error {
	var err error
	if r.page, err = makePage(ctx, r.api); err != nil {
		return err
	}
	c := newClient(r.standIns.base, "")
	return c.post(ctx, "/people", map[string]any{"page": graphPage, "n": r.contacts, "tokens": 1}, nil)
}

func makePage(ctx context.Context, c *client) (string, error) {
	var page struct{ ID string }
	err := c.post(ctx, "/v1/pages", map[string]string{"facebook_page_id": graphPage, "name": "Bench", "username": "bench", "access_token": "page-token"}, &page)
	for _, slug := range []string{topic, noTopic} {
		err = errors.Join(err, c.post(ctx, "/v1/topics", map[string]string{"slug": slug, "title": "New courses in your town"}, nil))
	}
	return page.ID, err
}

// everybody is the file that is imported: as a CRM knows people or, with the
// page, as the bot's former platform does.
func everybody(page string, n int) ([]byte, error) {
	o := sample.Options{Format: sample.NDJSON, Count: n, Seed: 1, Complete: true}
	if page != "" {
		o.Page, o.Topic, o.GraphPage, o.GrantedAt = page, topic, graphPage, time.Now().UTC().AddDate(0, 0, -30)
	}
	var b bytes.Buffer
	err := sample.Write(&b, o)
	return b.Bytes(), err
}

func (r *runOn) imports(ctx context.Context) error {
	for _, file := range []struct {
		name, page string
		target     float64
	}{{"import", "", 20_000}, {"import again, with ids and tokens", r.page, 0}} {
		body, err := everybody(file.page, r.contacts)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := importAll(ctx, r.api, body, r.contacts); err != nil {
			return err
		}
		r.note(figure{name: file.name, value: float64(r.contacts) / time.Since(began).Seconds(), unit: "contacts/s", target: file.target})
	}
	return nil
}

// importAll is done when the import is finished, not when it is taken.
func importAll(ctx context.Context, c *client, body []byte, n int) error {
	var done struct {
		ID, State, Problem string
		Created, Updated   int
	}
	if err := c.call(ctx, http.MethodPost, "/v1/contacts/import", "application/x-ndjson", bytes.NewReader(body), &done); err != nil {
		return err
	}
	err := until(ctx, 10*time.Minute, func() (bool, error) {
		err := c.get(ctx, "/v1/imports/"+done.ID, &done)
		return done.State == "finished" || done.State == "failed", err
	})
	if err == nil && done.Created+done.Updated != n {
		err = fmt.Errorf("the import is %s with %d of %d people: %s", done.State, done.Created+done.Updated, n, done.Problem)
	}
	return err
}

// plan measures a campaign that can reach nobody: all it does is to decide
// for everybody, and to write it down.
func (r *runOn) plan(ctx context.Context) error {
	took, err := r.campaign(ctx, noTopic, "one_time")
	r.note(figure{name: "plan", value: float64(r.contacts) / took.Seconds(), unit: "contacts/s", target: 30_000})
	return err
}

func (r *runOn) oneTime(ctx context.Context) error {
	return r.lane(ctx, "one_time", "send: Messenger, one-time tokens", simulator.Graph, 8_000)
}

func (r *runOn) window(ctx context.Context) error {
	return r.lane(ctx, "window", "send: Messenger, in the window", simulator.Graph, 8_000)
}

func (r *runOn) sms(ctx context.Context) error {
	return r.lane(ctx, "sms", "send: SMS", simulator.Twilio, 8_000)
}

func (r *runOn) email(ctx context.Context) error {
	return r.lane(ctx, "email", "send: e-mail", simulator.SendGrid, 25_000)
}

// lane measures a campaign of one lane, planning included, and checks with the
// stand-in that everybody was written to once.
func (r *runOn) lane(ctx context.Context, lane, name string, p simulator.Provider, target float64) error {
	seen := newClient(r.standIns.base, "")
	if err := seen.call(ctx, http.MethodDelete, "/counts", "", nil, nil); err != nil {
		return err
	}
	took, err := r.campaign(ctx, topic, lane)
	if err != nil {
		return err
	}
	var counts simulator.Counts
	if err := seen.get(ctx, "/counts", &counts); err != nil {
		return err
	}
	if n := counts[p]; int(n.Accepted) != r.contacts || n.MaxPerRecipient != 1 {
		return fmt.Errorf("lane %s: the stand-in took %d messages for %d people, at most %d each", lane, n.Accepted, r.contacts, n.MaxPerRecipient)
	}
	r.note(figure{name: name, value: float64(r.contacts) / took.Seconds(), unit: "messages/s", target: target})
	return nil
}

// campaign runs a campaign over everybody and returns how long it took from
// its start to its end, by its own clock.
func (r *runOn) campaign(ctx context.Context, topic, lane string) (time.Duration, error) {
	return runCampaign(ctx, r.api, r.page, topic, lane)
}

func runCampaign(ctx context.Context, c *client, page, topic, lane string) (time.Duration, error) {
	var made struct {
		ID, State string
		Started   time.Time `json:"started_at"`
		Finished  time.Time `json:"finished_at"`
	}
	var draft struct{ ID string }
	if err := c.post(ctx, "/v1/campaigns", campaignOf(page, topic, lane), &draft); err != nil {
		return 0, err
	}
	if err := c.post(ctx, "/v1/campaigns/"+draft.ID+"/start", nil, nil); err != nil {
		return 0, err
	}
	err := until(ctx, 10*time.Minute, func() (bool, error) {
		var now struct{ State string }
		if err := c.get(ctx, "/v1/campaigns/"+draft.ID, &now); err != nil || now.State != "finished" {
			return false, err
		}
		return true, c.get(ctx, "/v1/campaigns/"+draft.ID, &made)
	})
	return made.Finished.Sub(made.Started), err
}

func campaignOf(page, topic, lane string) map[string]any {
	return map[string]any{"name": "bench " + lane, "page_id": page, "topic": topic, "route": []string{lane},
		"content": map[string]any{
			"messenger": map[string]any{"text": "Hi {{ contact.first_name | default: 'there' }}, spring courses are open. Want the list?",
				"quick_replies": []any{map[string]string{"title": "Yes please", "payload": "COURSES_YES"}}},
			"sms": map[string]string{"text": "Spring courses are open, see them in our chat: {{ link }} Reply STOP to opt out"},
			"email": map[string]string{"subject": "{{ contact.first_name }}, spring courses are open",
				"html": "<p>Hi {{ contact.first_name }},</p><p>new dates for {{ contact.attributes.interest }}: <a href=\"{{ link }}\">see them in our chat</a>.</p>"},
		}}
}

// events lets everybody write to the bot, fifty to a webhook, and measures
// until the last is applied.
func (r *runOn) events(ctx context.Context) error {
	began := time.Now()
	if err := postSaid(ctx, r.api, r.contacts); err != nil {
		return err
	}
	if err := until(ctx, 5*time.Minute, r.lastApplied(ctx)); err != nil {
		return err
	}
	took := time.Since(began)
	n, err := preview(ctx, r.api, r.page)
	if err == nil && n != r.contacts {
		err = fmt.Errorf("%d of %d people have an open window after their webhooks were applied", n, r.contacts)
	}
	r.note(figure{name: "webhook events, stored and applied", value: float64(r.contacts) / took.Seconds(), unit: "events/s"})
	return err
}

// lastApplied looks at the people of the last webhooks, one by one: jobs take
// them nearly in the order they came.
func (r *runOn) lastApplied(ctx context.Context) func() (bool, error) {
	n := r.contacts
	return func() (bool, error) {
		for ; n > max(r.contacts-20*eventsPerPost, 0); n -= eventsPerPost {
			var found struct {
				Data []struct {
					Messenger []struct {
						Closes *time.Time `json:"window_closes_at"`
					}
				}
			}
			if err := r.api.get(ctx, "/v1/contacts?external_id="+sample.ExternalID(n), &found); err != nil {
				return false, err
			}
			if len(found.Data) != 1 || len(found.Data[0].Messenger) != 1 || found.Data[0].Messenger[0].Closes == nil {
				return false, nil
			}
		}
		return true, nil
	}
}

const eventsPerPost = 50

// postSaid posts signed webhooks as Meta does: several at a time.
func postSaid(ctx context.Context, c *client, n int) error {
	signer := simulator.New(simulator.Config{AppSecret: appSecret})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for first := 1; first <= n; first += eventsPerPost {
		g.Go(func() error {
			var events []simulator.Event
			for i := first; i < first+eventsPerPost && i <= n; i++ {
				events = append(events, simulator.Event{Kind: simulator.Said, Page: graphPage, PSID: sample.PSID(i), Text: "Hello!"})
			}
			body, header := signer.WebhookBody(events)
			return c.send(ctx, request{url: c.base + "/webhooks/messenger", header: header, body: body})
		})
	}
	return g.Wait()
}

// preview counts who could be written to inside the window.
func preview(ctx context.Context, c *client, page string) (int, error) {
	var draft struct{ ID string }
	if err := c.post(ctx, "/v1/campaigns", campaignOf(page, topic, "window"), &draft); err != nil {
		return 0, err
	}
	var split struct{ Messenger int }
	return split.Messenger, errors.Join(c.post(ctx, "/v1/campaigns/"+draft.ID+"/preview", nil, &split))
}

func (r *runOn) memory(context.Context) error {
	r.note(figure{name: "peak memory of beckon serve", value: r.server.peakMemory(), unit: "MB", target: 200, most: true})
	return nil
}

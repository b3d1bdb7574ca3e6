package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"beckon/internal/rig"
	"beckon/internal/sample"
	"beckon/internal/simulator"
)

const (
	topic   = "courses"
	noTopic = "nobody" // a topic that nobody gave a token for
)

type bench struct {
	options
	log, errOut io.Writer
}

// run is one measurement on one engine.
type runOn struct {
	*bench
	engine
	database *rig.Database
	server   *rig.Node
	standIns *rig.StandIns
	page     string
	figures  []figure
}

func (b *bench) measure(ctx context.Context, e engine) (figures []figure, err error) {
	database, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, database.Drop()) }()
	addr, err := rig.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	callbacks := ""
	if b.receipts {
		callbacks = "http://" + addr
	}
	r := &runOn{bench: b, engine: e, database: database}
	if r.standIns, err = rig.StartStandIns(ctx, b.beckon, callbacks, b.errOut, "--read-share", "0"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.standIns.Stop()) }()
	if r.server, err = rig.StartNode(ctx, b.beckon, addr, b.settings(database.Setting, r.standIns.Settings), b.errOut); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.server.Stop()) }()
	err = r.all(ctx)
	return r.figures, err
}

// settings are those of the server that is measured.
func (b *bench) settings(database string, standIns []string) []string {
	return append([]string{database, "BECKON_LOG_LEVEL=" + map[bool]string{false: "warn", true: "info"}[b.verbose],
		"BECKON_PARALLEL=" + strconv.Itoa(b.parallel)}, standIns...)
}

func (r *runOn) all(ctx context.Context) error {
	steps := []func(context.Context) error{r.prepare, r.imports, r.plan, r.oneTime, r.sms, r.email, r.events, r.window, r.posts, r.memory, r.bare}
	if r.only == onlyPosts {
		steps = []func(context.Context) error{r.prepare, r.posts, r.memory}
	}
	for _, step := range steps {
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
	if r.page, err = rig.MakePage(ctx, r.server.Client, topic, noTopic); err != nil {
		return err
	}
	return r.standIns.Post(ctx, "/people", map[string]any{"page": rig.GraphPage, "n": r.contacts, "tokens": 1}, nil)
}

// everybody is the file that is imported: as a CRM knows people or, with the
// page, as the bot's former platform does.
func everybody(page string, n int) ([]byte, error) {
	o := sample.Options{Format: sample.NDJSON, Count: n, Seed: 1, Complete: true}
	if page != "" {
		o.Page, o.Topic, o.GraphPage, o.GrantedAt = page, topic, rig.GraphPage, time.Now().UTC().AddDate(0, 0, -30)
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
		if err := rig.Import(ctx, r.server.Client, body, r.contacts); err != nil {
			return err
		}
		r.note(figure{name: file.name, value: float64(r.contacts) / time.Since(began).Seconds(), unit: "contacts/s", target: file.target})
	}
	return nil
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
	if _, err := r.standIns.Do(ctx, rig.Request{Method: http.MethodDelete, Path: "/counts"}); err != nil {
		return err
	}
	took, err := r.campaign(ctx, topic, lane)
	if err != nil {
		return err
	}
	var counts simulator.Counts
	if err := r.standIns.Get(ctx, "/counts", &counts); err != nil {
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
	return runCampaign(ctx, r.server.Client, r.page, topic, lane)
}

func runCampaign(ctx context.Context, c *rig.Client, page, topic, lane string) (time.Duration, error) {
	var made struct {
		ID, State string
		Started   time.Time `json:"started_at"`
		Finished  time.Time `json:"finished_at"`
	}
	var draft struct{ ID string }
	if err := c.Post(ctx, "/v1/campaigns", rig.Draft(page, topic, lane), &draft); err != nil {
		return 0, err
	}
	if err := c.Post(ctx, "/v1/campaigns/"+draft.ID+"/start", nil, nil); err != nil {
		return 0, err
	}
	err := rig.Until(ctx, 10*time.Minute, func() (bool, error) {
		var now struct{ State string }
		if err := c.Get(ctx, "/v1/campaigns/"+draft.ID, &now); err != nil || now.State != "finished" {
			return false, err
		}
		return true, c.Get(ctx, "/v1/campaigns/"+draft.ID, &made)
	})
	return made.Finished.Sub(made.Started), err
}

// events lets everybody write to the bot, fifty to a webhook, and measures
// until the last is applied.
func (r *runOn) events(ctx context.Context) error {
	began := time.Now()
	if err := rig.Say(ctx, r.server.Client, rig.Numbers(r.contacts)); err != nil {
		return err
	}
	if err := rig.Until(ctx, 5*time.Minute, r.lastApplied(ctx)); err != nil {
		return err
	}
	took := time.Since(began)
	n, err := preview(ctx, r.server.Client, r.page)
	if err == nil && n != r.contacts {
		err = fmt.Errorf("%d of %d people have an open window after their webhooks were applied", n, r.contacts)
	}
	r.note(figure{name: "webhook events, stored and applied", value: float64(r.contacts) / took.Seconds(), unit: "events/s"})
	return err
}

// eventsPerPost is how many of them share a webhook.
const eventsPerPost = 50

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
			if err := r.server.Get(ctx, "/v1/contacts?external_id="+sample.ExternalID(n), &found); err != nil {
				return false, err
			}
			if len(found.Data) != 1 || len(found.Data[0].Messenger) != 1 || found.Data[0].Messenger[0].Closes == nil {
				return false, nil
			}
		}
		return true, nil
	}
}

// preview counts who could be written to inside the window.
func preview(ctx context.Context, c *rig.Client, page string) (int, error) {
	var draft struct{ ID string }
	if err := c.Post(ctx, "/v1/campaigns", rig.Draft(page, topic, "window"), &draft); err != nil {
		return 0, err
	}
	var split struct{ Messenger int }
	return split.Messenger, errors.Join(c.Post(ctx, "/v1/campaigns/"+draft.ID+"/preview", nil, &split))
}

func (r *runOn) memory(context.Context) error {
	r.note(figure{name: "peak memory of beckon serve", value: r.server.PeakMemory(), unit: "MB", target: 200, most: true})
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"beckon/internal/db"
	"beckon/internal/sample"
	"beckon/internal/simulator"
)

// story is what the demo tells. All it does goes through the public API, the
// webhooks and the stand-ins; only the clock is moved by hand.
type story struct {
	screen *screen
	api    *apiClient
	sim    *simulator.Simulator
	cast   cast
	room   string
	db     *db.DB // to let time pass; all else goes through the API

	page, campaign string
	contacts       map[string]contactAnswer // by id
	byPSID         map[string]string        // their ids
	places         []deliveryAnswer
}

// How long something may take on a busy machine.
const patience = 2 * time.Minute

const topicSlug = "courses"

func (s *story) tell(ctx context.Context) error {
	s.screen.gap()
	s.screen.say("%s", s.screen.paint(bold, "Northern Courses has a Messenger bot, and "+many(s.cast.count, "person", "people")+" in its CRM. Spring courses open today."))
	s.screen.aside("Everything goes through Beckon's public API and signed webhooks. Messenger, Twilio and SendGrid")
	s.screen.aside("are stand-ins on this machine, and nobody here is real. Database: %s.", s.room)
	for _, act := range []func(context.Context) error{s.open, s.fromCRM, s.fromOldBot, s.chat, s.draft, s.send, s.account, s.read, s.comeBack, s.grow} {
		if err := act(ctx); err != nil {
			return fmt.Errorf("the demo cannot go on: %w", err)
		}
	}
	s.screen.gap()
	s.screen.say("%s", s.screen.paint(green, "All checks passed: everybody is accounted for, nobody was written to twice."))
	return nil
}

func (s *story) open(ctx context.Context) error {
	s.screen.title("The bot's page and a topic to ask permission for")
	var page struct{ ID string }
	if err := s.api.post(ctx, "/v1/pages", map[string]any{"facebook_page_id": simulatorPage, "name": "Northern Courses",
		"username": "northerncourses", "access_token": "page-token"}, &page); err != nil {
		return err
	}
	s.page = page.ID
	if err := s.api.post(ctx, "/v1/topics", map[string]any{"slug": topicSlug, "title": "New courses in your town", "payloads": []string{"OTN_COURSES"}}, nil); err != nil {
		return err
	}
	if err := s.sim.VerifyWebhook(ctx); err != nil {
		return err
	}
	s.screen.say("Page \"Northern Courses\" is connected, Messenger has checked the webhook.")
	s.screen.say("Topic: \"New courses in your town\".")
	return nil
}

func (s *story) fromCRM(ctx context.Context) error {
	s.screen.title("The CRM's export comes in, as it is")
	crm, err := s.cast.crm()
	if err != nil {
		return err
	}
	done, err := s.importCSV(ctx, crm)
	if err != nil {
		return err
	}
	s.screen.say("%s: %s made, %s seen again, %s refused, each by its number and why:", many(done.Lines, "line", "lines"),
		many(done.Created, "person", "people"), thousands(done.Updated), thousands(done.Refused))
	for _, r := range done.RefusedLines[:min(4, len(done.RefusedLines))] {
		s.screen.aside("line %-5d %s", r.Line, r.why())
	}
	if more := done.Refused - 4; more > 0 {
		s.screen.aside("… and %s more", thousands(more))
	}
	return nil
}

func (r refusedLine) why() string {
	var out []string
	for _, e := range r.Errors {
		out = append(out, strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(e.Pointer, "/"), "/", " ")+": "+e.Detail))
	}
	return strings.TrimPrefix(strings.Join(out, " "), ": ")
}

// importCSV posts a file and waits until it is worked.
func (s *story) importCSV(ctx context.Context, body io.Reader) (done importAnswer, err error) {
	if err := s.api.call(ctx, "POST", "/v1/contacts/import", "text/csv", body, &done); err != nil {
		return done, err
	}
	err = await(ctx, patience, 20*time.Millisecond, func() (bool, error) {
		err := s.api.get(ctx, "/v1/imports/"+done.ID, &done)
		return done.State == "finished" || done.State == "failed", err
	})
	if err == nil && done.State == "failed" {
		err = errors.New("an import failed: " + done.Problem)
	}
	return done, err
}

func (s *story) fromOldBot(ctx context.Context) error {
	s.screen.title("The bot's former platform knows some of them too")
	granted, closed := s.cast.all(permitted), s.cast.all(quiet)
	for _, p := range granted {
		s.sim.GrantToken(simulatorPage, sample.PSID(p.Number))
		s.sim.CloseWindow(simulatorPage, sample.PSID(p.Number))
	}
	for _, p := range closed {
		s.sim.CloseWindow(simulatorPage, sample.PSID(p.Number))
	}
	export, err := s.cast.oldBot(sample.Options{Page: s.page, Topic: topicSlug, GrantedAt: time.Now().AddDate(0, 0, -40)})
	if err != nil {
		return err
	}
	done, err := s.importCSV(ctx, export)
	if err != nil {
		return err
	}
	s.screen.say("%s matched with the CRM by e-mail or phone and tied to their Messenger id, %s not known to it.",
		many(done.Updated, "person", "people"), thousands(done.Created))
	s.screen.say("%s had tapped \"Notify Me\" there: a permission for one message each, good for a year.", many(len(granted), "person", "people"))
	if err := s.sayYesLate(ctx); err != nil {
		return err
	}
	return s.know(ctx)
}

// sayYesLate posts what Messenger could not deliver two days ago: people said
// yes to the old bot then, so their window is closed by now.
func (s *story) sayYesLate(ctx context.Context) error {
	var events []simulator.Event
	people := s.cast.all(saidYesLate)
	for _, p := range people {
		psid, then := sample.PSID(p.Number), time.Now().Add(-49*time.Hour)
		events = append(events,
			simulator.Event{Kind: simulator.Said, Page: simulatorPage, PSID: psid, At: then, Text: "Do you have evening courses?"},
			simulator.Event{Kind: simulator.OptedIn, Page: simulatorPage, PSID: psid, At: then.Add(time.Minute), Payload: "OTN_COURSES", Token: "otn-late-" + psid})
	}
	if err := s.sim.PostEvents(ctx, events); err != nil {
		return err
	}
	s.screen.say("%s said yes two days ago, and Messenger delivers those webhooks only now.", many(len(people), "person", "people"))
	return nil
}

// know reads everybody back from the API.
func (s *story) know(ctx context.Context) error {
	all, err := everything[contactAnswer](ctx, s.api, "/v1/contacts")
	if err != nil {
		return err
	}
	s.contacts, s.byPSID = make(map[string]contactAnswer, len(all)), map[string]string{}
	for _, c := range all {
		s.contacts[c.ID] = c
		for _, m := range c.Messenger {
			s.byPSID[m.PSID] = c.ID
		}
	}
	return nil
}

func (s *story) chat(ctx context.Context) error {
	s.screen.title("Today, some people talk to the bot, and are asked for a permission")
	people := s.cast.all(chatsToday)
	var events []simulator.Event
	for _, p := range people {
		events = append(events, simulator.Event{Kind: simulator.Said, Page: simulatorPage, PSID: sample.PSID(p.Number), Text: "Hello! Anything new on " + p.Interest + "?"})
	}
	strangers := s.cast.count / 50
	for n := range strangers {
		events = append(events, simulator.Event{Kind: simulator.Started, Page: simulatorPage, PSID: fmt.Sprintf("stranger-%d", n+1), Payload: "GET_STARTED"})
	}
	if err := s.sim.PostEvents(ctx, events); err != nil {
		return err
	}
	s.screen.say("%s from the CRM and %s write to it: for 24 hours, writing back is free.", many(len(people), "person", "people"), many(strangers, "stranger", "strangers"))
	asked := people[:min(len(people)/2, 60)]
	yes := 0
	for i, p := range asked {
		if err := s.ask(ctx, p); err != nil {
			return err
		}
		if i%4 == 3 {
			continue // one in four does not tap
		}
		if _, err := s.sim.TapNotifyMe(ctx, simulatorPage, sample.PSID(p.Number)); err != nil {
			return err
		}
		yes++
	}
	s.screen.say("%s asked \"Notify me: New courses in your town?\", and %s tapped. They keep that for later: today is free.",
		many(len(asked), "person is", "people are"), thousands(yes))
	return s.settled(ctx, people, len(s.byPSID)+strangers, yes)
}

// settled waits until all that was posted has been applied.
func (s *story) settled(ctx context.Context, talked []sample.Person, known, granted int) error {
	tokens := granted + len(s.cast.all(permitted)) + len(s.cast.all(saidYesLate))
	return await(ctx, patience, 150*time.Millisecond, func() (bool, error) {
		if err := s.know(ctx); err != nil {
			return false, err
		}
		for _, p := range talked {
			if !s.contacts[s.byPSID[sample.PSID(p.Number)]].inWindow() {
				return false, nil
			}
		}
		have := 0
		for _, c := range s.contacts {
			have += len(c.Tokens)
		}
		return len(s.byPSID) >= known && have >= tokens, nil
	})
}

// ask sends somebody the "Notify Me" message, as soon as their own is noted.
func (s *story) ask(ctx context.Context, p sample.Person) error {
	return await(ctx, patience, 10*time.Millisecond, func() (bool, error) {
		err := s.api.post(ctx, "/v1/opt-in-requests", map[string]any{"contact_id": s.byPSID[sample.PSID(p.Number)], "page_id": s.page, "topic": topicSlug}, nil)
		var no *problem
		if errors.As(err, &no) && no.Code == "window_closed" {
			return false, nil
		}
		return err == nil, err
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/db"
	"beckon/internal/simulator"
)

// season is one of the three campaigns, and how it went.
type season struct {
	name, id string
	report   reportAnswer
	reacted  int
}

// thanks is what those get who react to a season's campaign.
func (e *season) thanks() string {
	return "Thank you! The " + e.name + " list: northerncourses.example"
}

// grow sends two more campaigns to the same people, a week apart. What makes the
// Messenger side grow is nothing but what follows on people's reactions.
func (s *story) grow(ctx context.Context) error {
	s.screen.title("The loop: two more campaigns, a week apart, to the same people")
	s.screen.say("Of those reached in Messenger 4 in 5 tap \"Yes please\", of the others 1 in 2 comes back by the link. Each is thanked within")
	s.screen.say("seconds and asked \"Notify me?\" unless they hold a permission already, and 9 in 10 of those tap. Nobody does anything by hand.")
	seasons := []*season{{name: "spring", id: s.campaign}, {name: "summer"}, {name: "autumn"}}
	for i, e := range seasons {
		if i > 0 {
			if err := s.nextSeason(ctx, e); err != nil {
				return err
			}
		}
		if err := s.api.get(ctx, "/v1/campaigns/"+e.id+"/report", &e.report); err != nil {
			return err
		}
		if i == len(seasons)-1 {
			break // what people make of the last one is for the next
		}
		if err := s.live(ctx, e); err != nil {
			return fmt.Errorf("the %s campaign: %w", e.name, err)
		}
	}
	return s.compare(seasons)
}

// nextSeason sends the campaign of a season, a week after the last one.
func (s *story) nextSeason(ctx context.Context, e *season) error {
	if err := s.aWeekPasses(ctx); err != nil {
		return err
	}
	var made struct{ ID string }
	if err := s.api.post(ctx, "/v1/campaigns", courses(s.page, e), &made); err != nil {
		return err
	}
	s.campaign, e.id = made.ID, made.ID
	s.sim.Reset()
	return s.sendOut(ctx)
}

// aWeekPasses sets back by eight days what is on record of when people last wrote
// and were asked, and closes their windows at Messenger.
func (s *story) aWeekPasses(ctx context.Context) error {
	if err := s.know(ctx); err != nil {
		return err
	}
	for psid := range s.byPSID {
		s.sim.CloseWindow(simulatorPage, psid)
	}
	then := time.Now().UTC().Add(-8 * 24 * time.Hour)
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		return errors.Join(tx.Exec("UPDATE messenger_addresses SET last_action_at = ? WHERE last_action_at IS NOT NULL", then).Error,
			tx.Exec("UPDATE opt_in_requests SET asked_at = ?", then).Error)
	})
}

// live lets people react to a campaign.
func (s *story) live(ctx context.Context, e *season) (err error) {
	before := e.report.FollowUps.Open + e.report.FollowUps.Done
	if s.places, err = everything[deliveryAnswer](ctx, s.api, "/v1/campaigns/"+e.id+"/deliveries"); err != nil {
		return err
	}
	if err = s.know(ctx); err != nil {
		return err
	}
	events, err := s.reactions(ctx)
	if err != nil {
		return err
	}
	if err = s.sim.PostEvents(ctx, events); err != nil {
		return err
	}
	e.reacted = before + len(events)
	began := time.Now()
	if err = s.followed(ctx, e); err != nil {
		return err
	}
	took := time.Since(began)
	taps, err := s.permit(ctx, events)
	if err != nil {
		return err
	}
	s.screen.say("%s: %s reached in Messenger. %s react, all within a moment; %.1f s later the last of them is thanked. %s tap \"Notify Me\".", title(e.name),
		thousands(e.report.Messenger.Total), thousands(e.reacted), took.Seconds(), thousands(taps))
	return nil
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// reactions are what people do about the campaign who have not done it yet.
func (s *story) reactions(ctx context.Context) ([]simulator.Event, error) {
	var mu sync.Mutex
	var out []simulator.Event
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, d := range s.places {
		inMessenger := d.Lane == "window" || d.Lane == "one_time"
		if d.State != "delivered" || d.Returned != nil || d.Replied != nil || inMessenger && i%5 == 4 || !inMessenger && i%2 == 1 {
			continue
		}
		g.Go(func() error {
			ev, err := s.reaction(ctx, d, inMessenger)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, ev)
			return err
		})
	}
	return out, g.Wait()
}

func (s *story) reaction(ctx context.Context, d deliveryAnswer, inMessenger bool) (simulator.Event, error) {
	c := s.contacts[d.ContactID]
	ev := simulator.Event{Kind: simulator.Tapped, Page: simulatorPage, Text: "Yes please", Payload: "COURSES_YES"}
	if inMessenger {
		ev.PSID = c.Messenger[0].PSID
		return ev, nil
	}
	to, err := s.api.follow(ctx, linkForm.FindString(s.received(d.Lane, c)))
	if err != nil {
		return ev, err
	}
	at, err := url.Parse(to)
	if err != nil {
		return ev, errors.New("a personal link does not lead to Messenger")
	}
	ev = simulator.Event{Kind: simulator.Started, Page: simulatorPage, PSID: fmt.Sprintf("back-%d", d.ID), Payload: "GET_STARTED", Ref: at.Query().Get("ref")}
	if len(c.Messenger) > 0 {
		s.sim.Unblock(simulatorPage, c.Messenger[0].PSID) // who comes back has thought better of it
		ev.Kind, ev.PSID, ev.Payload = simulator.Referred, c.Messenger[0].PSID, ""
	}
	return ev, nil
}

// followed waits until everybody who reacted was followed up.
func (s *story) followed(ctx context.Context, e *season) error {
	var r reportAnswer
	return await(ctx, patience, 250*time.Millisecond, func() (bool, error) {
		err := s.api.get(ctx, "/v1/campaigns/"+e.id+"/report", &r)
		return r.FollowUps.Open == 0 && r.FollowUps.Done+r.FollowUps.Skipped >= e.reacted, err
	})
}

// permit lets nine in ten of those who were asked just now tap "Notify Me", and
// waits until that is applied.
func (s *story) permit(ctx context.Context, reacted []simulator.Event) (taps int, err error) {
	slices.SortFunc(reacted, func(a, b simulator.Event) int { return strings.Compare(a.PSID, b.PSID) })
	before, err := s.permissions(ctx)
	if err != nil {
		return 0, err
	}
	var tapped atomic.Int64
	g, parallel := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, ev := range reacted {
		if i%10 == 9 {
			continue
		}
		g.Go(func() error {
			_, err := s.sim.TapNotifyMe(parallel, simulatorPage, ev.PSID)
			if errors.Is(err, simulator.ErrNothingToTap) {
				return nil // who holds a permission is not asked
			}
			tapped.Add(1)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	taps = int(tapped.Load())
	return taps, await(ctx, patience, 400*time.Millisecond, func() (bool, error) {
		now, err := s.permissions(ctx)
		return now >= before+taps, err
	})
}

// permissions counts all tokens that were ever given.
func (s *story) permissions(ctx context.Context) (n int, err error) {
	if err := s.know(ctx); err != nil {
		return 0, err
	}
	for _, c := range s.contacts {
		n += len(c.Tokens)
	}
	return n, nil
}

// compare shows the three side by side, and checks that the loop does what it is
// for and nothing else.
func (s *story) compare(seasons []*season) error {
	s.screen.gap()
	s.screen.say("%-24s%12s%12s%16s%12s", "", "Messenger", "link-back", "no lawful way", "everybody")
	grows, sums := true, true
	for i, e := range seasons {
		r := e.report
		s.screen.say("%-24s%12s%12s%16s%12s", title(e.name)+" courses", thousands(r.Messenger.Total), thousands(r.LinkBack.Total), thousands(r.Unreachable.Total), thousands(r.Audience))
		sums = sums && r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total == r.Audience && r.Audience == seasons[0].report.Audience
		grows = grows && (i == 0 || r.Messenger.Total > seasons[i-1].report.Messenger.Total)
	}
	s.screen.gap()
	s.screen.check(grows, "the Messenger side grows each time: %s, %s, %s of the same %s people", thousands(seasons[0].report.Messenger.Total),
		thousands(seasons[1].report.Messenger.Total), thousands(seasons[2].report.Messenger.Total), thousands(seasons[0].report.Audience))
	s.screen.check(sums, "messenger + link-back + unreachable = audience in each")
	once := s.thankedOnce(seasons)
	if !grows || !sums || !once {
		return errAccounts
	}
	return nil
}

// thankedOnce looks into everybody's chat for thanks that came twice.
func (s *story) thankedOnce(seasons []*season) bool {
	got, want, twice := 0, 0, 0
	for _, e := range seasons {
		want += e.reacted
		for psid := range s.byPSID {
			n := 0
			for _, m := range s.sim.Received(simulatorPage, psid) {
				n += oneIf(m.Text == e.thanks())
			}
			got += oneIf(n > 0)
			twice += oneIf(n > 1)
		}
	}
	ok := got == want && twice == 0
	s.screen.check(ok, "%s reactions, %s thanked in their chat, %s twice", thousands(want), thousands(got), nobodyOr(twice))
	return ok
}

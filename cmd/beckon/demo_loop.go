package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"beckon/internal/simulator"
)

// read shows what one person on each lane received.
func (s *story) read(context.Context) error {
	s.screen.title("What they got, as their own phones and mailboxes show it")
	for _, l := range laneNames() {
		d, ok := s.someone(l[0])
		if !ok {
			continue
		}
		c := s.contacts[d.ContactID]
		s.screen.say("%s: %s", l[1], c.name())
		s.screen.quote(s.received(l[0], c))
	}
	return nil
}

func (c contactAnswer) name() string {
	if c.FirstName == "" {
		return "somebody without a name"
	}
	return c.FirstName
}

// someone is a person who was reached on a lane; with a name, if there is one.
func (s *story) someone(lane string) (found deliveryAnswer, ok bool) {
	for _, d := range s.places {
		if d.Lane != lane || d.State != "delivered" {
			continue
		}
		if s.contacts[d.ContactID].FirstName != "" {
			return d, true
		}
		found, ok = d, true
	}
	return found, ok
}

func (s *story) received(lane string, c contactAnswer) string {
	switch lane {
	case "sms":
		if got := s.sim.Texts(c.Phone); len(got) > 0 {
			return got[len(got)-1].Body
		}
	case "email":
		if got := s.sim.Mail(c.Email); len(got) > 0 {
			m := got[len(got)-1]
			return "Subject: " + m.Subject + "\n\n" + strings.TrimSpace(m.Text)
		}
	default:
		if got := s.sim.Received(simulatorPage, c.Messenger[0].PSID); len(got) > 0 {
			return got[len(got)-1].Text + "   [Yes please]"
		}
	}
	return ""
}

// comeBack lets some reply, and one person follow the link in their SMS.
func (s *story) comeBack(ctx context.Context) error {
	s.screen.title("Back to the bot")
	replies := 0
	for _, d := range s.places {
		if replies == 20 {
			break
		}
		if (d.Lane == "window" || d.Lane == "one_time") && d.State == "delivered" {
			if err := s.sim.TapQuickReply(ctx, simulatorPage, s.contacts[d.ContactID].Messenger[0].PSID, "COURSES_YES"); err != nil {
				return err
			}
			replies++
		}
	}
	s.screen.say("%s tap \"Yes please\" in Messenger.", many(replies, "person", "people"))
	d, ok := s.newcomer()
	if !ok {
		return errors.New("nobody was reached by SMS")
	}
	c := s.contacts[d.ContactID]
	psid, err := s.click(ctx, c)
	if err != nil {
		return err
	}
	if err := s.returned(ctx, d.ID, replies); err != nil {
		return err
	}
	return s.nextTime(ctx, c, psid)
}

// newcomer is somebody reached by SMS whom the bot does not know yet.
func (s *story) newcomer() (deliveryAnswer, bool) {
	for _, d := range s.places {
		c := s.contacts[d.ContactID]
		if d.Lane == "sms" && d.State == "delivered" && len(c.Messenger) == 0 && c.FirstName != "" {
			return d, true
		}
	}
	return deliveryAnswer{}, false
}

var linkForm = regexp.MustCompile(`https?://\S+/l/\w+`)

// click follows the link in somebody's SMS into Messenger, where they are new.
func (s *story) click(ctx context.Context, c contactAnswer) (psid string, err error) {
	link := linkForm.FindString(s.received("sms", c))
	to, err := s.api.follow(ctx, link)
	if err != nil {
		return "", err
	}
	at, err := url.Parse(to)
	if err != nil || at.Query().Get("ref") == "" {
		return "", errors.New("a personal link does not lead to Messenger")
	}
	s.screen.say("%s taps the link in the SMS and lands in the chat:", c.name())
	s.screen.quote(link + "\n→ " + to)
	psid = "came-back-by-link"
	return psid, s.sim.Open(ctx, simulatorPage, psid, at.Query().Get("ref"))
}

func (s *story) returned(ctx context.Context, delivery int64, replies int) error {
	var r reportAnswer
	var d deliveryAnswer
	err := await(ctx, patience, 20*time.Millisecond, func() (bool, error) {
		err := errors.Join(s.api.get(ctx, "/v1/campaigns/"+s.campaign+"/report", &r), s.api.get(ctx, fmt.Sprintf("/v1/deliveries/%d", delivery), &d))
		return r.Returned == 1 && r.Clicked == 1 && r.Replied >= replies && d.Returned != nil, err
	})
	s.screen.check(err == nil && r.Returned == 1, "report: clicked %d, returned %d, replied %d", r.Clicked, r.Returned, r.Replied)
	return err
}

// nextTime shows that the person is the same contact, reachable in Messenger
// now, and what follows on their coming back.
func (s *story) nextTime(ctx context.Context, c contactAnswer, psid string) error {
	var now contactAnswer
	var reach reachAnswer
	if err := errors.Join(s.api.get(ctx, "/v1/contacts/"+c.ID, &now),
		s.api.get(ctx, "/v1/contacts/"+c.ID+"/reach?page_id="+s.page+"&topic="+topicSlug, &reach)); err != nil {
		return err
	}
	same := len(now.Messenger) == 1 && now.Messenger[0].PSID == psid && now.inWindow()
	s.screen.check(same && reach.Lane == "window", "%s is still the same contact, known to the bot now: the best lane is %q instead of \"sms\"", c.name(), reach.Lane)
	if !same {
		return errAccounts
	}
	var got []simulator.Message
	if err := await(ctx, patience, 20*time.Millisecond, func() (bool, error) {
		got = s.sim.Received(simulatorPage, psid)
		return len(got) == 2, nil
	}); err != nil {
		return err
	}
	s.screen.say("The campaign's follow_up says what comes next, at once:")
	s.screen.quote(got[0].Text + "\n" + got[1].Text)
	if _, err := s.sim.TapNotifyMe(ctx, simulatorPage, psid); err != nil {
		return err
	}
	err := await(ctx, patience, 20*time.Millisecond, func() (bool, error) {
		err := s.api.get(ctx, "/v1/contacts/"+c.ID, &now)
		return len(now.Tokens) == 1, err
	})
	s.screen.check(err == nil, "%s taps \"Notify Me\": the next campaign reaches them in Messenger, for a year", c.name())
	return err
}

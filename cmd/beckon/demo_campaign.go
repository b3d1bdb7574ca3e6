package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"beckon/internal/sample"
	"beckon/internal/simulator"
)

// courses is the campaign of a season as an integrator would post it.
func courses(page string, e *season) map[string]any {
	return map[string]any{
		"name": title(e.name) + " courses", "page_id": page, "topic": topicSlug,
		"route": []string{"window", "one_time", "sms", "email"},
		"content": map[string]any{
			"messenger": map[string]any{
				"text":          "Hi {{ contact.first_name | default: 'there' }}, " + e.name + " courses are open. Want the list?",
				"quick_replies": []any{map[string]string{"title": "Yes please", "payload": "COURSES_YES"}},
			},
			"sms": map[string]string{"text": title(e.name) + " courses are open, see them in our chat: {{ link }} Reply STOP to opt out"},
			"email": map[string]any{
				"subject":   "{{ contact.first_name | default: 'Hello' }}, " + e.name + " courses are open",
				"preheader": "New dates, and places for beginners",
				"html": "<p>Hi {{ contact.first_name | default: 'there' }},</p><p>our " + e.name + " courses are open" +
					"{% if contact.attributes.interest %}, with new dates for {{ contact.attributes.interest }}{% endif %}.</p>",
				"button":   map[string]string{"title": "See the list in our chat"},
				"language": "en",
			},
		},
		"fall_through":  true,
		"allowed_hours": map[string]any{}, // nobody is woken up here
		"follow_up":     map[string]any{"messenger": map[string]string{"text": e.thanks()}, "ask": true},
	}
}

// lanes in the order of the route, and what they are to a marketer.
func laneNames() [][2]string {
	return [][2]string{
		{"window", "Messenger, inside the 24 hours"},
		{"one_time", "Messenger, with their permission"},
		{"sms", "SMS with a link back to the bot"},
		{"email", "E-mail with a link back to the bot"},
	}
}

func (s *story) draft(ctx context.Context) error {
	s.screen.title("A campaign for everybody: one message each, in the best way that is open")
	var made struct {
		ID       string
		Warnings []fieldProblem
	}
	if err := s.api.post(ctx, "/v1/campaigns", courses(s.page, &season{name: "spring"}), &made); err != nil {
		return err
	}
	s.campaign = made.ID
	var p previewAnswer
	if err := s.api.post(ctx, "/v1/campaigns/"+made.ID+"/preview", nil, &p); err != nil {
		return err
	}
	s.screen.say("Preview, with nothing sent yet:")
	for _, l := range laneNames() {
		remark := ""
		if l[0] == "sms" {
			remark = many(p.Segments, "segment", "segments") + " to pay for"
		}
		s.screen.row(l[1], p.Lanes[l[0]], remark)
	}
	s.screen.row("No lawful way", p.Unreachable.Total, "")
	s.screen.sum("Everybody", p.Audience, "")
	return nil
}

// trouble makes the stand-ins behave as the world does.
func (s *story) trouble() {
	chatting, allowed, reachable := s.cast.all(chatsToday), s.cast.all(permitted), s.cast.reachable()
	onlyByMail := slices.DeleteFunc(s.cast.all(onlyInCRM), func(p sample.Person) bool { return p.SMS == sample.Yes || p.Mail != sample.Yes })
	for _, p := range slices.Concat(last(chatting, 3), last(allowed, 2)) {
		s.sim.Block(simulatorPage, sample.PSID(p.Number))
	}
	for _, p := range allowed[:min(3, len(allowed))] {
		s.sim.ExpireToken(sample.Token(simulatorPage, p.Number))
	}
	for i, p := range reachable[:min(6, len(reachable))] {
		s.sim.Refuse(simulator.Twilio, p.Phone, []string{"21610", "30006"}[i%2])
	}
	for _, p := range onlyByMail[:min(2, len(onlyByMail))] {
		s.sim.Refuse(simulator.SendGrid, p.Email, "bounce")
	}
	s.sim.SetFaults(simulator.Graph, simulator.Faults{LostAnswerRate: 0.01, DuplicateCallbacks: 0.05})
	s.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 0.01, DuplicateCallbacks: 0.05})
	s.sim.SetFaults(simulator.SendGrid, simulator.Faults{DuplicateCallbacks: 0.05})
}

func last[T any](all []T, n int) []T { return all[max(len(all)-n, 0):] }

func (s *story) send(ctx context.Context) error {
	s.screen.title("Start")
	s.trouble()
	s.screen.aside("To make it real, 5 people have blocked the page, 3 permissions are void, 3 numbers have said STOP, 3 are landlines,")
	s.screen.aside("2 mailboxes are gone, 1 answer in 100 gets lost on its way back to us, and some callbacks come twice.")
	s.sim.Reset() // from here on, what the stand-ins count is this campaign
	return s.sendOut(ctx)
}

// sendOut starts the campaign and waits until all is confirmed.
func (s *story) sendOut(ctx context.Context) error {
	began := time.Now()
	if err := s.api.post(ctx, "/v1/campaigns/"+s.campaign+"/start", nil, nil); err != nil {
		return err
	}
	var r reportAnswer
	err := await(ctx, patience, 150*time.Millisecond, func() (bool, error) {
		if err := s.api.get(ctx, "/v1/campaigns/"+s.campaign+"/report", &r); err != nil {
			return false, err
		}
		if r.Audience > 0 {
			s.screen.progress(r.progress())
		}
		return r.State == "finished" && r.count("pending")+r.count("sending")+r.count("accepted")+r.count("unknown") == 0, nil
	})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, r.progress())
	}
	s.screen.progressed(fmt.Sprintf("Planned, sent and confirmed in %.1f s: %s", time.Since(began).Seconds(), r.progress()))
	return nil
}

// count is how many deliveries are in a state.
func (r *reportAnswer) count(state string) int {
	return r.Messenger.States[state] + r.LinkBack.States[state]
}

func (r *reportAnswer) progress() string {
	out := []string{thousands(r.Audience) + " planned"}
	for _, state := range []string{"pending", "sending", "unknown", "accepted", "delivered", "failed"} {
		if n := r.count(state); n > 0 {
			out = append(out, thousands(n)+" "+state)
		}
	}
	return strings.Join(out, ", ")
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"beckon/internal/simulator"
)

// errAccounts says that a check failed.
var errAccounts = errors.New("the accounts do not add up")

// account shows where everybody ended up, and holds it against what the
// stand-ins have seen.
func (s *story) account(ctx context.Context) error {
	s.screen.title("Where everybody ended up")
	var r reportAnswer
	if err := s.api.get(ctx, "/v1/campaigns/"+s.campaign+"/report", &r); err != nil {
		return err
	}
	for _, l := range laneNames() {
		s.screen.row(l[1], r.Lanes[l[0]].Total, states(r.Lanes[l[0]].States))
	}
	s.screen.row("No lawful way", r.Unreachable.Total, reasons(r.Unreachable.Reasons))
	s.screen.sum("Everybody", r.Audience, "")
	s.screen.say("The bot alone could write to %s of them. With the link back it is %s.", thousands(r.Messenger.Total), thousands(r.count("delivered")))
	var err error
	if s.places, err = everything[deliveryAnswer](ctx, s.api, "/v1/campaigns/"+s.campaign+"/deliveries"); err != nil {
		return err
	}
	s.screen.gap()
	sum := r.Messenger.Total + r.LinkBack.Total + r.Unreachable.Total
	ok := sum == r.Audience && len(s.places) == r.Audience
	s.screen.check(ok, "messenger %s + link-back %s + unreachable %s = audience %s", thousands(r.Messenger.Total), thousands(r.LinkBack.Total),
		thousands(r.Unreachable.Total), thousands(r.Audience))
	for _, p := range simulator.Providers() {
		ok = s.audit(p) && ok
	}
	if !ok {
		return errAccounts
	}
	return nil
}

func states(of map[string]int) string {
	var out []string
	for _, state := range slices.Sorted(maps.Keys(of)) {
		out = append(out, thousands(of[state])+" "+state)
	}
	return strings.Join(out, ", ")
}

// reasons puts into words why people could not be reached, the most frequent first.
func reasons(of map[string]int) string {
	words := map[string]string{"no_consent": "never said yes", "unsubscribed": "said no", "suppressed": "must be left alone", "no_address": "nowhere to write to",
		"window_closed": "long silent", "no_token": "gave no permission", "blocked": "blocked the page"}
	keys := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(of[b]-of[a], strings.Compare(a, b)) })
	var out []string
	for _, k := range keys {
		out = append(out, thousands(of[k])+" "+cmp.Or(words[k], k))
	}
	return strings.Join(out, ", ")
}

// audit holds the messages that a provider took, recipient by recipient,
// against the deliveries that were accepted on its lanes. What a provider took
// back later (a landline, a bounce) is a delivery no more.
func (s *story) audit(p simulator.Provider) bool {
	want := map[string]int{}
	for _, d := range s.places {
		if d.State == "delivered" || d.State == "accepted" {
			if to := s.addressOn(p, d); to != "" {
				want[to]++
			}
		}
	}
	took, takenBack, twice := s.sim.AcceptedBy(p), 0, 0
	got := map[string]int{}
	for to, n := range took {
		back := s.takenBack(p, to)
		takenBack += back
		if n-back > 0 {
			got[to] = n - back
		}
		if n > 1 {
			twice++
		}
	}
	ok := maps.Equal(want, got) && twice == 0
	later := ""
	if takenBack > 0 {
		later = fmt.Sprintf(" and took back %d", takenBack)
	}
	s.screen.check(ok, "%s took %s%s: exactly our deliveries, recipient by recipient, %s twice", providerName(p), many(len(took), "message", "messages"), later, nobodyOr(twice))
	return ok
}

func nobodyOr(n int) string {
	if n == 0 {
		return "nobody"
	}
	return many(n, "person", "people")
}

func providerName(p simulator.Provider) string {
	return map[simulator.Provider]string{simulator.Graph: "Messenger", simulator.Twilio: "Twilio", simulator.SendGrid: "SendGrid"}[p]
}

// addressOn is where a delivery went, if its lane is the provider's.
func (s *story) addressOn(p simulator.Provider, d deliveryAnswer) string {
	c := s.contacts[d.ContactID]
	switch {
	case p == simulator.Twilio && d.Lane == "sms":
		return c.Phone
	case p == simulator.SendGrid && d.Lane == "email":
		return c.Email
	case p == simulator.Graph && d.Lane != "sms" && d.Lane != "email" && len(c.Messenger) > 0:
		return c.Messenger[0].PSID
	}
	return ""
}

func (s *story) takenBack(p simulator.Provider, to string) int {
	n := 0
	switch p {
	case simulator.Twilio:
		for _, m := range s.sim.Texts(to) {
			n += oneIf(m.Status == "undelivered")
		}
	case simulator.SendGrid:
		for _, m := range s.sim.Mail(to) {
			n += oneIf(m.Event == "bounce" || m.Event == "dropped")
		}
	}
	return n
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

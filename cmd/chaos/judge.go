package main

import (
	"encoding/json"
	"fmt"
)

// outcome is everything that is known at the end of a campaign, from the API,
// from the stand-ins and from the ledger of tokens.
type outcome struct {
	people     map[string]person // by contact id
	state      string
	report     report
	deliveries []delivery
	sent       map[string]int // messages by address, as the stand-ins counted them
	shown      int            // tokens that a send named
	repeated   int            // tokens that two sends named
	tokens     map[string]int // the ledger's, by status
	resolved   bool           // what was unknown has been sent again by a person's decision
}

type report struct {
	State       string
	Stopped     json.RawMessage
	Audience    int
	Messenger   tally
	LinkBack    tally `json:"link_back"`
	Unreachable tally
}

type tally struct {
	Total  int
	States map[string]int
}

// open is how many deliveries have not come to an end.
func (r report) open() (n int) {
	for _, t := range []tally{r.Messenger, r.LinkBack} {
		n += t.States["pending"] + t.States["sending"] + t.States["held"]
	}
	return n
}

type delivery struct {
	ID      int64
	Contact string `json:"contact_id"`
	Lane    string
	State   string
	Code    string
}

// taken reports whether the ledger says that a provider has the message.
func (d delivery) taken() bool { return d.State == "accepted" || d.State == "delivered" }

// cutOff is the code of a delivery whose node died before its answer was
// written down.
const cutOff = "cut_off"

// findings are the counts of an outcome.
type findings struct {
	messages   int // that the stand-ins took
	twice      int // people with two messages
	unattended int // people who were never attempted
	unknown    int
	takenAfter int // unknown though a stand-in took the message
	cost       int // unknown because a node died, and no stand-in has it
	unanswered int // unknown because the provider failed, and no stand-in has it
	leftOut    int // could be reached, and are told as unreachable
	invented   int // told as taken, and no stand-in has it
	forgotten  int // told as failed, and a stand-in has it
	doubled    int // people with two deliveries
	missing    int // people with none
	strangers  int // messages to addresses that nobody has
	spending   int // deliveries on a token, taken or unknown
	stuck      int // unknown, and the token was all there was: it cannot be sent again
}

func (o outcome) find() findings {
	var f findings
	places := map[string]int{}
	for _, d := range o.deliveries {
		places[d.Contact]++
		f.delivery(d, o.people[d.Contact], o.got(d.Contact))
	}
	known := map[string]bool{}
	for id, p := range o.people {
		f.doubled += max(places[id]-1, 0)
		if places[id] == 0 {
			f.missing++
		}
		if o.got(id) > 1 {
			f.twice++
		}
		for _, a := range p.addresses() {
			known[a] = true
		}
	}
	for a, n := range o.sent {
		f.messages += n
		if !known[a] {
			f.strangers += n
		}
	}
	return f
}

// got is how many messages reached a person, wherever.
func (o outcome) got(contact string) (n int) {
	for _, a := range o.people[contact].addresses() {
		n += o.sent[a]
	}
	return n
}

func (f *findings) delivery(d delivery, p person, got int) {
	if d.Lane == "one_time" && (d.taken() || d.State == "unknown") {
		f.spending++
	}
	switch {
	case d.taken() && got == 0:
		f.invented++
	case d.State == "failed" && got > 0:
		f.forgotten++
	case d.State == "unreachable" && p.reachable:
		f.leftOut++
	case d.State == "unknown":
		f.unknownOf(d, p, got)
	case d.State == "pending" || d.State == "sending" || d.State == "held" || d.State == "cancelled" || d.State == "expired":
		f.unattended++
	}
}

func (f *findings) unknownOf(d delivery, p person, got int) {
	f.unknown++
	if d.Lane == "one_time" && len(p.addresses()) == 1 {
		f.stuck++
	}
	switch {
	case got > 0:
		f.takenAfter++
	case d.Code == cutOff:
		f.cost++
	default:
		f.unanswered++
	}
}

// judge notes every count and says which promises are broken.
func (t *trial) judge(o outcome) findings {
	f, r := o.find(), o.report
	t.must(o.state == "finished", "the campaign is", "%s", o.state)
	t.note("messages that the stand-ins took", "%d", f.messages)
	t.must(f.twice == 0, "people with two messages", "%d", f.twice)
	t.must(f.unattended+f.missing+f.leftOut == 0, "people never attempted", "%d", f.unattended+f.missing+f.leftOut)
	t.must(f.strangers == 0, "messages to nobody's address", "%d", f.strangers)
	t.must(f.invented+f.forgotten == 0, "deliveries that the ledger tells wrongly", "%d", f.invented+f.forgotten)
	t.must(r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total == r.Audience && r.Audience == len(o.people),
		"messenger + link-back + unreachable = audience", "%d + %d + %d = %d, of %d people", r.Messenger.Total, r.LinkBack.Total, r.Unreachable.Total, r.Audience, len(o.people))
	t.must(f.doubled+f.missing == 0 && len(o.deliveries) == len(o.people), "one delivery for each", "%d for %d people", len(o.deliveries), len(o.people))
	t.unknowns(o, f)
	t.tokens(o, f)
	return f
}

func (t *trial) unknowns(o outcome, f findings) {
	listed := o.report.Messenger.States["unknown"] + o.report.LinkBack.States["unknown"]
	t.must(listed == f.unknown, "unknown at the end, all listed", "%d, %d in the report", f.unknown, listed)
	t.must(f.takenAfter == 0, "  though a stand-in took the message", "%d", f.takenAfter)
	t.note("  their node died, no stand-in has the message", "%d", f.cost)
	t.note("  the provider failed, no stand-in has the message", "%d", f.unanswered)
	if o.resolved {
		t.must(f.unknown == f.stuck, "  the token is spent and nothing else is open to the person", "%d", f.stuck)
	}
}

func (t *trial) tokens(o outcome, f findings) {
	t.must(o.repeated == 0, "tokens that went out twice", "%d of %d", o.repeated, o.shown)
	spent := fmt.Sprintf("%d, %d deliveries", o.tokens["spent"], f.spending)
	// A token is spent on an unknown outcome too; sent again, the person may get
	// the message on another lane.
	held := o.tokens["spent"] == f.spending || o.resolved && o.tokens["spent"] >= f.spending
	t.must(held, "tokens spent: as many as taken or unknown", "%s", spent)
	t.must(o.tokens["reserved"] == 0, "tokens left reserved", "%d", o.tokens["reserved"])
}

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// perfect is an outcome in which every promise was kept: one person for each
// thing that may come of a delivery.
func perfect() outcome {
	return outcome{
		people: map[string]person{
			"w": {lane: "window", psid: "pw", phone: "+1", reachable: true},
			"t": {lane: "one_time", psid: "pt", reachable: true},
			"u": {lane: "one_time", psid: "pu", email: "u@", reachable: true},
			"s": {lane: "sms", phone: "+2", reachable: true},
			"n": {},
		},
		state: "finished",
		report: report{Audience: 5, Messenger: tally{Total: 3, States: map[string]int{"delivered": 2, "unknown": 1}},
			LinkBack: tally{Total: 1, States: map[string]int{"accepted": 1}}, Unreachable: tally{Total: 1}},
		deliveries: []delivery{
			{1, "w", "window", "delivered", ""}, {2, "t", "one_time", "delivered", ""}, {3, "u", "one_time", "unknown", cutOff},
			{4, "s", "sms", "accepted", ""}, {5, "n", "", "unreachable", ""},
		},
		sent:  map[string]int{"pw": 1, "pt": 1, "+2": 1},
		shown: 1, tokens: map[string]int{"spent": 2},
	}
}

func judged(o outcome) *trial {
	t := newTrial(options{}, scenario{name: "made up", engine: onSQLite}, io.Discard, io.Discard)
	t.judge(o)
	return t
}

func TestAPerfectOutcomeBreaksNothing(t *testing.T) {
	t.Parallel()
	o := perfect()
	require.Empty(t, judged(o).broken)
	f := o.find()
	require.Equal(t, findings{messages: 3, unknown: 1, cost: 1, spending: 2}, f)
	o.deliveries[2].Code = "500"
	f = o.find()
	require.Equal(t, [2]int{0, 1}, [2]int{f.cost, f.unanswered}, "what a provider failed at is no cost of a kill")
}

// A judge who cannot say no proves nothing.
func TestEveryBrokenPromiseIsToldOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*outcome)
		want  string
	}{
		"not finished":           {func(o *outcome) { o.state = "running" }, "the campaign is: running"},
		"twice on one address":   {func(o *outcome) { o.sent["pw"] = 2 }, "people with two messages: 1"},
		"twice on two addresses": {func(o *outcome) { o.sent["+1"] = 1 }, "people with two messages: 1"},
		"never sent":             {func(o *outcome) { o.deliveries[0].State = "pending"; delete(o.sent, "pw") }, "people never attempted: 1"},
		"left in flight":         {func(o *outcome) { o.deliveries[0].State = "sending" }, "people never attempted: 1"},
		"given up":               {func(o *outcome) { o.deliveries[0].State = "cancelled" }, "people never attempted: 1"},
		"left out":               {func(o *outcome) { o.deliveries[3].State = "unreachable"; delete(o.sent, "+2") }, "people never attempted: 1"},
		"a stranger":             {func(o *outcome) { o.sent["who?"] = 1 }, "messages to nobody's address: 1"},
		"invented":               {func(o *outcome) { delete(o.sent, "pw") }, "deliveries that the ledger tells wrongly: 1"},
		"forgotten":              {func(o *outcome) { o.deliveries[0].State = "failed" }, "deliveries that the ledger tells wrongly: 1"},
		"no sum":                 {func(o *outcome) { o.report.LinkBack.Total = 2 }, "messenger + link-back + unreachable = audience: 3 + 2 + 1 = 5, of 5 people"},
		"another audience":       {func(o *outcome) { o.report.Audience, o.report.Messenger.Total = 6, 4 }, "= audience: 4 + 1 + 1 = 6, of 5 people"},
		"two deliveries":         {func(o *outcome) { o.deliveries[4].Contact = "s" }, "one delivery for each: 5 for 5 people"},
		"one too many":           {func(o *outcome) { o.deliveries = append(o.deliveries, delivery{6, "s", "sms", "accepted", ""}) }, "one delivery for each: 6 for 5 people"},
		"not listed":             {func(o *outcome) { o.report.Messenger.States["unknown"] = 0 }, "unknown at the end, all listed: 1, 0 in the report"},
		"not settled":            {func(o *outcome) { o.sent["pu"] = 1 }, "though a stand-in took the message: 1"},
		"a token twice":          {func(o *outcome) { o.repeated = 1 }, "tokens that went out twice: 1 of 1"},
		"a token not spent":      {func(o *outcome) { o.tokens["spent"] = 1 }, "tokens spent: as many as taken or unknown: 1, 2 deliveries"},
		"a token for nothing":    {func(o *outcome) { o.tokens["spent"] = 3 }, "tokens spent: as many as taken or unknown: 3, 2 deliveries"},
		"a token held":           {func(o *outcome) { o.tokens["reserved"] = 1 }, "tokens left reserved: 1"},
		"still unknown":          {func(o *outcome) { o.resolved = true }, "nothing else is open to the person: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := perfect()
			c.spoil(&o)
			require.Contains(t, strings.Join(judged(o).broken, "\n"), c.want)
		})
	}
}

func TestWhatCannotBeSentAgainMayStayUnknown(t *testing.T) {
	t.Parallel()
	o := perfect()
	o.resolved = true
	o.people["u"] = person{lane: "one_time", psid: "pu", reachable: true}
	require.Empty(t, judged(o).broken)
	o.tokens["spent"] = 3 // one was sent again by e-mail, its token stays spent
	require.Empty(t, judged(o).broken)
	o.tokens["spent"] = 1
	require.NotEmpty(t, judged(o).broken)
}

func TestSummarySaysNoWhenOneDidNotHold(t *testing.T) {
	t.Parallel()
	held, broken, failed := judged(perfect()), judged(perfect()), judged(perfect())
	broken.must(false, "a promise", "%d", 7)
	failed.failed = io.ErrUnexpectedEOF
	for want, trials := range map[string][]*trial{"": {held}, "1 of 2": {held, broken}, "2 of 3": {broken, held, failed}} {
		var out bytes.Buffer
		err := summary(&out, trials)
		if want == "" {
			require.NoError(t, err)
			require.Contains(t, out.String(), "held")
			continue
		}
		require.ErrorContains(t, err, want+" scenarios did not hold")
		require.Contains(t, out.String(), "BROKEN")
	}
}

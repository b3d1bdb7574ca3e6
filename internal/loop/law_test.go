package loop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/simulator"
	"beckon/internal/token"
)

// talk is somebody in conversation, as the law sees them.
type talk struct {
	psid       string
	id         uuid.UUID
	stopped    bool
	held       time.Time // until when another app does
	acted      time.Time
	asked      time.Time      // when a "Notify Me" may have gone out last
	thanks     map[string]int // that may have gone out, by their text
	past       []simulator.Event
	deliveries []int64
}

// crowd are people who do as they like, and the campaigns they are in.
type crowd struct {
	*bundle
	t        *rapid.T
	people   map[string]*talk
	psids    []string
	told     int
	outcomes []channel.Outcome // of the calls to come; none is as Messenger does
}

// Whatever people do, whatever Messenger answers and however often a callback
// comes: inside the window nobody is asked twice in the guard time, nobody gets
// two follow-ups for one campaign, and nobody gets one while another app holds the
// conversation, or after they said stop.
func TestNobodyIsPestered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, round := setup(t, d), 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			c := &crowd{bundle: b, t: rt, people: map[string]*talk{}}
			b.exec("DELETE FROM river_job")
			b.sender.before, b.sender.instead = c.watch, c.answer
			for i := range 2 {
				p := &talk{psid: fmt.Sprintf("%d00%d", 70000+round, i), thanks: map[string]int{}}
				p.id = b.known(p.psid, p.psid)
				c.people[p.psid], c.psids = p, append(c.psids, p.psid)
			}
			for range rapid.IntRange(10, 40).Draw(rt, "steps") {
				c.step()
			}
			b.drain()
			for _, p := range c.people {
				for text, n := range p.thanks {
					require.LessOrEqual(rt, n, 1, text)
				}
			}
		})
	})
}

// watch holds each call against the law, just before it is made.
func (c *crowd) watch(psid, _ string) {
	p, now := c.people[psid], c.now()
	require.NotNil(c.t, p, "a call to nobody")
	require.False(c.t, now.Before(p.held), "while another app holds the conversation")
	require.False(c.t, p.stopped, "to somebody who said stop")
	require.Less(c.t, now.Sub(p.acted), 24*time.Hour, "outside the window")
}

func (c *crowd) answer(psid, text string) *channel.Result {
	p, ask := c.people[psid], len(text) > 4 && text[:4] == "ask:"
	var o channel.Outcome
	if len(c.outcomes) > 0 {
		o, c.outcomes = c.outcomes[0], c.outcomes[1:]
	}
	if ask {
		require.True(c.t, p.asked.IsZero() || c.now().Sub(p.asked) >= token.DefaultGuard, "asked twice in the guard time")
	}
	if o == "" || o == channel.Unknown {
		if ask {
			p.asked = c.now()
		} else {
			p.thanks[text]++
		}
	}
	if o == "" {
		return nil
	}
	return &channel.Result{Outcome: o}
}

// step is one thing that happens.
func (c *crowd) step() {
	p := c.people[rapid.SampledFrom(c.psids).Draw(c.t, "who")]
	switch rapid.SampledFrom([]string{"campaign", "campaign", "say", "say", "tap", "feel", "return", "return", "again", "stop or start", "hold or free",
		"notify me", "later", "later", "work", "work", "work", "soon", "trouble", "trouble", "crash"}).Draw(c.t, "what") {
	case "campaign":
		c.write(p)
		if rapid.Bool().Draw(c.t, "and answered") {
			c.act(p, simulator.Event{Kind: simulator.Said, Text: "Hi"})
		}
	case "say":
		c.act(p, simulator.Event{Kind: simulator.Said, Text: "Hello"})
	case "tap":
		c.act(p, simulator.Event{Kind: simulator.Tapped, Text: "Yes", Payload: "YES"})
	case "feel":
		c.act(p, simulator.Event{Kind: simulator.Reacted, Text: "👍", MID: "m_sent"})
	case "return":
		if len(p.deliveries) > 0 {
			c.act(p, simulator.Event{Kind: simulator.Referred, Ref: c.codes.Code(rapid.SampledFrom(p.deliveries).Draw(c.t, "link"))})
		}
	case "again":
		if len(p.past) > 0 {
			c.post(rapid.SampledFrom(p.past).Draw(c.t, "which"))
		}
	case "stop or start":
		c.word(p)
	case "hold or free":
		c.hand(p)
	case "notify me":
		c.advance(time.Millisecond)
		if _, err := c.sim.TapNotifyMe(c.bundle.t.Context(), graphPage, p.psid); err == nil { // they were asked
			p.stopped = false // to agree is to want messages again
		}
	case "later":
		c.advance(rapid.SampledFrom([]time.Duration{10 * time.Second, 10 * time.Second, 10 * time.Minute, 2 * time.Hour, 23 * time.Hour, 6 * 24 * time.Hour, 8 * 24 * time.Hour}).Draw(c.t, "after"))
	case "work":
		c.drain()
	case "soon":
		c.drain()
		c.advance(10 * time.Second)
		c.drain()
	case "trouble":
		c.outcomes = rapid.SliceOfN(rapid.SampledFrom([]channel.Outcome{"", channel.TryLater, channel.Unknown, channel.Unknown, channel.Refused, channel.TokenDead}), 1, 4).Draw(c.t, "outcomes")
	case "crash": // between writing down that thanks go out and what came of them
		c.exec("UPDATE follow_ups SET state = 'thanking' WHERE state = 'due'")
	}
}

// write sends somebody a campaign of their own.
func (c *crowd) write(p *talk) {
	c.told++
	lane := rapid.SampledFrom([]channel.Lane{channel.Window, channel.LaneSMS}).Draw(c.t, "lane")
	follow := fmt.Sprintf(`{"messenger":{"text":"Thanks for %s %d"},"ask":true}`, p.psid, c.told)
	p.deliveries = append(p.deliveries, c.sent(c.campaign(follow).ID, p.id, lane))
}

func (c *crowd) act(p *talk, ev simulator.Event) {
	ev.Page, ev.PSID, ev.At = graphPage, p.psid, c.now()
	if ev.Kind == simulator.Said || ev.Kind == simulator.Tapped {
		ev.MID = fmt.Sprintf("m_%s_%d", p.psid, len(p.past))
	}
	p.past = append(p.past, ev)
	p.acted = ev.At
	c.post(ev)
}

func (c *crowd) post(ev simulator.Event) {
	require.NoError(c.t, c.sim.PostEvents(c.bundle.t.Context(), []simulator.Event{ev}))
}

// word lets somebody say stop, or start, which is heard at once.
func (c *crowd) word(p *talk) {
	c.advance(time.Millisecond)
	p.stopped = !p.stopped
	said := map[bool]string{true: "STOP", false: "Start."}[p.stopped]
	c.tx(func(tx *db.Tx) error {
		return c.Hear(c.bundle.t.Context(), tx, channel.Heard{Page: c.page, People: map[string]uuid.UUID{p.psid: p.id},
			Events: []channel.Event{{Kind: channel.EventMessage, PSID: p.psid, Text: said, At: c.now()}}})
	})
}

// hand gives a conversation to another app, or back to us.
func (c *crowd) hand(p *talk) {
	c.advance(time.Millisecond)
	app := "263902037430900"
	if c.now().Before(p.held) {
		app, p.held = contact.Us, time.Time{}
	} else {
		p.held = c.now().Add(24 * time.Hour)
	}
	c.tx(func(tx *db.Tx) error {
		return c.contacts.NoteThreads(c.bundle.t.Context(), tx, c.page, []contact.Sign{{Kind: contact.HandedOver, PSID: p.psid, App: app, At: c.now()}})
	})
}

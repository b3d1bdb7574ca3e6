package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// tokenLife is how long an unused one-time token is good.
const tokenLife = 365 * 24 * time.Hour

type personKey struct{ page, psid string }

// person is a simulated person on one Page. Guarded by its table's shard.
type person struct {
	lastAction time.Time
	blocked    bool
	holder     string       // the other app that holds the thread; "" when it is the bot's
	tokens     int          // granted by GrantToken, to number them
	asked      []optInAsked // opt-in requests not yet answered
	invited    []invitation // to recurring messages, not yet answered
	inbox      []Message    // empty when lean
	profile    *Profile     // nil: none to be read
}

type optInAsked struct{ payload string }

// grant is a one-time token somebody holds. Guarded by its table's shard.
type grant struct {
	key     personKey
	expires time.Time
	used    bool
	shown   int // sends that named it and were looked at
}

// Message is what a person got in Messenger. Text is how a phone would read it
// out: the text, or what is written on the cards, pictures and buttons.
type Message struct {
	MID, Text, Metadata string
	Raw                 json.RawMessage // the message object as it was sent
	At                  time.Time
	ByToken             bool // sent to a one-time token
}

// accept applies the rules about the person, the window and the token; on
// success the message is the person's and its receipts are queued.
func (g *graph) accept(c *call, p *page, m *sendRequest) (mid, psid string, fail *graphError) {
	now := g.s.clock().UTC()
	token, recurring := m.Recipient[byToken], m.Recipient[byRecurring]
	key := personKey{p.id, m.Recipient[byPSID]}
	switch {
	case token != "":
		key, fail = g.holder(p, token, now)
	case recurring != "":
		key, fail = g.holderOf(p, recurring, now)
	}
	if fail != nil {
		return "", "", fail
	}
	if fail = g.turnedDown(c, token, key); fail == nil {
		fail = g.reachable(key, m, now)
	}
	if fail == nil && token != "" {
		fail = g.spend(token)
	}
	if fail == nil && recurring != "" {
		fail = g.rest(recurring, now)
	}
	if fail != nil {
		return "", "", fail
	}
	mid = "m_" + newID()
	g.hand(key, c.body, m, Message{MID: mid, Metadata: m.Message.Metadata, At: now, ByToken: m.toToken()})
	g.queueReceipts(c, key, mid, m.Message, now)
	return mid, key.psid, nil
}

// turnedDown is the refusal that Refuse or RefuseRate asks for.
func (g *graph) turnedDown(c *call, token string, key personKey) *graphError {
	if code := c.desk.fate(key.psid); code != "" {
		return errAsked(code)
	}
	if !c.desk.dice.hit(c.faults.RefuseRate) {
		return nil
	}
	if token != "" {
		return errOneTimeToken(token, "is invalid")
	}
	return errWindow()
}

// holder is who holds a token that is still good.
func (g *graph) holder(p *page, token string, now time.Time) (key personKey, fail *graphError) {
	g.tokens.with(token, func(m map[string]*grant) {
		t := m[token]
		if t != nil {
			t.shown++
		}
		switch {
		case t == nil || t.key.page != p.id:
			fail = errOneTimeToken(token, "is invalid")
		case t.used:
			fail = errOneTimeToken(token, "has already been used")
		case !now.Before(t.expires):
			fail = errOneTimeToken(token, "has expired")
		default:
			key = t.key
		}
	})
	return key, fail
}

// spend uses a token up; of two sends at once only one succeeds.
func (g *graph) spend(token string) (fail *graphError) {
	g.tokens.with(token, func(m map[string]*grant) {
		if m[token].used {
			fail = errOneTimeToken(token, "has already been used")
		}
		m[token].used = true
	})
	return fail
}

// reachable tells whether the person can be written to: known, not blocking,
// and inside the window unless a token or an approved template stands in.
func (g *graph) reachable(key personKey, m *sendRequest, now time.Time) (fail *graphError) {
	if m.isUtility() {
		if fail = g.approved(key.page, m.Message.Template); fail != nil {
			return fail
		}
	}
	free := m.isUtility() || m.toToken()
	g.people.with(key, func(people map[personKey]*person) {
		p := people[key]
		switch {
		case p == nil:
			fail = errNoPerson()
		case p.blocked:
			fail = errBlocked()
		case p.holder != "":
			fail = errElsewhere()
		case !free && now.Sub(p.lastAction) > windowLength:
			fail = errWindow()
		}
	})
	return fail
}

// hand puts the message into the person's inbox, unless lean, and remembers an
// opt-in request until it is answered.
func (g *graph) hand(key personKey, body []byte, m *sendRequest, got Message) {
	asked := optInRequest(m.Message)
	in, invites := invited(m.Message)
	if g.s.cfg.Lean && asked == nil && !invites {
		return
	}
	if !g.s.cfg.Lean {
		got.Raw = rawMessage(body)
		got.Text = m.Message.shown()
	}
	g.people.with(key, func(people map[personKey]*person) {
		p := people[key]
		if asked != nil {
			p.asked = append(p.asked, *asked)
		}
		if invites {
			p.invited = append(p.invited, in)
		}
		if !g.s.cfg.Lean {
			p.inbox = append(p.inbox, got)
		}
	})
}

func optInRequest(m *graphMessage) *optInAsked {
	if m.Attachment == nil || m.Attachment.Payload.TemplateType != "one_time_notif_req" {
		return nil
	}
	return &optInAsked{payload: m.Attachment.Payload.Payload}
}

// rawMessage cuts the message object out of a body that was read before.
func rawMessage(body []byte) json.RawMessage {
	var raw struct{ Message json.RawMessage }
	_ = json.Unmarshal(body, &raw) // it was valid a moment ago
	return bytes.Clone(raw.Message)
}

// Received returns what a person got on a Page, oldest first; nothing when
// lean.
func (s *Simulator) Received(page, psid string) []Message {
	key := personKey{page, psid}
	var got []Message
	s.graph.people.with(key, func(people map[personKey]*person) {
		if p := people[key]; p != nil {
			got = slices.Clone(p.inbox)
		}
	})
	return got
}

// AddPeople makes psid-1 … psid-n known on a Page, each with an open window,
// and returns their PSIDs. No webhook is posted.
func (s *Simulator) AddPeople(page string, n int) []string {
	psids := make([]string, n)
	for i := range n {
		psids[i] = "psid-" + strconv.Itoa(i+1)
		s.graph.acted(personKey{page, psids[i]}, s.clock())
	}
	return psids
}

// CloseWindow moves a person's last action out of the 24 hours.
func (s *Simulator) CloseWindow(page, psid string) {
	s.graph.acted(personKey{page, psid}, s.clock().Add(-windowLength-time.Minute))
}

// GrantToken gives a person another valid one-time token, with no webhook. The
// n-th one is always otn-<page>-<psid>-<n>.
func (s *Simulator) GrantToken(page, psid string) string {
	key := personKey{page, psid}
	var n int
	s.graph.person(key, func(p *person) {
		p.tokens++
		n = p.tokens
	})
	token := "otn-" + page + "-" + psid + "-" + strconv.Itoa(n)
	s.graph.grant(token, key)
	return token
}

// ExpireToken lets a token lapse now; an unknown one is left alone.
func (s *Simulator) ExpireToken(token string) {
	s.graph.tokens.with(token, func(m map[string]*grant) {
		if t := m[token]; t != nil {
			t.expires = s.clock()
		}
	})
}

func (g *graph) grant(token string, key personKey) {
	expires := g.s.clock().Add(tokenLife)
	g.tokens.with(token, func(m map[string]*grant) {
		if m[token] == nil {
			m[token] = &grant{key: key, expires: expires}
		}
	})
}

// acted notes the person's last qualifying action.
func (g *graph) acted(key personKey, at time.Time) {
	g.person(key, func(p *person) { p.lastAction = at })
}

// person runs f on a person, who becomes known by it.
func (g *graph) person(key personKey, f func(*person)) {
	g.people.with(key, func(people map[personKey]*person) {
		p := people[key]
		if p == nil {
			p = &person{}
			people[key] = p
		}
		f(p)
	})
}

package simulator

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// ErrNothingToTap is returned when the person was never offered what they are
// to tap.
var ErrNothingToTap = errors.New("simulator: the person was not offered that")

// Say lets a person write to a Page. Like everything a person does here, it
// makes them known, moves their window, and posts a signed webhook at once; the
// error says that it was not acknowledged.
func (s *Simulator) Say(ctx context.Context, page, psid, text string) error {
	return s.PostEvents(ctx, []Event{{Kind: Said, Page: page, PSID: psid, Text: text}})
}

// TapQuickReply lets a person tap the last quick reply they got that has this
// payload. When lean, it takes any payload.
func (s *Simulator) TapQuickReply(ctx context.Context, page, psid, payload string) error {
	title, ok := s.offered(page, psid, func(m *graphMessage) (string, bool) { return m.replyTitle(payload) })
	if !ok {
		return ErrNothingToTap
	}
	return s.PostEvents(ctx, []Event{{Kind: Tapped, Page: page, PSID: psid, Text: title, Payload: payload}})
}

// TapPostback lets a person press the last button they got that has this
// payload. When lean, it takes any payload.
func (s *Simulator) TapPostback(ctx context.Context, page, psid, payload string) error {
	title, ok := s.offered(page, psid, func(m *graphMessage) (string, bool) { return m.buttonTitle(payload) })
	if !ok {
		return ErrNothingToTap
	}
	return s.PostEvents(ctx, []Event{{Kind: Pressed, Page: page, PSID: psid, Text: title, Payload: payload}})
}

// offered looks for something to tap in what the person got, newest first.
func (s *Simulator) offered(page, psid string, find func(*graphMessage) (string, bool)) (title string, ok bool) {
	if s.cfg.Lean {
		return "Yes", true
	}
	for _, got := range slices.Backward(s.Received(page, psid)) {
		m, err := parseMessage(got.Raw)
		if err != nil {
			return "", false
		}
		if title, ok := find(m); ok {
			return title, true
		}
	}
	return "", false
}

func (m *graphMessage) replyTitle(payload string) (string, bool) {
	for _, q := range m.QuickReplies {
		if q.ContentType == "text" && q.Payload == payload {
			return q.Title, true
		}
	}
	return "", false
}

func (m *graphMessage) buttonTitle(payload string) (string, bool) {
	if m.Attachment == nil {
		return "", false
	}
	buttons := m.Attachment.Payload.Buttons
	for _, e := range m.Attachment.Payload.Elements {
		buttons = append(buttons, e.Buttons...)
	}
	for _, b := range buttons {
		if b.Type == "postback" && b.Payload == payload {
			return b.Title, true
		}
	}
	return "", false
}

// GetStarted lets a person open a thread with a Page for the first time, by an
// m.me link when ref is given.
func (s *Simulator) GetStarted(ctx context.Context, page, psid, ref string) error {
	return s.PostEvents(ctx, []Event{{
		Kind: Started, Page: page, PSID: psid, Ref: ref, Payload: s.graph.getStartedPayload(page),
	}})
}

// Referral lets a person follow an m.me link into a thread they already have.
func (s *Simulator) Referral(ctx context.Context, page, psid, ref string) error {
	return s.PostEvents(ctx, []Event{{Kind: Referred, Page: page, PSID: psid, Ref: ref}})
}

// Open lets a person follow an m.me link: Referral for a known person,
// GetStarted for a new one.
func (s *Simulator) Open(ctx context.Context, page, psid, ref string) error {
	if _, known := s.graph.people.get(personKey{page, psid}); known {
		return s.Referral(ctx, page, psid, ref)
	}
	return s.GetStarted(ctx, page, psid, ref)
}

// TapNotifyMe answers the last opt-in request the person has not answered, and
// returns the token that the webhook carried. Each request is answered once.
func (s *Simulator) TapNotifyMe(ctx context.Context, page, psid string) (token string, err error) {
	key := personKey{page, psid}
	var asked optInAsked
	var found bool
	s.graph.people.with(key, func(people map[personKey]*person) {
		if p := people[key]; p != nil && len(p.asked) > 0 {
			last := len(p.asked) - 1
			asked, found = p.asked[last], true
			p.asked = p.asked[:last]
		}
	})
	if !found {
		return "", ErrNothingToTap
	}
	token = "otn_" + newID()
	return token, s.PostEvents(ctx, []Event{{
		Kind: OptedIn, Page: page, PSID: psid, Payload: asked.payload, Token: token,
	}})
}

// React lets a person put an emoji under a message.
func (s *Simulator) React(ctx context.Context, page, psid, mid, emoji string) error {
	return s.PostEvents(ctx, []Event{{Kind: Reacted, Page: page, PSID: psid, MID: mid, Text: emoji}})
}

// Read lets a person read everything up to now.
func (s *Simulator) Read(ctx context.Context, page, psid string) error {
	return s.PostEvents(ctx, []Event{{Kind: HasRead, Page: page, PSID: psid}})
}

// Block lets a person block the Page, which no webhook tells.
func (s *Simulator) Block(page, psid string) { s.setBlocked(page, psid, true) }

// Unblock takes Block back.
func (s *Simulator) Unblock(page, psid string) { s.setBlocked(page, psid, false) }

func (s *Simulator) setBlocked(page, psid string, blocked bool) {
	s.graph.person(personKey{page, psid}, func(p *person) { p.blocked = blocked })
}

// VerifyWebhook makes the GET with which Meta checks a webhook URL. It returns
// an error unless the challenge comes back.
func (s *Simulator) VerifyWebhook(ctx context.Context) error {
	challenge := newID()
	query := url.Values{
		"hub.mode": {"subscribe"}, "hub.verify_token": {s.cfg.VerifyToken}, "hub.challenge": {challenge},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.CallbackURL()+"/webhooks/messenger?"+query.Encode(), nil)
	if err != nil {
		return &postError{provider: Graph, cause: bare(err)}
	}
	body, fail := s.do(req, Graph)
	if fail != nil {
		return fail
	}
	if string(body) != challenge {
		return errors.New("simulator: the webhook answered something other than the challenge")
	}
	return nil
}

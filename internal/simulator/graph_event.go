package simulator

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxEntries is how many Messenger events share one webhook body at most, and
// perEntry how many of one Page share an entry of it.
const (
	maxEntries = 50
	perEntry   = 8
)

// EventKind names what happened on Messenger.
type EventKind int

// What a person can do, and what the stand-in tells about messages.
const (
	Said       EventKind = iota // Text
	Tapped                      // a quick reply: Text, Payload
	Pressed                     // a button: Text is its title, Payload
	Started                     // Get Started: Payload, Ref when the person came by a link
	Referred                    // a link into an existing thread: Ref
	OptedIn                     // Notify Me: Payload, Token
	Reacted                     // to message MID, with emoji Text
	HasRead                     // everything up to At
	Echoed                      // the Page sent MID: Text, Metadata
	Delivered                   // MID reached the person
	HandedOver                  // the thread is App's now

	GaveRecurring    // a recurring token: Text is its title, Payload, Token, Expires
	EndedRecurring   // the same, stopped
	ResumedRecurring // and taken up again
)

// opensWindow reports whether the event is a qualifying action.
func (k EventKind) opensWindow() bool { return k <= Reacted && k != OptedIn }

// Event is one event of a Messenger webhook.
type Event struct {
	Kind          EventKind
	Page, PSID    string
	At            time.Time // zero: now
	Text, Payload string
	Ref, Token    string
	Expires       time.Time // of a recurring token
	MID           string    // made up for a message of the person's when empty
	Metadata      string
	App           string // who echoed, when it was not the bot; who got the thread

	standby bool // another app holds the thread
}

// WebhookBody is the body of a Messenger webhook with these events, and the
// header that signs it: for load generators that post it themselves. It changes
// nothing in the simulator.
func (s *Simulator) WebhookBody(events []Event) (body []byte, header http.Header) {
	body = make([]byte, 0, 64+len(events)*320)
	body = append(body, `{"object":"page","entry":[`...)
	for start := 0; start < len(events); {
		end := start + 1
		for end < len(events) && end-start < perEntry && events[end].Page == events[start].Page && events[end].standby == events[start].standby {
			end++
		}
		if start > 0 {
			body = append(body, ',')
		}
		body = s.appendEntry(body, events[start:end])
		start = end
	}
	body = append(body, `]}`...)
	return body, s.sign(body)
}

// sign is the header of a Messenger webhook.
func (s *Simulator) sign(body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(s.cfg.AppSecret))
	mac.Write(body)
	return http.Header{
		"Content-Type":        {"application/json"},
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}
}

// appendEntry writes one entry; all events are of one Page, and all or none are
// told in standby.
func (s *Simulator) appendEntry(b []byte, events []Event) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, events[0].Page)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, s.clock().UnixMilli(), 10)
	if events[0].standby {
		b = append(b, `,"standby":[`...)
	} else {
		b = append(b, `,"messaging":[`...)
	}
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendEvent(b, &events[i])
	}
	return append(b, `]}`...)
}

func (s *Simulator) appendEvent(b []byte, e *Event) []byte {
	from, to := e.PSID, e.Page
	if e.Kind == Echoed {
		from, to = to, from
	}
	at := e.At
	if at.IsZero() {
		at = s.clock()
	}
	ms := at.UnixMilli()
	b = appendField(b, `{"sender":{"id":`, from)
	b = appendField(b, `},"recipient":{"id":`, to)
	b = append(b, `},"timestamp":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, ',')
	b = s.appendBody(b, e, ms)
	return append(b, '}')
}

// appendBody writes the part that differs by kind.
func (s *Simulator) appendBody(b []byte, e *Event, ms int64) []byte {
	switch e.Kind {
	case Said, Tapped, Echoed:
		return s.appendMessage(b, e)
	case Pressed, Started:
		return appendPostback(b, e)
	case Referred:
		return appendReferral(b, e.Ref)
	case OptedIn:
		b = appendField(b, `"optin":{"type":"one_time_notif_req","payload":`, e.Payload)
		b = appendField(b, `,"one_time_notif_token":`, e.Token)
	case GaveRecurring, EndedRecurring, ResumedRecurring:
		b = appendRecurring(b, e)
	case Reacted:
		b = appendField(b, `"reaction":{"reaction":"other","action":"react","emoji":`, e.Text)
		b = appendField(b, `,"mid":`, e.MID)
	case HandedOver:
		b = s.appendHandover(b, e.App)
	case HasRead:
		b = append(b, `"read":{"watermark":`...)
		b = strconv.AppendInt(b, ms, 10)
	case Delivered:
		b = appendField(b, `"delivery":{"mids":[`, e.MID)
		b = append(b, `],"watermark":`...)
		b = strconv.AppendInt(b, ms, 10)
	}
	return append(b, '}')
}

func (s *Simulator) appendMessage(b []byte, e *Event) []byte {
	mid := e.MID
	if mid == "" {
		mid = "m_" + newID()
	}
	b = appendField(b, `"message":{"mid":`, mid)
	switch e.Kind {
	case Tapped:
		b = appendField(b, `,"quick_reply":{"payload":`, e.Payload)
		b = append(b, '}')
	case Echoed:
		b = append(b, `,"is_echo":true,"app_id":`...)
		b = appendNumber(b, cmp.Or(e.App, s.cfg.AppID))
		if e.Metadata != "" {
			b = appendField(b, `,"metadata":`, e.Metadata)
		}
	}
	if e.Text != "" {
		b = appendField(b, `,"text":`, e.Text)
	}
	return append(b, '}')
}

func appendPostback(b []byte, e *Event) []byte {
	title := e.Text
	if title == "" {
		title = "Get Started"
	}
	b = appendField(b, `"postback":{"title":`, title)
	if e.standby { // what was tapped is for the holder only
		return append(b, '}')
	}
	b = appendField(b, `,"payload":`, e.Payload)
	if e.Ref != "" {
		b = append(b, ',')
		b = appendReferral(b, e.Ref)
	}
	return append(b, '}')
}

func appendReferral(b []byte, ref string) []byte {
	b = appendField(b, `"referral":{"ref":`, ref)
	return append(b, `,"source":"SHORTLINK","type":"OPEN_THREAD"}`...)
}

func appendField(b []byte, lead, value string) []byte {
	return appendString(append(b, lead...), value)
}

// appendNumber writes an id as a number where it is one.
func appendNumber(b []byte, id string) []byte {
	if _, err := strconv.ParseUint(id, 10, 64); err != nil {
		return appendString(b, id)
	}
	return append(b, id...)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string as Meta does: pure ASCII, with everything
// else, and the slash, escaped.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			b = appendUnit(appendUnit(b, hi), lo)
		} else {
			b = appendUnit(b, r)
		}
		i += n
	}
	return append(b, '"')
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\' || c == '/':
		return append(b, '\\', c)
	case c < ' ' || c == 0x7f:
		return appendUnit(b, rune(c))
	}
	return append(b, c)
}

func appendUnit(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// queueReceipts queues what Meta tells after acceptance: the echo, the
// delivery, and for a share the reading.
func (g *graph) queueReceipts(c *call, key personKey, mid string, m *graphMessage, at time.Time) {
	if !g.s.receipts() {
		return
	}
	echo := Event{Kind: Echoed, Page: key.page, PSID: key.psid, At: at, MID: mid, Metadata: m.Metadata}
	if m.Text != nil {
		echo.Text = *m.Text
	}
	delivery := Event{Kind: Delivered, Page: key.page, PSID: key.psid, At: at, MID: mid}
	events := []Event{echo, delivery}
	if c.desk.dice.hit(g.s.cfg.Receipts.ReadShare) {
		events = append(events, Event{Kind: HasRead, Page: key.page, PSID: key.psid, At: at})
	}
	tell(c, g.receipts, events...)
}

func (g *graph) postReceipts(ctx context.Context, events []Event) error {
	return g.s.post(ctx, g.webhook(events))
}

func (g *graph) webhook(events []Event) *callback {
	body, header := g.s.WebhookBody(events)
	return &callback{
		provider: Graph, url: g.s.CallbackURL() + "/webhooks/messenger", header: header, body: body,
		retries: g.s.cfg.Receipts.retries(8),
	}
}

// errNoCallbackURL is what the phone says when it has nobody to tell.
var errNoCallbackURL = errors.New("simulator: no callback URL")

// PostEvents lets the people in the events act and posts webhooks of up to 50
// events each, one after the other, without retry. It returns an error when
// one is not acknowledged; the people have acted all the same. Events with no
// time are given the present one, in place.
func (s *Simulator) PostEvents(ctx context.Context, events []Event) error {
	for i := range events {
		s.graph.act(&events[i])
	}
	if s.CallbackURL() == "" {
		return errNoCallbackURL
	}
	for start := 0; start < len(events); start += maxEntries {
		part := events[start:min(start+maxEntries, len(events))]
		if err := s.postOnce(ctx, s.graph.webhook(part)); err != nil {
			return err
		}
	}
	return nil
}

// act does to the person what the event says, and dates it.
func (g *graph) act(e *Event) {
	if e.At.IsZero() {
		e.At = g.s.clock()
	}
	key := personKey{e.Page, e.PSID}
	g.people.with(key, func(people map[personKey]*person) {
		p := people[key]
		e.standby = p != nil && p.holder != "" && e.Kind != HandedOver
	})
	if e.Kind.opensWindow() {
		g.acted(key, e.At)
	}
	if e.Kind == OptedIn {
		g.person(key, func(*person) {})
		g.grant(e.Token, key)
	}
}

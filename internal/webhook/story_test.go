package webhook_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
)

// soul is a person of a story: with a PSID of their own, and the deliveries that
// run for them.
type soul struct {
	psid    string
	known   bool     // from the beginning
	sent    []flight // on Messenger
	links   []flight // by text or mail
	forward int64    // a personal link of somebody else who is in Messenger already
	request uuid.UUID
}

// flight is a delivery under way.
type flight struct {
	id    int64
	at    time.Time
	named bool // its provider's id is known
}

// The kinds of souls, by turns.
const (
	member    = iota // of the CRM, in Messenger
	textOnly         // of the CRM, reached by text and mail
	twofold          // of the CRM by phone, and in Messenger under no name
	stranger         // not known yet
	forwarder        // a stranger who was given somebody's link
	both             // in Messenger, with texts besides
	kinds
)

// populate makes people with deliveries under way: the same ones, under the same
// numbers, in every database.
func (b *bundle) populate(n int) []soul {
	b.t.Helper()
	souls, crm, anonymous := make([]soul, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	for i := range souls {
		souls[i].psid = fmt.Sprintf("246801357%05d", i)
		souls[i].known = i%kinds == member || i%kinds == twofold || i%kinds == both
	}
	b.tx(func(tx *db.Tx) error { return b.settlePeople(tx, souls, crm, anonymous) })
	hours := func(n float64) time.Time { return noon.Add(-time.Duration(n * float64(time.Hour))) }
	for _, c := range []struct {
		lane  channel.Lane
		at    time.Time
		to    delivery.State
		whose []uuid.UUID
		kinds []int
	}{
		{channel.Window, hours(5), delivery.Accepted, crm, []int{member, both}},
		{channel.Window, hours(4.8), delivery.Accepted, anonymous, []int{twofold}},
		{channel.OneTime, hours(4), delivery.Unknown, crm, []int{member}},
		{channel.LaneSMS, hours(3), delivery.Accepted, crm, []int{member, textOnly, twofold, both}},
		{channel.LaneEmail, hours(2), delivery.Accepted, crm, []int{textOnly, both}},
		{channel.Window, hours(1.5), delivery.Sending, crm, []int{member}},
	} {
		var who []int
		for _, kind := range c.kinds {
			for i := kind; i < n; i += kinds {
				who = append(who, i)
			}
		}
		first := b.fly(c.lane, c.at, c.to, who, c.whose)
		for k, i := range who {
			f := flight{first + int64(k), c.at, c.to == delivery.Accepted}
			switch {
			case c.lane.Kind() == channel.Messenger:
				souls[i].sent = append(souls[i].sent, f)
			case i%kinds == member: // who uses this link is somebody else
				souls[min(i+forwarder, n-1)].forward = f.id
			default:
				souls[i].links = append(souls[i].links, f)
			}
		}
	}
	return souls
}

func (b *bundle) settlePeople(tx *db.Tx, souls []soul, crm, anonymous []uuid.UUID) error {
	var drafts []contact.Draft
	var into []*uuid.UUID
	for i := range souls {
		address := []contact.MessengerID{{PageID: b.page, PSID: souls[i].psid}}
		named := contact.Draft{ExternalID: contact.Of(fmt.Sprintf("crm-%d", i))}
		switch i % kinds {
		case member, both:
			named.Messenger = address
		case twofold:
			drafts, into = append(drafts, contact.Draft{Messenger: address}), append(into, &anonymous[i])
		case stranger, forwarder:
			continue
		}
		drafts, into = append(drafts, named), append(into, &crm[i])
	}
	results, err := b.contacts.UpsertMany(b.t.Context(), tx, drafts)
	for i, r := range results {
		*into[i] = r.ContactID
	}
	for i := member; i < len(souls) && err == nil; i += kinds {
		binary.BigEndian.PutUint64(souls[i].request[8:], uint64(i+1))
		err = tx.Exec("INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'courses', 'sent', ?, ?)",
			souls[i].request, crm[i], b.page, noon.Add(-6*time.Hour), noon).Error
	}
	return err
}

// fly makes a campaign to people that went out at a moment.
func (b *bundle) fly(lane channel.Lane, at time.Time, to delivery.State, who []int, ids []uuid.UUID) (first int64) {
	b.t.Helper()
	b.clock.Store(at.UnixMicro())
	defer b.clock.Store(noon.UnixMicro())
	campaign := uuid.Must(uuid.NewV7())
	places := make([]delivery.Place, len(who))
	for k, i := range who {
		require.NotEqual(b.t, uuid.Nil, ids[i])
		places[k] = delivery.Place{Contact: ids[i], Lane: lane}
	}
	b.tx(func(tx *db.Tx) (err error) {
		if err := tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, ?, ?, 'courses', '{}', '[]', '{}', 'running', ?, ?)`, campaign, at.Format(time.Kitchen), b.page, at, at).Error; err != nil {
			return err
		}
		if first, err = b.ledger.Write(tx, campaign, places); err != nil {
			return err
		}
		got, err := b.ledger.Claim(tx, delivery.Batch{CampaignID: campaign, Lane: lane, FirstID: first, LastID: first + int64(len(who)) - 1}, 1, len(who))
		if err != nil || to == delivery.Sending {
			return err
		}
		var out []delivery.Settlement
		for _, c := range got {
			s := delivery.Settlement{Try: delivery.Try{Delivery: c.ID, N: c.Attempt, Lane: lane, Started: at}, To: to, Outcome: channel.Outcome(to)}
			if to == delivery.Accepted {
				s.Result.ProviderID = mid(c.ID)
			}
			out = append(out, s)
		}
		_, err = b.ledger.Settle(tx, out)
		return err
	})
	return first
}

func mid(id int64) string { return fmt.Sprintf("m_out_%d", id) }

// happening is one event as Meta writes it.
type happening struct {
	at   time.Time
	key  string // messaging, standby or changes
	item string
}

// story writes down what people do with what is sent to them.
type story struct {
	*rand.Rand
	b   *bundle
	out []happening
	n   int
}

func (s *story) often(share float64) bool { return s.Float64() < share }

// later is a moment within so long after another, before noon.
func (s *story) later(at time.Time, within time.Duration) time.Time {
	at = at.Add(time.Second + time.Duration(s.Int64N(int64(within/time.Millisecond)))*time.Millisecond)
	if at.After(noon) {
		return noon.Add(-time.Duration(s.IntN(1000)+1) * time.Millisecond)
	}
	return at
}

func (s *story) add(key, from, to string, at time.Time, what string, args ...any) {
	stamp := at.UnixMilli()
	if at.Equal(at.Truncate(time.Second)) {
		stamp = at.Unix() // in seconds, as it happens
	}
	s.out = append(s.out, happening{at, key, fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,%s}`, from, to, stamp, fmt.Sprintf(what, args...))})
}

func (s *story) does(p soul, at time.Time, what string, args ...any) {
	s.add("messaging", p.psid, "5001", at, what, args...)
}

// says is something that opens the window: words, a tap, a feeling.
func (s *story) says(p soul, at time.Time) {
	s.n++
	switch s.IntN(6) {
	case 0:
		s.does(p, at, `"message":{"mid":"m_in_%d","text":"Yes","quick_reply":{"payload":"YES"}}`, s.n)
	case 1:
		s.does(p, at, `"postback":{"mid":"m_in_%d","title":"More","payload":"MORE"}`, s.n)
	case 2:
		s.does(p, at, `"reaction":{"mid":"m_x","action":"react","reaction":"love"}`)
	case 3:
		s.does(p, at, `"message":{"mid":"m_in_%d","attachments":[{"type":"image","payload":{"url":"https://cdn.example/a"}}]}`, s.n)
	default:
		s.does(p, at, `"message":{"mid":"m_in_%d","text":"Hello %d"}`, s.n, s.n)
	}
}

// comes is a return by a link, into a thread that is there or a new one; past
// us, while another app holds the thread, at times.
func (s *story) comes(p soul, at time.Time, code string) {
	switch s.IntN(5) {
	case 0, 1:
		s.does(p, at, `"postback":{"title":"Get Started","payload":"GET_STARTED","referral":{"ref":%q,"source":"SHORTLINK","type":"OPEN_THREAD"}}`, code)
	case 2:
		s.add("standby", p.psid, "5001", at, `"referral":{"ref":%q,"source":"SHORTLINK","type":"OPEN_THREAD"}`, code)
	default:
		s.does(p, at, `"referral":{"ref":%q,"source":"SHORTLINK","type":"OPEN_THREAD"}`, code)
	}
}

// gets is what becomes of a message: proof, delivery, reading, an answer.
func (s *story) gets(p soul, f flight) {
	if s.often(0.7) {
		s.add(pick(s, "messaging", "standby"), "5001", p.psid, s.later(f.at, 3*time.Second), `"message":{"mid":%q,"is_echo":true,"app_id":7,"metadata":"bk:%s"}`, mid(f.id), s.b.marks.Code(f.id))
	}
	at := s.later(f.at.Add(4*time.Second), time.Hour)
	if s.often(0.7) {
		s.does(p, at, `"delivery":{"mids":[%q,"m_else"],"watermark":%d}`, mid(f.id), at.Add(-time.Second).UnixMilli())
	}
	if s.often(0.5) {
		s.does(p, s.later(at, time.Minute), `"delivery":{"watermark":%d}`, at.UnixMilli())
	}
	if s.often(0.6) {
		at = s.later(at, time.Hour)
		s.add(pick(s, "messaging", "standby"), p.psid, "5001", at, `"read":{"watermark":%d}`, at.UnixMilli())
	}
	if s.often(0.5) {
		s.says(p, s.later(at, time.Hour))
	}
}

func pick(s *story, usual, seldom string) string {
	if s.often(0.9) {
		return usual
	}
	return seldom
}

// live is one person's part of the story.
func (s *story) live(p soul) {
	for _, f := range p.sent {
		s.gets(p, f)
	}
	for _, f := range p.links {
		for range s.IntN(3) {
			at := s.later(f.at, 2*time.Hour)
			s.comes(p, at, s.b.codes.Code(f.id))
			s.says(p, s.later(at, time.Hour))
		}
	}
	if p.forward != 0 {
		s.comes(p, s.later(noon.Add(-2*time.Hour), time.Hour), s.b.codes.Code(p.forward))
	}
	any := func() time.Time { return s.later(noon.Add(-6*time.Hour), 6*time.Hour) }
	for range s.IntN(4) {
		s.says(p, any())
	}
	if p.request != uuid.Nil && s.often(0.5) {
		s.grants(p, any(), "bk:optin:"+p.request.String())
	}
	for range s.IntN(2) {
		s.grants(p, any(), []string{"courses", "ASK_COURSES", "another-bots", ""}[s.IntN(4)])
	}
	if s.often(0.3) {
		s.allows(p, any())
	}
	if p.known && s.often(0.5) {
		s.handsOver(p, any())
	}
	s.noise(p, any())
}

// allows is a recurring permission: given, and then renewed, stopped and resumed.
func (s *story) allows(p soul, at time.Time) {
	permission := func(at time.Time, more string) {
		s.does(p, at, `"optin":{"type":"notification_messages","payload":"courses","title":"News","notification_messages_token":"nm-%s","token_expiry_timestamp":%d%s}`,
			p.psid, at.AddDate(0, 6, 0).UnixMilli(), more)
	}
	permission(at, `,"user_token_status":"NOT_REFRESHED"`)
	for _, more := range []string{`,"user_token_status":"REFRESHED"`, `,"notification_messages_status":"STOP NOTIFICATIONS"`, `,"notification_messages_status":"RESUME_NOTIFICATIONS"`} {
		if at = s.later(at, time.Hour); s.often(0.6) {
			permission(at, more)
		}
	}
}

// handsOver has the thread go back and forth between us, another bot and a
// human.
func (s *story) handsOver(p soul, at time.Time) {
	for range 1 + s.IntN(4) {
		at = s.later(at, time.Hour)
		switch s.IntN(4) {
		case 0:
			s.does(p, at, `"pass_thread_control":{"previous_owner_app_id":"7","new_owner_app_id":"8"}`)
		case 1:
			s.does(p, at, `"take_thread_control":{"previous_owner_app_id":"8","new_owner_app_id":"7"}`)
		case 2:
			s.add("messaging", "5001", p.psid, at, `"message":{"mid":"m_human","is_echo":true,"app_id":263902037430900,"text":"Hello"}`)
		default:
			s.add("standby", p.psid, "5001", at, `"message":{"mid":"m_human","text":"Hello, human"}`)
		}
	}
}

func (s *story) grants(p soul, at time.Time, payload string) {
	s.n++
	s.does(p, at, `"optin":{"type":"one_time_notif_req","payload":%q,"one_time_notif_token":"otn-%d"}`, payload, s.n)
}

// noise is what else a Page hears.
func (s *story) noise(p soul, at time.Time) {
	switch s.IntN(12) {
	case 0:
		s.add("messaging", "5001", "5001", at, `"policy_enforcement":{"action":"block"}`)
	case 1:
		s.add("standby", p.psid, "5001", at, `"delivery":{"watermark":%d}`, at.UnixMilli())
	case 2:
		s.add("messaging", "5001", p.psid, at, `"message":{"mid":"m_bot","is_echo":true,"app_id":8,"metadata":"theirs","text":"Hello"}`)
	case 3:
		s.does(p, at, `"reaction":{"mid":"m_x","action":"unreact"}`)
	case 4:
		s.does(p, at, `"request_thread_control":{"requested_owner_app_id":"8","metadata":"m"}`)
	case 5:
		s.does(p, at, `"app_roles":{"8":["primary_receiver"]}`)
	case 6:
		s.does(p, at, `"optin":{"ref":"plugin","user_ref":"u"}`)
	case 7:
		s.does(p, at, `"referral":{"ref":"somebody-elses","source":"ADS","type":"OPEN_THREAD"}`)
	case 8:
		s.add("messaging", "5001", "5001", at, `"policy_enforcement":{"action":"warning","reason":"Links"}`)
	case 9:
		s.does(p, at, `"account_linking":{"status":"linked"}`)
	case 10:
		s.out = append(s.out, happening{at, "changes", `{"field":"message_template_status_update","value":{"event":"APPROVED","message_template_name":"visit","message_template_language":"en"}}`})
	default:
		s.does(p, at, `"referral":{"ref":"0000000000000000"}`)
	}
}

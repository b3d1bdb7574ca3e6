package dispatch

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/route"
	"beckon/internal/token"
)

// scope is what makes reach a question: on which page, for which topic, when.
type scope struct {
	page     uuid.UUID
	topic    string
	now      time.Time
	capable  map[channel.Lane]string // what is known of the Page: works, off
	pageZone string
	zoneOf   func(contact, phone, page string) *campaign.Zone
	channels map[channel.Kind]bool
	noTokens bool // the route has no lane for one-time tokens: none is looked for
	noPSIDs  bool // nor for anything in Messenger
	// recurring: the route has the lane for recurring tokens.
	recurring bool
	// transactional and approved are what lets the lane utility be used.
	transactional, approved bool
	// spent: the campaign's budget for texts is reached, and people go on to their
	// next lane; saving: it is reached, and they wait for more.
	spent, saving bool
	closed        map[string]bool // countries to which no texts go
	countryOf     func(phone string) string
}

// off reports whether Meta does not let the Page use the lane.
func (s scope) off(lane channel.Lane) bool { return s.capable[lane] == "off" }

// unproven reports whether it is not known yet if Meta lets the Page use the lane.
func (s scope) unproven(lane channel.Lane) bool {
	switch lane {
	case channel.OneTime, channel.Recurring, channel.Utility:
		return s.capable[lane] != "works" && !s.off(lane)
	}
	return false
}

// person is one contact with everything the decision and the message need.
type person struct {
	id      uuid.UUID
	reach   route.Reach
	tokenID uuid.NullUUID
	permit  uuid.NullUUID  // the recurring token, when the route has the lane
	zone    *campaign.Zone // where on the clock they are
	psid    string
	phone   string
	email   string
	who     campaign.Recipient // names and attributes; filled by people, not by crowd
}

// tokenFor is the token that a message on the lane would go out with.
func (p *person) tokenFor(lane channel.Lane) uuid.UUID {
	if lane == channel.Recurring {
		return p.permit.UUID
	}
	return p.tokenID.UUID
}

// One query brings all that the decision needs, the oldest token first. The CASE
// keeps planners to the contact's own tokens: the index by expiry holds everybody's.
const (
	reachColumns = `c.id, c.time_zone, m.psid, m.last_action_at, m.blocked_at, m.held_until, COALESCE(st.stopped, FALSE), c.phone, c.sms_consent_status,
	EXISTS (SELECT 1 FROM suppressions s WHERE s.channel = 'sms' AND s.hash = c.phone_hash), c.email, c.email_consent_status,
	EXISTS (SELECT 1 FROM suppressions s WHERE s.channel = 'email' AND s.hash = c.email_hash),
	(SELECT t.id FROM tokens t WHERE ? AND t.contact_id = c.id AND t.page_id = ? AND t.topic = ? AND t.status = 'available'
		AND CASE WHEN t.expires_at > ? THEN TRUE ELSE FALSE END ORDER BY t.granted_at, t.id LIMIT 1)`
	personColumns = `, c.external_id, c.first_name, c.last_name, c.locale, c.attributes`
	reachJoins    = `
	LEFT JOIN messenger_addresses m ON ? AND m.contact_id = c.id AND m.page_id = ?
	LEFT JOIN stops st ON st.page_id = m.page_id AND st.contact_id = m.contact_id`
	recurringColumns = `, r.id, r.status, r.expires_at, r.eligible_at`
	recurringJoin    = `
	LEFT JOIN recurring_tokens r ON r.contact_id = c.id AND r.page_id = ? AND r.topic = ? AND r.id = (SELECT t.id FROM recurring_tokens t
		WHERE t.contact_id = c.id AND t.page_id = ? AND t.topic = ? AND t.status IN ('live', 'stopped')
		ORDER BY CASE WHEN t.status = 'stopped' THEN 1 WHEN t.expires_at <= ? THEN 2 ELSE 0 END, t.eligible_at, t.id LIMIT 1)`
)

// asked are the parts of a question for reach, with the arguments of each.
type asked struct {
	columns, joins         string
	columnArgs, joinedArgs []any
}

func (s scope) ask(full bool) asked {
	a := asked{columns: reachColumns, joins: reachJoins,
		columnArgs: []any{!s.noTokens, s.page, s.topic, s.now}, joinedArgs: []any{!s.noPSIDs, s.page}}
	if s.recurring {
		a.columns, a.joins = a.columns+recurringColumns, a.joins+recurringJoin
		a.joinedArgs = append(a.joinedArgs, s.page, s.topic, s.page, s.topic, s.now)
	}
	if full {
		a.columns += personColumns
	}
	return a
}

// audienceOf is a stretch of an audience, by contact id.
type audienceOf struct {
	where        string
	args         []any
	after, until uuid.UUID
	limit        int
	full         bool // with names and attributes
}

// crowd reads the next contacts of an audience.
func (s scope) crowd(q *gorm.DB, a audienceOf) ([]person, error) {
	ask := s.ask(a.full)
	args := slices.Concat(ask.columnArgs, ask.joinedArgs, []any{a.after, a.until}, a.args, []any{a.limit})
	rows, err := q.Raw(`SELECT `+ask.columns+` FROM contacts c`+ask.joins+`
		WHERE c.id > ? AND c.id <= ? AND (`+a.where+`) ORDER BY c.id LIMIT ?`, args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read the audience: %w", err)
	}
	return s.scan(rows, a.full, a.limit)
}

// people reads the given contacts with what a message to them needs, locking
// nothing. Contacts that are gone are left out.
func (s scope) people(tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]person, error) {
	return s.peopleOf(tx.DB, ids, tx.Values("v", db.UUIDs("id", ids)))
}

// peopleOf is people over any handle: values is the relation v(id).
func (s scope) peopleOf(q *gorm.DB, ids []uuid.UUID, values any) (map[uuid.UUID]person, error) {
	ask := s.ask(true)
	rows, err := q.Raw(`SELECT `+ask.columns+` FROM ? JOIN contacts c ON c.id = v.id`+ask.joins,
		slices.Concat(ask.columnArgs, []any{values}, ask.joinedArgs)...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	list, err := s.scan(rows, true, len(ids))
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]person, len(list))
	for _, p := range list {
		out[p.id] = p
	}
	return out, nil
}

func (s scope) scan(rows *sql.Rows, full bool, size int) ([]person, error) {
	defer rows.Close()
	out := make([]person, 0, min(size, 10_000))
	for rows.Next() {
		var p person
		var r row
		cells := r.cells(&p)
		if s.recurring {
			cells = append(cells, &p.permit, &r.permitStatus, &r.permitEnds, &r.eligible)
		}
		if full {
			cells = append(cells, &r.externalID, &p.who.FirstName, &p.who.LastName, &p.who.Locale, (*[]byte)(&p.who.Attributes))
		}
		if err := rows.Scan(cells...); err != nil {
			return nil, fmt.Errorf("read reach: %w", err)
		}
		r.fill(&p, s)
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read reach: %w", err)
	}
	return out, nil
}

// row holds the columns that may be NULL.
type row struct {
	timeZone                                        string
	psid, phone, email, externalID                  sql.NullString
	permitStatus                                    sql.NullString
	lastAction, blocked, held, permitEnds, eligible sql.NullTime
}

func (r *row) cells(p *person) []any {
	return []any{&p.id, &r.timeZone, &r.psid, &r.lastAction, &r.blocked, &r.held, &p.reach.Stopped, &r.phone, &p.reach.SMSConsent, &p.reach.PhoneSuppressed, &r.email, &p.reach.EmailConsent, &p.reach.EmailSuppressed, &p.tokenID}
}

func (r *row) fill(p *person, s scope) {
	p.psid, p.phone, p.email = r.psid.String, r.phone.String, r.email.String
	p.who.ExternalID, p.who.Phone, p.who.Email = r.externalID.String, p.phone, p.email
	p.zone = s.zoneOf(r.timeZone, p.phone, s.pageZone)
	x := &p.reach
	x.HasMessenger, x.Blocked, x.LastAction = r.psid.Valid, r.blocked.Valid, r.lastAction.Time
	x.ThreadHeld = r.held.Valid && s.now.Before(r.held.Time)
	x.Token, x.OneTimeOff = p.tokenID.Valid, s.off(channel.OneTime)
	x.Recurring = route.Permit{Known: p.permit.Valid, Stopped: r.permitStatus.String == string(token.Stopped), Expires: r.permitEnds.Time, Eligible: r.eligible.Time}
	x.RecurringOff, x.UtilityOff = s.off(channel.Recurring), s.off(channel.Utility)
	x.Transactional, x.TemplateApproved = s.transactional, s.approved
	x.SMSAbroad = s.abroad(p.phone)
	x.Phone, x.SMSOff = r.phone.Valid, !s.channels[channel.SMS]
	x.SMSSpent = s.spent
	x.Email, x.EmailOff = r.email.Valid, !s.channels[channel.Email]
}

// to is where a message on the lane goes.
func (p *person) to(lane channel.Lane) string {
	switch lane.Kind() {
	case channel.SMS:
		return p.phone
	case channel.Email:
		return p.email
	}
	return p.psid
}

// Reach says which lanes are open for a contact right now, on a page and for a
// topic: one decision for each lane, as if it were the whole route.
func (e *Engine) Reach(ctx context.Context, contactID, pageID uuid.UUID, topic string) (map[channel.Lane]route.Decision, error) {
	s, err := e.scope(e.db.Read(ctx), &campaign.Definition{PageID: pageID, Topic: topic})
	s.recurring = true
	if err != nil {
		return nil, err
	}
	ids := []uuid.UUID{contactID}
	found, err := s.peopleOf(e.db.Read(ctx), ids, e.db.Values("v", db.UUIDs("id", ids)))
	if err != nil {
		return nil, err
	}
	p, ok := found[contactID]
	if !ok {
		return nil, errNoContact
	}
	out := map[channel.Lane]route.Decision{}
	for _, lane := range channel.Lanes() {
		out[lane] = route.Decide(p.reach, []channel.Lane{lane}, s.now)
	}
	return out, nil
}

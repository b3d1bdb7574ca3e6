package audience

import (
	"time"

	"github.com/google/uuid"
)

// Moment is when rules are evaluated, for those that ask about now.
type Moment struct {
	Now   time.Time
	Guard time.Duration // how long a person is not asked again for a permission on the same topic
}

// askable is how long after their last action a person may be asked: the 24
// hours of the window but for the margin that asking keeps.
const askable = 24*time.Hour - 5*time.Minute

// refusedAsAsked is the code of a request that Graph refused because the person
// was asked for the topic already (Messenger Platform error codes).
const refusedAsAsked = "613/1893016"

// whereAskable finds people who may be asked for a permission right now: what
// asking itself checks, as a condition. Those who have given one already are
// left out, unless the rule stacks.
func (r rule) whereAskable(alias string, at Moment) cond {
	topics := make([]any, len(r.values))
	for i, v := range r.values {
		topics[i] = v.text
	}
	c := cond{`EXISTS (SELECT 1 FROM messenger_addresses near JOIN topics about ON about.slug IN ? AND about.slug <> 'unsorted'
		WHERE near.contact_id = ` + alias + `.id AND near.blocked_at IS NULL AND near.last_action_at > ? AND (near.held_until IS NULL OR near.held_until <= ?)
		AND NOT EXISTS (SELECT 1 FROM stops said WHERE said.page_id = near.page_id AND said.contact_id = near.contact_id AND said.stopped)
		AND NOT EXISTS (SELECT 1 FROM lines way WHERE way.sender = ? || CAST(near.page_id AS TEXT) AND way.stopped_at IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM page_asking rest WHERE rest.page_id = near.page_id AND (rest.stopped_at IS NOT NULL OR rest.slow_until > ?))
		AND NOT EXISTS (SELECT 1 FROM capabilities may WHERE may.page_id = near.page_id AND may.name = 'one_time' AND may.state = 'off')
		AND NOT EXISTS (SELECT 1 FROM opt_in_requests asked WHERE asked.contact_id = near.contact_id AND asked.page_id = near.page_id
			AND asked.topic = about.slug AND asked.asked_at > ? AND (asked.state <> 'failed' OR asked.code = ?))`,
		[]any{topics, at.Now.Add(-askable), at.Now, "messenger:", at.Now, at.Now.Add(-at.Guard), refusedAsAsked}}
	if !r.stack {
		c.sql += ` AND NOT EXISTS (SELECT 1 FROM tokens held WHERE held.contact_id = near.contact_id AND held.page_id = near.page_id
			AND held.topic = about.slug AND held.status = 'available')`
	}
	if r.page != uuid.Nil {
		c.sql, c.args = c.sql+" AND near.page_id = ?", append(c.args, r.page)
	}
	c.sql += ")"
	if r.op == Ne {
		return c.negated()
	}
	return c
}

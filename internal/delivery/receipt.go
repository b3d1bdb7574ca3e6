package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Receipt is a provider's word about a delivery that it names by our number.
type Receipt struct {
	Delivery   int64
	Channel    channel.Kind
	Kind       channel.EventKind // EventEcho, EventAccepted, EventDelivered or EventRead
	ProviderID string            // when it says
	At         time.Time
}

// onChannel tells the channel a delivery stands on: a late word about a lane it
// has left is not about what it does now.
const onChannel = `CASE deliveries.lane WHEN 'sms' THEN 'sms' WHEN 'email' THEN 'email' ELSE 'messenger' END`

const messengerLanes = `('window', 'one_time', 'utility', 'recurring')`

// Mark notes receipts. Each counts once, in any order: of each time the earliest
// stays, unknown becomes accepted or delivered, accepted becomes delivered, and
// a delivery that is still being sent keeps the evidence for its settlement. What
// is about the message of an earlier try, which failed, says nothing.
func (s *Store) Mark(tx *db.Tx, receipts []Receipt) error {
	if len(receipts) == 0 {
		return nil
	}
	if err := s.mark(tx, s.proofs(receipts)); err != nil {
		return fmt.Errorf("note receipts: %w", err)
	}
	return nil
}

// inOrder returns rows by their delivery. Whoever changes several deliveries
// takes them in this order: two that did so in different ones would wait for
// each other, until the database breaks one of them off.
func inOrder[T any](rows []T, delivery func(T) int64) []T {
	out := slices.Clone(rows)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(delivery(a), delivery(b)) })
	return out
}

// proof is all that receipts of one channel say about a delivery.
type proof struct {
	Receipt
	delivered, read time.Time
}

// proofs brings receipts together by delivery and channel: an UPDATE joins each
// row once only.
func (s *Store) proofs(receipts []Receipt) []proof {
	var out []proof
	type about struct {
		delivery int64
		channel  channel.Kind
	}
	at := map[about]int{}
	for _, r := range inOrder(receipts, func(r Receipt) int64 { return r.Delivery }) {
		if r.At.IsZero() {
			r.At = s.now()
		}
		n, seen := at[about{r.Delivery, r.Channel}]
		if !seen {
			n = len(out)
			at[about{r.Delivery, r.Channel}] = n
			out = append(out, proof{Receipt: r})
		}
		out[n].add(r)
	}
	return out
}

func (p *proof) add(r Receipt) {
	p.At, p.ProviderID = earlier(p.At, r.At), cmp.Or(p.ProviderID, r.ProviderID)
	if r.Kind == channel.EventDelivered || r.Kind == channel.EventRead {
		p.delivered = earlier(p.delivered, r.At)
	}
	if r.Kind == channel.EventRead {
		p.read = earlier(p.read, r.At)
	}
}

// earlier returns the first of two moments, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// earliest sets a time of a delivery to the earlier one of its own and v's.
func earliest(column, v string) string {
	return "CASE WHEN " + v + " IS NULL OR deliveries." + column + " <= " + v + " THEN deliveries." + column + " ELSE " + v + " END"
}

func (s *Store) mark(tx *db.Tx, proofs []proof) error {
	n := len(proofs)
	ids, kinds, providers := make([]int64, n), make([]string, n), make([]string, n)
	accepted, delivered, read := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	for i, p := range proofs {
		ids[i], kinds[i], providers[i] = p.Delivery, string(p.Channel), p.ProviderID
		accepted[i], delivered[i], read[i] = p.At, p.delivered, p.read
	}
	return tx.Exec(`UPDATE deliveries SET
		provider_id = CASE WHEN deliveries.provider_id = '' THEN v.provider_id ELSE deliveries.provider_id END,
		accepted_at = CASE WHEN deliveries.accepted_at <= v.accepted_at THEN deliveries.accepted_at
			WHEN v.accepted_at < deliveries.sent_at THEN deliveries.sent_at ELSE v.accepted_at END,
		delivered_at = `+earliest("delivered_at", "v.delivered_at")+`,
		read_at = `+earliest("read_at", "v.read_at")+`,
		state = CASE WHEN deliveries.state = 'sending' THEN 'sending'
			WHEN v.delivered_at IS NOT NULL OR deliveries.delivered_at IS NOT NULL THEN 'delivered' ELSE 'accepted' END
		FROM ? WHERE deliveries.id = v.id AND CASE WHEN deliveries.state IN ('sending', 'unknown', 'accepted', 'delivered') THEN `+onChannel+` = v.channel ELSE FALSE END
			AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery_id = v.id AND a.provider_id = v.provider_id AND v.provider_id <> ''
				AND a.n < deliveries.attempt AND a.outcome IN ('try_later', 'stop_the_line'))`,
		tx.Values("v", db.Int64s("id", ids), db.Texts("channel", kinds), db.Texts("provider_id", providers),
			db.Times("accepted_at", accepted), db.Times("delivered_at", delivered), db.Times("read_at", read))).Error
}

// Watermark is Messenger's word that everything sent to a person up to then has
// arrived, or was read; or, with a message id, that this one has. The earliest
// word of each kind stays.
type Watermark struct {
	PSID string
	MID  string // "" stands for everything up to At
	At   time.Time
	Read bool
}

// MarkUpTo notes watermarks of a page. One that comes while it is not known
// whether a delivery was taken says nothing about that: it is kept, and counts
// once there is proof.
func (s *Store) MarkUpTo(tx *db.Tx, page uuid.UUID, marks []Watermark) error {
	if len(marks) == 0 {
		return nil
	}
	n := len(marks)
	psids, mids, at, read := make([]string, n), make([]string, n), make([]time.Time, n), make([]time.Time, n)
	for i, m := range marks {
		psids[i], mids[i], at[i] = m.PSID, m.MID, m.At
		if m.Read {
			read[i] = m.At
		}
	}
	err := tx.Exec(`UPDATE deliveries SET
		delivered_at = `+earliest("delivered_at", "w.at")+`, read_at = `+earliest("read_at", "w.read_at")+`,
		state = CASE WHEN deliveries.state = 'accepted' THEN 'delivered' ELSE deliveries.state END
		FROM (SELECT d.id, MIN(v.at) AS at, MIN(v.read_at) AS read_at FROM ?
			JOIN messenger_addresses m ON m.page_id = v.page AND m.psid = v.psid
			JOIN deliveries d ON d.contact_id = m.contact_id
			JOIN campaigns c ON c.id = d.campaign_id AND c.page_id = m.page_id
			WHERE d.lane IN `+messengerLanes+` AND d.state IN ('sending', 'unknown', 'accepted', 'delivered')
				AND CASE WHEN v.mid = '' THEN d.sent_at <= v.at ELSE d.provider_id = v.mid END
				AND (d.state = 'accepted' OR d.delivered_at IS NULL OR v.at < d.delivered_at
					OR v.read_at IS NOT NULL AND (d.read_at IS NULL OR v.read_at < d.read_at))
			GROUP BY d.id) AS w
		WHERE deliveries.id = w.id`,
		tx.Values("v", db.UUIDs("page", slices.Repeat([]uuid.UUID{page}, n)), db.Texts("psid", psids), db.Texts("mid", mids), db.Times("at", at), db.Times("read_at", read))).Error
	if err != nil {
		return fmt.Errorf("note watermarks: %w", err)
	}
	return nil
}

// Open is a delivery whose last try a late word may still change.
type Open struct {
	Try
	CampaignID uuid.UUID
	ContactID  uuid.UUID
	ProviderID string
	State      State
}

// Opens locks and returns those of the given deliveries that stand on the
// channel and are sending, unknown, accepted or delivered.
func (s *Store) Opens(tx *db.Tx, kind channel.Kind, ids []int64) ([]Open, error) {
	var out []Open
	err := tx.Raw(`SELECT id AS delivery, attempt AS n, lane, sent_at AS started, campaign_id, contact_id, provider_id, state
		FROM deliveries WHERE id IN ? AND state IN ('sending', 'unknown', 'accepted', 'delivered') AND `+onChannel+` = ? ORDER BY id`+tx.ForUpdate(),
		ids, kind).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("look up deliveries: %w", err)
	}
	return out, nil
}

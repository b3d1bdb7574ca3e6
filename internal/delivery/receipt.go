package delivery

import (
	"cmp"
	"fmt"
	"maps"
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

// Mark notes receipts. Each counts once, in any order: times are set once,
// unknown becomes accepted or delivered, accepted becomes delivered, and a
// delivery that is still being sent keeps the evidence for its settlement.
func (s *Store) Mark(tx *db.Tx, receipts []Receipt) error {
	for _, once := range unique(inOrder(receipts, func(r Receipt) int64 { return r.Delivery })) {
		if err := s.mark(tx, once); err != nil {
			return fmt.Errorf("note receipts: %w", err)
		}
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

// unique splits receipts so that no part names a delivery twice: an UPDATE
// joins each row once only.
func unique(receipts []Receipt) [][]Receipt {
	var parts [][]Receipt
	seen := map[int64]int{}
	for _, r := range receipts {
		n := seen[r.Delivery]
		seen[r.Delivery]++
		if n == len(parts) {
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], r)
	}
	return parts
}

func (s *Store) mark(tx *db.Tx, receipts []Receipt) error {
	n := len(receipts)
	ids, kinds, providers := make([]int64, n), make([]string, n), make([]string, n)
	accepted, delivered, read := make([]time.Time, n), make([]time.Time, n), make([]time.Time, n)
	for i, r := range receipts {
		at := r.At
		if at.IsZero() {
			at = s.now()
		}
		ids[i], kinds[i], providers[i], accepted[i] = r.Delivery, string(r.Channel), r.ProviderID, at
		if r.Kind == channel.EventDelivered || r.Kind == channel.EventRead {
			delivered[i] = at
		}
		if r.Kind == channel.EventRead {
			read[i] = at
		}
	}
	return tx.Exec(`UPDATE deliveries SET
		provider_id = CASE WHEN deliveries.provider_id = '' THEN v.provider_id ELSE deliveries.provider_id END,
		accepted_at = COALESCE(deliveries.accepted_at, v.accepted_at),
		delivered_at = COALESCE(deliveries.delivered_at, v.delivered_at),
		read_at = COALESCE(deliveries.read_at, v.read_at),
		state = CASE WHEN deliveries.state = 'sending' THEN 'sending'
			WHEN v.delivered_at IS NOT NULL OR deliveries.delivered_at IS NOT NULL THEN 'delivered' ELSE 'accepted' END
		FROM ? WHERE deliveries.id = v.id AND CASE WHEN deliveries.state IN ('sending', 'unknown', 'accepted', 'delivered') THEN `+onChannel+` = v.channel ELSE FALSE END`,
		tx.Values("v", db.Int64s("id", ids), db.Texts("channel", kinds), db.Texts("provider_id", providers),
			db.Times("accepted_at", accepted), db.Times("delivered_at", delivered), db.Times("read_at", read))).Error
}

// Watermark is Messenger's word that everything sent to a person up to then has
// arrived, or was read; or, with a message id, that this one has.
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
		delivered_at = COALESCE(deliveries.delivered_at, w.at), read_at = COALESCE(deliveries.read_at, w.read_at),
		state = CASE WHEN deliveries.state = 'accepted' THEN 'delivered' ELSE deliveries.state END
		FROM (SELECT d.id, MIN(v.at) AS at, MIN(v.read_at) AS read_at FROM ?
			JOIN messenger_addresses m ON m.page_id = v.page AND m.psid = v.psid
			JOIN deliveries d ON d.contact_id = m.contact_id
			JOIN campaigns c ON c.id = d.campaign_id AND c.page_id = m.page_id
			WHERE d.lane IN `+messengerLanes+` AND d.state IN ('sending', 'unknown', 'accepted', 'delivered')
				AND CASE WHEN v.mid = '' THEN d.sent_at <= v.at ELSE d.provider_id = v.mid END
				AND (d.state = 'accepted' OR d.delivered_at IS NULL OR v.read_at IS NOT NULL AND d.read_at IS NULL)
			GROUP BY d.id) AS w
		WHERE deliveries.id = w.id`,
		tx.Values("v", db.UUIDs("page", slices.Repeat([]uuid.UUID{page}, n)), db.Texts("psid", psids), db.Texts("mid", mids), db.Times("at", at), db.Times("read_at", read))).Error
	if err != nil {
		return fmt.Errorf("note watermarks: %w", err)
	}
	return nil
}

// Seen is a moment at which a person did something about a delivery.
type Seen struct {
	Delivery int64
	At       time.Time
}

// Clicked notes that personal links were opened. The first time counts.
func (s *Store) Clicked(tx *db.Tx, seen []Seen) error {
	_, err := s.note(tx, "clicked_at", seen)
	return err
}

// Returned notes that people came back to the bot by their links. The first
// time counts: it returns those whose first it was.
func (s *Store) Returned(tx *db.Tx, seen []Seen) ([]channel.Reaction, error) {
	return s.note(tx, "returned_at", seen)
}

func (s *Store) note(tx *db.Tx, column string, seen []Seen) (now []channel.Reaction, err error) {
	if len(seen) == 0 {
		return nil, nil
	}
	first := map[int64]time.Time{}
	for _, x := range seen {
		if at, known := first[x.Delivery]; !known || x.At.Before(at) {
			first[x.Delivery] = x.At
		}
	}
	ids, at := make([]int64, 0, len(first)), make([]time.Time, 0, len(first))
	for _, id := range slices.Sorted(maps.Keys(first)) {
		ids, at = append(ids, id), append(at, first[id])
	}
	err = tx.Raw("UPDATE deliveries SET "+column+" = v.at FROM ? WHERE deliveries.id = v.id AND deliveries."+column+" IS NULL RETURNING "+reaction+column+" AS at",
		tx.Values("v", db.Int64s("id", ids), db.Times("at", at))).Scan(&now).Error
	if err != nil {
		return nil, fmt.Errorf("note %s: %w", column, err)
	}
	return now, nil
}

// reaction are the columns of a channel.Reaction, but its time.
const reaction = "deliveries.id AS delivery, deliveries.campaign_id AS campaign, deliveries.contact_id AS contact, deliveries."

// ReplyWithin is how long after a message something the person does in the
// conversation counts as a reply to it.
const ReplyWithin = 7 * 24 * time.Hour

// Reply is a person's message, tap or reaction in Messenger.
type Reply struct {
	Contact uuid.UUID
	At      time.Time
}

// Replied notes replies, each on the newest delivery that had put its person into
// the conversation by then: one sent by Messenger, or one whose link brought them
// back. It returns the deliveries that had none before.
func (s *Store) Replied(tx *db.Tx, replies []Reply) (now []channel.Reaction, err error) {
	if len(replies) == 0 {
		return nil, nil
	}
	contacts, at, until, since := make([]uuid.UUID, len(replies)), make([]time.Time, len(replies)), make([]time.Time, len(replies)), make([]time.Time, len(replies))
	for i, r := range replies {
		contacts[i], at[i] = r.Contact, r.At
		until[i], since[i] = r.At.Add(time.Second), r.At.Add(-ReplyWithin) // providers' clocks are rounded
	}
	err = tx.Raw(`UPDATE deliveries SET replied_at = w.at
		FROM (SELECT newest.id, MIN(newest.at) AS at FROM (SELECT MAX(d.id) AS id, v.at FROM ? JOIN deliveries d ON d.contact_id = v.contact
				WHERE d.sent_at <= v.until AND d.sent_at > v.since AND (d.lane IN `+messengerLanes+` OR d.returned_at IS NOT NULL)
				GROUP BY d.contact_id, v.at) AS newest
			GROUP BY newest.id) AS w
		WHERE deliveries.id = w.id AND deliveries.replied_at IS NULL RETURNING `+reaction+"replied_at AS at",
		tx.Values("v", db.UUIDs("contact", contacts), db.Times("at", at), db.Times("until", until), db.Times("since", since))).Scan(&now).Error
	if err != nil {
		return nil, fmt.Errorf("note replies: %w", err)
	}
	return now, nil
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

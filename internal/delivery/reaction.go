package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Seen is a moment at which a person did something about a delivery.
type Seen struct {
	Delivery int64
	At       time.Time
}

// Clicked notes that personal links were opened. The first time counts.
func (s *Store) Clicked(tx *db.Tx, seen []Seen) error {
	moved, err := sooner(tx, "clicked_at", seen)
	if err != nil {
		return err
	}
	return setMarks(tx, "clicked_at", moved)
}

// Returned notes that people came back to the bot by their links. The first
// time counts: it returns those that had none before. What these people said
// since then, as far as it is known already, answers what brought them back.
func (s *Store) Returned(tx *db.Tx, seen []Seen) ([]channel.Reaction, error) {
	moved, err := sooner(tx, "returned_at", seen)
	if err != nil || len(moved) == 0 {
		return nil, err
	}
	// Before anything is written, or two that come at once could wait for each other.
	people := peopleOf(moved)
	if _, err := talks(tx, people, s.now().Add(-remembering)); err != nil {
		return nil, err
	}
	if err := setMarks(tx, "returned_at", moved); err != nil {
		return nil, err
	}
	return news(moved), s.reassign(tx, people)
}

// change is a delivery that gets a mark, or an earlier one.
type change struct {
	channel.Reaction `gorm:"embedded"`
	First            bool // it had none
}

// news are the changes that nobody was told of.
func news(changes []change) (out []channel.Reaction) {
	for _, c := range changes {
		if c.First {
			out = append(out, c.Reaction)
		}
	}
	return out
}

func peopleOf(changes []change) (out []uuid.UUID) {
	for _, c := range changes {
		out = append(out, c.Contact)
	}
	return out
}

// sooner returns the deliveries that have no such mark yet, or a later one.
func sooner(tx *db.Tx, column string, seen []Seen) (moved []change, err error) {
	if len(seen) == 0 {
		return nil, nil
	}
	first := map[int64]time.Time{}
	for _, x := range seen {
		first[x.Delivery] = earlier(first[x.Delivery], x.At)
	}
	err = tx.Raw(`SELECT d.id AS delivery, d.campaign_id AS campaign, d.contact_id AS contact, v.at AS at, d.`+column+` IS NULL AS first
		FROM ? JOIN deliveries d ON d.id = v.id WHERE d.`+column+` IS NULL OR d.`+column+` > v.at ORDER BY d.id`,
		marksOf(tx, first)).Scan(&moved).Error
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", column, err)
	}
	return moved, nil
}

// marksOf is the relation v of deliveries and times.
func marksOf(tx *db.Tx, at map[int64]time.Time) any {
	ids := slices.Sorted(maps.Keys(at))
	times := make([]time.Time, len(ids))
	for i, id := range ids {
		times[i] = at[id]
	}
	return tx.Values("v", db.Int64s("id", ids), db.Times("at", times))
}

// setMarks writes marks that only ever move to an earlier time.
func setMarks(tx *db.Tx, column string, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	at := make(map[int64]time.Time, len(changes))
	for _, c := range changes {
		at[c.Delivery] = c.At
	}
	err := tx.Exec("UPDATE deliveries SET "+column+" = v.at FROM ? WHERE deliveries.id = v.id AND (deliveries."+column+" IS NULL OR deliveries."+column+" > v.at)",
		marksOf(tx, at)).Error
	if err != nil {
		return fmt.Errorf("note %s: %w", column, err)
	}
	return nil
}

// ReplyWithin is how long after a message something the person does in the
// conversation counts as a reply to it.
const ReplyWithin = 7 * 24 * time.Hour

// remembering is how far back what was sent may be answered by a reply that is
// remembered.
const remembering = 2 * ReplyWithin

// rounding is by how much the clocks of providers may be behind: they round.
const rounding = time.Second

// Reply is a person's message, tap or reaction in Messenger.
type Reply struct {
	Contact uuid.UUID
	At      time.Time
}

// Replied notes replies, each on the newest delivery that had put the person
// into the conversation by then: one sent by Messenger, or one whose link had
// brought them back. It returns the deliveries that had none before. Replies
// are remembered, because a return may become known after what was said then.
func (s *Store) Replied(tx *db.Tx, replies []Reply) (now []channel.Reaction, err error) {
	if len(replies) == 0 {
		return nil, nil
	}
	said := byContact(replies)
	if err := remember(tx, said); err != nil {
		return nil, err
	}
	since := slices.MinFunc(replies, func(a, b Reply) int { return a.At.Compare(b.At) }).At.Add(-ReplyWithin)
	all, err := talks(tx, slices.Collect(maps.Keys(said)), since)
	if err != nil {
		return nil, err
	}
	var moved []change
	for who, t := range all {
		for id, at := range t.answered(said[who]) {
			if d := t.of(id); d.RepliedAt == nil || at.Before(*d.RepliedAt) {
				moved = append(moved, change{channel.Reaction{Delivery: id, Campaign: d.CampaignID, Contact: who, At: at}, d.RepliedAt == nil})
			}
		}
	}
	return news(moved), setMarks(tx, "replied_at", moved)
}

func byContact(replies []Reply) map[uuid.UUID][]time.Time {
	out := map[uuid.UUID][]time.Time{}
	for _, r := range replies {
		out[r.Contact] = append(out[r.Contact], r.At.UTC().Truncate(time.Microsecond))
	}
	return out
}

func remember(tx *db.Tx, said map[uuid.UUID][]time.Time) error {
	var contacts []uuid.UUID
	var times []time.Time
	for _, who := range slices.SortedFunc(maps.Keys(said), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		for _, at := range slices.SortedFunc(slices.Values(said[who]), time.Time.Compare) {
			contacts, times = append(contacts, who), append(times, at)
		}
	}
	err := tx.Exec("INSERT INTO replies (contact_id, at) SELECT v.contact_id, v.at FROM ? WHERE TRUE ON CONFLICT DO NOTHING",
		tx.Values("v", db.UUIDs("contact_id", contacts), db.Times("at", times))).Error
	if err != nil {
		return fmt.Errorf("remember replies: %w", err)
	}
	return nil
}

// talk are the deliveries to one person, by number.
type talk []Delivery

// talks locks and returns what was sent to people after a moment: also what has
// not brought them into the conversation yet, so that replies and returns of one
// person wait for each other.
func talks(tx *db.Tx, people []uuid.UUID, since time.Time) (map[uuid.UUID]talk, error) {
	var rows []Delivery
	err := tx.Raw(`SELECT id, campaign_id, contact_id, lane, sent_at, returned_at, replied_at FROM deliveries
		WHERE contact_id IN (SELECT v.contact FROM ?) AND sent_at > ? ORDER BY id`+tx.ForUpdate(),
		tx.Values("v", db.UUIDs("contact", people)), since).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look up what people may answer: %w", err)
	}
	out := map[uuid.UUID]talk{}
	for _, d := range rows {
		out[d.ContactID] = append(out[d.ContactID], d)
	}
	return out, nil
}

func (t talk) of(id int64) *Delivery {
	i := slices.IndexFunc(t, func(d Delivery) bool { return d.ID == id })
	return &t[i]
}

// newest returns the delivery that something said at a moment answers, or 0.
func (t talk) newest(at time.Time) (id int64) {
	for _, d := range t {
		inTime := !d.SentAt.After(at.Add(rounding)) && d.SentAt.After(at.Add(-ReplyWithin))
		if inTime && (d.Lane.Kind() == channel.Messenger || d.ReturnedAt != nil && !d.ReturnedAt.After(at.Add(rounding))) {
			id = max(id, d.ID)
		}
	}
	return id
}

// answered returns the first reply to each delivery that was answered.
func (t talk) answered(at []time.Time) map[int64]time.Time {
	out := map[int64]time.Time{}
	for _, x := range at {
		if id := t.newest(x); id != 0 {
			out[id] = earlier(out[id], x)
		}
	}
	return out
}

// reassign gives replies that are remembered to the deliveries that turn out to
// have been answered by them, and takes them from those that had got them.
func (s *Store) reassign(tx *db.Tx, people []uuid.UUID) error {
	all, err := talks(tx, people, s.now().Add(-remembering))
	if err != nil {
		return err
	}
	said, err := remembered(tx, people)
	if err != nil {
		return err
	}
	var ids []int64
	var at []time.Time
	for who, t := range all {
		first := t.answered(said[who])
		for _, d := range t {
			if x := first[d.ID]; d.repliedOther(x, said[who]) {
				ids, at = append(ids, d.ID), append(at, x)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := tx.Exec("UPDATE deliveries SET replied_at = v.at FROM ? WHERE deliveries.id = v.id", tx.Values("v", db.Int64s("id", ids), db.Times("at", at))).Error; err != nil {
		return fmt.Errorf("assign replies anew: %w", err)
	}
	return nil
}

// repliedOther reports whether the delivery's mark is to become another one. A
// mark that no remembered reply has set stays.
func (d *Delivery) repliedOther(first time.Time, said []time.Time) bool {
	switch {
	case d.RepliedAt == nil:
		return !first.IsZero()
	case first.Equal(*d.RepliedAt):
		return false
	}
	return !first.IsZero() && first.Before(*d.RepliedAt) || slices.ContainsFunc(said, d.RepliedAt.Equal)
}

func remembered(tx *db.Tx, people []uuid.UUID) (map[uuid.UUID][]time.Time, error) {
	var rows []Reply
	err := tx.Raw("SELECT contact_id AS contact, at FROM replies WHERE contact_id IN (SELECT v.contact FROM ?)", tx.Values("v", db.UUIDs("contact", people))).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look up what was said: %w", err)
	}
	return byContact(rows), nil
}

// forgetAtOnce is how many replies one step forgets.
const forgetAtOnce = 1000

// ForgetReplies gives up what was said before a moment, in bounded steps.
func (s *Store) ForgetReplies(ctx context.Context, before time.Time) error {
	for {
		var gone int64
		err := s.db.Transact(ctx, func(tx *db.Tx) error {
			res := tx.Exec("DELETE FROM replies WHERE (contact_id, at) IN (SELECT contact_id, at FROM replies WHERE at < ? ORDER BY at LIMIT ?)", before, forgetAtOnce)
			gone = res.RowsAffected
			return res.Error
		})
		if err != nil {
			return fmt.Errorf("forget replies: %w", err)
		}
		if gone < forgetAtOnce {
			return nil
		}
	}
}

package token

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// Lister reads a Page's own list of recurring tokens, a part at a time. Any
// outcome but Accepted says that there is no answer.
type Lister interface {
	ListRecurring(ctx context.Context, page channel.Page, after string) (channel.Listing, channel.Result)
}

// RecurringOptions are the settings of a Recurring.
type RecurringOptions struct {
	Queue  *queue.Queue
	Pages  Pages
	Lister Lister // nil when Messenger is not set up
	// People finds or makes the contacts of people on a Page, by PSID.
	People func(ctx context.Context, tx *db.Tx, page uuid.UUID, psids []string) (map[string]uuid.UUID, error)
}

// Recurring keeps recurring tokens as Messenger tells of them: it hears events
// and reads the Pages' own lists.
type Recurring struct {
	*Store
	o RecurringOptions
}

// NewRecurring returns a Recurring over a store, with its jobs on the queue.
func NewRecurring(s *Store, o RecurringOptions) *Recurring {
	r := &Recurring{s, o}
	o.Queue.Lane(syncQueue, 1)
	queue.Handle(o.Queue, 0, r.sync)
	queue.Keep(o.Queue, relistEvery, relistJob{}, r.relist)
	return r
}

// Hear stores what people said about recurring tokens: given, stopped, resumed
// or renewed. It can be told twice and in any order.
func (r *Recurring) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	events := slices.DeleteFunc(slices.Clone(h.Events), func(ev channel.Event) bool { return !aboutRecurring(ev) && !endsAll(ev) })
	if len(events) == 0 {
		return nil
	}
	people, err := peopleOf(ctx, tx, h, events)
	if err != nil {
		return err
	}
	if err := r.endAll(ctx, tx, h.Page, people, events); err != nil {
		return err
	}
	events = slices.DeleteFunc(events, endsAll)
	places, err := r.placesOf(ctx, tx, events)
	if err != nil {
		return err
	}
	words := make([]word, len(events))
	for i, ev := range events {
		words[i] = wordOf(ev, h.Page, people[ev.PSID], places[i].topic)
	}
	if err := r.take(ctx, tx, words); err != nil {
		return err
	}
	return r.answerRecurring(ctx, tx, events, places)
}

func aboutRecurring(ev channel.Event) bool {
	given := ev.Kind == channel.EventOptIn && ev.OptInType == channel.OptInRecurring
	return (given || ev.Kind == channel.EventOptInEnds) && ev.PSID != "" && storable(ev.Token, maxValue) && !ofTest(ev)
}

// ofTest reports whether an event is about the permission of a self-test. What
// says no payload may say the title.
func ofTest(ev channel.Event) bool {
	return strings.HasPrefix(ev.Payload, TestPayload) || ev.Title == TestTitle
}

// endsAll reports whether a person stopped all that they ever allowed: no page of
// Meta's says that a stop has to name its token.
func endsAll(ev channel.Event) bool {
	return ev.Kind == channel.EventOptInEnds && ev.Status == channel.StatusStop && ev.Token == "" && ev.PSID != ""
}

func (r *Recurring) endAll(ctx context.Context, tx *db.Tx, page uuid.UUID, people map[string]uuid.UUID, events []channel.Event) error {
	last := map[uuid.UUID]time.Time{}
	for _, ev := range events {
		if id, known := people[ev.PSID]; known && endsAll(ev) {
			last[id] = latest(last[id], ev.At.UTC().Truncate(time.Microsecond))
		}
	}
	if len(last) == 0 {
		return nil
	}
	contacts, at := slices.Collect(maps.Keys(last)), make([]time.Time, len(last))
	for i, id := range contacts {
		at[i] = last[id]
	}
	err := tx.WithContext(ctx).Exec(`UPDATE recurring_tokens SET status = 'stopped', status_at = v.at, updated_at = ?
		FROM ? WHERE recurring_tokens.contact_id = v.contact_id AND page_id = ? AND status_at <= v.at`,
		r.moment(), tx.Values("v", db.UUIDs("contact_id", contacts), db.Times("at", at)), page).Error
	if err != nil {
		return fmt.Errorf("stop recurring tokens: %w", err)
	}
	return nil
}

func wordOf(ev channel.Event, page, contact uuid.UUID, topic string) word {
	at := ev.At.UTC().Truncate(time.Microsecond)
	w := word{contact: contact, page: page, topic: topic, value: ev.Token, status: Live, at: at, source: FromWebhook,
		title: shown(ev.Title), granted: at, eligible: at, expires: ev.Expires}
	if ev.Kind == channel.EventOptInEnds && ev.Status == channel.StatusStop {
		w.status = Stopped
	}
	if ev.Renewed {
		w.renewed = at
	}
	return w
}

// shown is a title as it can be kept.
func shown(title string) string {
	if storable(title, maxPayload) {
		return title
	}
	return ""
}

// peopleOf is whose contacts the events are about: who stops something has not
// always done something else in the same callback.
func peopleOf(ctx context.Context, tx *db.Tx, h channel.Heard, events []channel.Event) (map[string]uuid.UUID, error) {
	out, missing := map[string]uuid.UUID{}, []string{}
	for _, ev := range events {
		if id, known := h.People[ev.PSID]; known {
			out[ev.PSID] = id
		} else {
			missing = append(missing, ev.PSID)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	var rows []struct {
		PSID      string `gorm:"column:psid"`
		ContactID uuid.UUID
	}
	err := tx.WithContext(ctx).Raw("SELECT psid, contact_id FROM messenger_addresses WHERE page_id = ? AND psid IN ?", h.Page, missing).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find Messenger ids: %w", err)
	}
	for _, r := range rows {
		out[r.PSID] = r.ContactID
	}
	return out, nil
}

// place is where an opt-in belongs: its topic, and the request that it answers.
type place struct {
	topic   string
	request uuid.UUID
}

// placesOf is TopicOf for many. An opt-in whose payload nobody knows belongs to
// the topic whose title the person was shown.
func (s *Store) placesOf(ctx context.Context, tx *db.Tx, events []channel.Event) ([]place, error) {
	var all []Topic
	if err := tx.WithContext(ctx).Raw("SELECT " + topicCols + " FROM topics").Scan(&all).Error; err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	asked, err := requestTopics(ctx, tx, events)
	if err != nil {
		return nil, err
	}
	out := make([]place, len(events))
	for i, ev := range events {
		if id, ok := requestOf(ev.Payload); ok && asked[id] != "" {
			out[i] = place{asked[id], id}
			continue
		}
		out[i].topic = topicFor(all, ev.Payload, ev.Title)
	}
	return out, nil
}

func requestTopics(ctx context.Context, tx *db.Tx, events []channel.Event) (map[uuid.UUID]string, error) {
	var ids []uuid.UUID
	for _, ev := range events {
		if id, ok := requestOf(ev.Payload); ok {
			ids = append(ids, id)
		}
	}
	out := map[uuid.UUID]string{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []OptInRequest
	if err := tx.WithContext(ctx).Raw("SELECT id, topic FROM opt_in_requests WHERE id IN ?", ids).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("find opt-in requests: %w", err)
	}
	for _, r := range rows {
		out[r.ID] = r.Topic
	}
	return out, nil
}

// topicFor goes by the payload, and else by the title, where one topic alone has it.
func topicFor(all []Topic, payload, title string) string {
	titled := Unsorted
	for _, t := range all {
		if payload != "" && (t.Slug == payload || slices.Contains(t.Payloads, payload)) {
			return t.Slug
		}
		if title == "" || t.Title != title || t.Slug == Unsorted {
			continue
		}
		if titled != Unsorted { // two have it
			title, titled = "", Unsorted
			continue
		}
		titled = t.Slug
	}
	return titled
}

func (r *Recurring) answerRecurring(ctx context.Context, tx *db.Tx, events []channel.Event, places []place) error {
	var requests []uuid.UUID
	var values [][]byte
	for i, ev := range events {
		if places[i].request != uuid.Nil && ev.Kind == channel.EventOptIn {
			requests, values = append(requests, places[i].request), append(values, r.box.Hash(sealedRecurring, ev.Token))
		}
	}
	return r.answered(ctx, tx, "recurring_tokens", requests, values)
}

// errAbsent says that there is no Messenger here.
var errAbsent = fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")

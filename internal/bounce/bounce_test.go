package bounce_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/bounce"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/event"
	"beckon/internal/page"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/token"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is the service over one database at noon, with a page.
type bundle struct {
	*bounce.Service
	t        testing.TB
	d        *db.DB
	contacts *contact.Store
	ledger   *delivery.Store
	events   *event.Store
	page     uuid.UUID
	people   int
}

func setup(t testing.TB, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d}
	now := func() time.Time { return noon }
	box, err := seal.New(bytes.Repeat([]byte{5}, seal.MinSecret))
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	q := queue.New(d, log)
	b.contacts, b.ledger, b.events = contact.New(d, nil, box, contact.Options{Now: now}), delivery.NewStore(d, now), event.NewStore(d, func() time.Time { return noon.Add(time.Hour) })
	b.Service = bounce.New(bounce.Parts{DB: d, Queue: q, Contacts: b.contacts, Ledger: b.ledger, Log: log, Now: now})
	require.NoError(t, q.Open())
	p, err := page.NewStore(d, box, now).Create(t.Context(), page.Draft{FacebookPageID: "5001", Name: "School", AccessToken: "page-token"})
	require.NoError(t, err)
	b.page = p.ID
	_, err = token.NewStore(d, box, now).CreateTopic(t.Context(), token.TopicDraft{Slug: "courses", Title: "New courses"})
	require.NoError(t, err)
	return b
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) hear(kind channel.Kind, events ...channel.Event) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return b.Hear(b.t.Context(), tx, channel.Heard{Channel: kind, Events: events}) })
}

// person makes a contact with both addresses.
func (b *bundle) person() (id uuid.UUID, email, phone string) {
	b.t.Helper()
	b.people++
	email, phone = fmt.Sprintf("p%d@example.com", b.people), fmt.Sprintf("+447700%06d", 900000+b.people)
	c, _, err := b.contacts.Upsert(b.t.Context(), contact.Draft{ExternalID: contact.Of(fmt.Sprint("x", b.people)), Email: contact.Of(email), Phone: contact.Of(phone)})
	require.NoError(b.t, err)
	return c.ID, email, phone
}

// campaign makes one that reached people on a lane, and returns its id and their
// deliveries.
func (b *bundle) campaign(lane channel.Lane, people ...uuid.UUID) (id uuid.UUID, sent []int64) {
	b.t.Helper()
	id = uuid.Must(uuid.NewV7())
	b.tx(func(tx *db.Tx) error {
		if err := tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, 'c', ?, 'courses', '{}', '[]', '{}', 'running', ?, ?)`, id, b.page, noon, noon).Error; err != nil {
			return err
		}
		places := make([]delivery.Place, len(people))
		for i, who := range people {
			places[i] = delivery.Place{Contact: who, Lane: lane}
		}
		first, err := b.ledger.Write(tx, id, places)
		for i := range people {
			sent = append(sent, first+int64(i))
		}
		if err != nil {
			return err
		}
		return tx.Exec("UPDATE deliveries SET state = 'accepted', accepted_at = ? WHERE campaign_id = ?", noon.Add(-time.Hour), id).Error
	})
	return id, sent
}

// arrived notes that a delivery arrived, as the inbox does before it tells others.
func (b *bundle) arrived(kind channel.Kind, id int64, at time.Time) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error {
		return b.ledger.Mark(tx, []delivery.Receipt{{Delivery: id, Channel: kind, Kind: channel.EventDelivered, At: at}})
	})
}

// reasons are why an address is suppressed.
func (b *bundle) reasons(kind channel.Kind, address string) (out []string) {
	b.t.Helper()
	rows, _, err := b.contacts.Suppressions(b.t.Context(), contact.SuppressionFilter{Channel: kind, Address: address}, uuid.Nil, 10)
	require.NoError(b.t, err)
	for _, r := range rows {
		out = append(out, r.Reason)
	}
	return out
}

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func gone(address string) channel.Event {
	return channel.Event{Kind: channel.EventFailed, Outcome: channel.Gone, Address: address, At: ago(time.Minute)}
}

func soft(address string, id int64, at time.Time) channel.Event {
	return channel.Event{Kind: channel.EventFailed, Outcome: channel.Refused, Soft: true, Address: address, Delivery: id, At: at}
}

func TestAnAddressThatDoesNotWorkIsSuppressedWhoeverHoldsIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who, email, phone := b.person()
		_, sent := b.campaign(channel.LaneSMS, who)
		b.hear(channel.Email, gone(strings.ToUpper(email)), gone("nobody@example.com"), gone(""))
		b.hear(channel.SMS, channel.Event{Kind: channel.EventFailed, Outcome: channel.Gone, Delivery: sent[0]},
			channel.Event{Kind: channel.EventFailed, Outcome: channel.Gone, Delivery: 404}, channel.Event{Kind: channel.EventFailed, Outcome: channel.Refused, Address: "+447700999999"})
		require.Equal(t, []string{contact.ReasonBounce}, b.reasons(channel.Email, email))
		require.Equal(t, []string{contact.ReasonBounce}, b.reasons(channel.Email, "nobody@example.com"))
		require.Equal(t, []string{contact.ReasonUndeliverable}, b.reasons(channel.SMS, phone), "found by the delivery where no address is told")
		require.Empty(t, b.reasons(channel.SMS, "+447700999999"), "a text that was refused says nothing about the phone")
	})
}

func TestAWordAboutAnOldAddressLeavesTheNewOneAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who, old, _ := b.person()
		_, sent := b.campaign(channel.LaneEmail, who)
		_, err := b.contacts.Patch(t.Context(), who, contact.Draft{Email: contact.Of("new@example.com")})
		require.NoError(t, err)
		late := gone(old)
		late.Delivery = sent[0]
		b.hear(channel.Email, late, channel.Event{Kind: channel.EventDelivered, Delivery: sent[0], At: noon})
		require.Equal(t, []string{contact.ReasonBounce}, b.reasons(channel.Email, old))
		require.Empty(t, b.reasons(channel.Email, "new@example.com"))
	})
}

func TestMissesOfOthersCountOnceADay(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for range 5 {
			b.hear(channel.Email, soft("full@example.com", 0, ago(time.Minute)), soft("full@example.com", 0, ago(time.Hour)), soft("full@example.com", 0, ago(24*time.Hour)))
		}
		require.Empty(t, b.reasons(channel.Email, "full@example.com"))
		b.hear(channel.Email, soft("full@example.com", 0, ago(48*time.Hour)))
		require.Equal(t, []string{contact.ReasonBounce}, b.reasons(channel.Email, "full@example.com"))
	})
}

// TestMissesAndArrivalsHoldInEveryOrder has campaigns reach a person one after the
// other; each misses or arrives, and the words come in any order and portions,
// some of them twice.
func TestMissesAndArrivalsHoldInEveryOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		rapid.Check(t, func(r *rapid.T) {
			who, email, _ := b.person()
			fates := rapid.SliceOfN(rapid.Bool(), 1, 5).Draw(r, "missed")
			var words []channel.Event
			inRow, most := 0, 0
			for i, missed := range fates {
				_, sent := b.campaign(channel.LaneEmail, who)
				ev := soft(email, sent[0], ago(time.Duration(len(fates)-i)*time.Hour))
				if inRow++; !missed {
					ev.Kind, ev.Outcome, ev.Soft, inRow = channel.EventDelivered, "", false, 0
				}
				most = max(most, inRow)
				for range rapid.IntRange(1, 2).Draw(r, "told") {
					words = append(words, ev)
				}
			}
			inOrder := rapid.Bool().Draw(r, "in order")
			if !inOrder {
				words = rapid.Permutation(words).Draw(r, "order")
			}
			for len(words) > 0 {
				n := 1
				if !inOrder {
					n = rapid.IntRange(1, len(words)).Draw(r, "portion")
				}
				for _, ev := range words[:n] {
					if ev.Kind == channel.EventDelivered {
						b.arrived(channel.Email, ev.Delivery, ev.At)
					}
				}
				b.hear(channel.Email, words[:n]...)
				words = words[n:]
			}
			suppressed := len(b.reasons(channel.Email, email)) > 0
			switch {
			case inRow >= 3:
				require.True(r, suppressed, "missed to the end")
			case inOrder:
				require.Equal(r, most >= 3, suppressed)
			case most < 3 && all(fates):
				require.False(r, suppressed)
			}
		})
	})
}

func all(fates []bool) bool {
	for _, f := range fates {
		if !f {
			return false
		}
	}
	return true
}

func TestAnArrivalBeforeALateWordOfAMissCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who, email, _ := b.person()
		var sent []int64
		for range 5 {
			_, one := b.campaign(channel.LaneEmail, who)
			sent = append(sent, one...)
		}
		b.arrived(channel.Email, sent[3], ago(2*time.Hour))
		b.hear(channel.Email, channel.Event{Kind: channel.EventDelivered, Address: email, Delivery: sent[3], At: ago(2 * time.Hour)})
		b.hear(channel.Email, soft(email, sent[0], ago(5*time.Hour)), soft(email, sent[1], ago(4*time.Hour)), soft(email, sent[2], ago(3*time.Hour)))
		require.Empty(t, b.reasons(channel.Email, email), "a message arrived since: nothing of it counts")
		b.hear(channel.Email, soft(email, sent[4], ago(time.Hour)))
		require.Empty(t, b.reasons(channel.Email, email))
	})
}

func complaint(id int64) channel.Event {
	return channel.Event{Kind: channel.EventStop, Reason: channel.ByComplaint, Address: "p@example.com", Delivery: id, At: ago(time.Minute)}
}

// alarms are the events about complaints.
func (b *bundle) alarms() (out []event.Event) {
	b.t.Helper()
	list, err := b.events.List(b.t.Context(), uuid.Nil, 10, event.Filter{Type: event.CampaignComplaints})
	require.NoError(b.t, err)
	return list
}

func TestTooManyComplaintsAreToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		people := make([]uuid.UUID, 10)
		for i := range people {
			people[i], _, _ = b.person()
		}
		id, sent := b.campaign(channel.LaneEmail, people...)
		weigh := func() int {
			require.NoError(t, b.Weigh(t.Context()))
			return len(b.alarms())
		}
		unsubscribed := complaint(sent[5])
		unsubscribed.Reason = channel.ByUnsubscribe
		b.hear(channel.Email, complaint(sent[0]), complaint(sent[0]), complaint(sent[1]), complaint(0), complaint(404), unsubscribed)
		require.Zero(t, weigh(), "two people who err are no rate")
		b.hear(channel.Email, complaint(sent[0]), complaint(sent[2]))
		require.Equal(t, 1, weigh())
		b.hear(channel.Email, complaint(sent[0]), complaint(sent[3]))
		require.Equal(t, 1, weigh())
		got := b.alarms()[0]
		require.Equal(t, id, got.Campaign)
		require.Equal(t, map[string]any{"complaints": 3.0, "emails": 10.0}, got.Data)
		r, err := b.ledger.Report(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, 4, r.Complaints)
	})
}

func TestThreeComplaintsOfManyAreNoAlarm(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	var people []uuid.UUID
	for range 3 {
		who, _, _ := b.person()
		people = append(people, who)
	}
	id, sent := b.campaign(channel.LaneEmail, people...)
	crowd := func(upTo int) { // the ledger, with more people than the contacts there are
		b.tx(func(tx *db.Tx) error {
			return tx.Exec(`INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, accepted_at, created_at)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				SELECT 100000 + i, ?, 'c' || i, 'email', 'accepted', ?, ? FROM n WHERE 100000 + i NOT IN (SELECT id FROM deliveries)`, upTo, id, noon, noon).Error
		})
	}
	crowd(2997)
	b.hear(channel.Email, complaint(sent[0]), complaint(sent[1]), complaint(sent[2]))
	require.NoError(t, b.Weigh(t.Context()))
	require.Empty(t, b.alarms(), "three in three thousand are one in a thousand, not more")
	b.hear(channel.Email, complaint(100001))
	crowd(3995)
	require.NoError(t, b.Weigh(t.Context()))
	require.Len(t, b.alarms(), 1, "four of 3998 are more")
}

// TestHearingCostsAFixedNumberOfStatements counts what a few events and many ask
// of the database.
func TestHearingCostsAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	cost := func(n int) int64 {
		var asked atomic.Int64
		d, err := db.Open(t.Context(), db.Options{Dir: t.TempDir(), Statements: func(sql string) {
			if !strings.Contains(sql, "river_") {
				asked.Add(1)
			}
		}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		require.NoError(t, d.Migrate(t.Context()))
		b := setup(t, d)
		var events []channel.Event
		for range n {
			who, email, _ := b.person()
			_, sent := b.campaign(channel.LaneEmail, who)
			arrived := channel.Event{Kind: channel.EventDelivered, Delivery: sent[0], At: noon}
			events = append(events, gone("gone-"+email), arrived, complaint(sent[0]))
			for i := range 3 {
				events = append(events, soft("full-"+email, 0, ago(time.Duration(i)*24*time.Hour)), soft(email, sent[0], noon))
			}
		}
		asked.Store(0)
		b.hear(channel.Email, events...)
		return asked.Load()
	}
	few, many := cost(2), cost(40)
	require.Equal(t, few, many)
	t.Logf("%d statements", many)
	require.Less(t, many, int64(40))
}

func TestNothingToHearAsksNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	require.NoError(t, b.Hear(context.Background(), nil, channel.Heard{Channel: channel.Email, Events: []channel.Event{
		{Kind: channel.EventAccepted, Address: "a@example.com"}, {Kind: channel.EventDeferred, Address: "a@example.com"}, {Kind: channel.EventOther},
		{Kind: channel.EventStop, Reason: channel.ByUnsubscribe, Address: "a@example.com", Delivery: 1}, {Kind: channel.EventStart, Address: "a@example.com"},
	}}))
}

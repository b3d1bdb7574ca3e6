package timeline_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/seal"
	"beckon/internal/timeline"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is timelines over one database, and Amy and Ben.
type bundle struct {
	*timeline.Store
	t        *testing.T
	d        *db.DB
	contacts *contact.Store
	page     uuid.UUID
	campaign uuid.UUID
	amy, ben uuid.UUID
	rows     int
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{7}, seal.MinSecret))
	require.NoError(t, err)
	b := &bundle{t: t, d: d, contacts: contact.New(d, nil, box, contact.Options{Now: func() time.Time { return noon }}), page: uuid.New(), campaign: uuid.New()}
	b.Store = timeline.NewStore(d, b.contacts, func(_ uuid.UUID, sealed []byte) (string, error) { return box.Open(sealed, "x") })
	b.exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '1', 'p', ?, ?, ?)", b.page, []byte{1}, noon, noon)
	b.exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
		VALUES (?, 'c', ?, 'unsorted', '{}', '[]', '{}', 'running', ?, ?)`, b.campaign, b.page, noon, noon)
	b.amy, b.ben = b.person("amy"), b.person("ben")
	return b
}

func (b *bundle) person(name string) uuid.UUID {
	b.t.Helper()
	c, _, err := b.contacts.Upsert(b.t.Context(), contact.Draft{ExternalID: contact.Of(name)})
	require.NoError(b.t, err)
	return c.ID
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

// kinds write one thing that happened, each to its own table.
func (b *bundle) kinds() map[string]func(who uuid.UUID, at time.Time) {
	id := func() uuid.UUID { b.rows++; return db.IDAt(noon.Add(time.Duration(b.rows*7919%1000) * time.Second)) }
	return map[string]func(uuid.UUID, time.Time){
		"contact.opted_out": func(who uuid.UUID, at time.Time) {
			require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
				return event.Add(tx, event.Event{Type: event.ContactOptedOut, At: at, Contact: who, Data: map[string]any{"channel": "sms", "reason": "stop"}},
					event.Event{Type: event.SMSReceived, At: at, Contact: who}) // the text stands for it
			}))
		},
		timeline.Delivery: func(who uuid.UUID, at time.Time) {
			b.rows++
			if b.d.Engine() == "postgres" {
				require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.GrowLedger(int64(b.rows), int64(b.rows)+1, 1000) }))
			}
			b.exec("INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, sent_at, created_at) VALUES (?, ?, ?, 'sms', 'accepted', ?, ?)", b.rows, uuid.New(), who, at, at)
		},
		timeline.Text: func(who uuid.UUID, at time.Time) {
			x := id()
			b.exec("INSERT INTO texts (id, mid, contact_id, wish, at) VALUES (?, ?, ?, 'stop', ?)", x, x.String(), who, at)
		},
		timeline.Consent: func(who uuid.UUID, at time.Time) {
			b.exec("INSERT INTO consents (contact_id, channel, how, noted_at, status, source, at) VALUES (?, 'email', 'api', ?, 'subscribed', 'form', ?)", who, at, at)
		},
		timeline.Token: func(who uuid.UUID, at time.Time) {
			x := id()
			b.exec(`INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at)
				VALUES (?, ?, ?, 'unsorted', ?, ?, 'available', 'webhook', ?, ?, ?)`, x, who, b.page, []byte("secret"), x[:], at, at, at)
		},
		timeline.RecurringToken: func(who uuid.UUID, at time.Time) {
			x := id()
			b.exec(`INSERT INTO recurring_tokens (id, contact_id, page_id, topic, value, value_hash, status, status_at, source, granted_at, eligible_at, updated_at)
				VALUES (?, ?, ?, 'unsorted', ?, ?, 'live', ?, 'webhook', ?, ?, ?)`, x, who, b.page, []byte("secret"), x[:], at, at, at, at)
		},
		timeline.OptInRequest: func(who uuid.UUID, at time.Time) {
			b.exec("INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'unsorted', 'sent', ?, ?)", id(), who, b.page, at, at)
		},
		timeline.Capture: func(who uuid.UUID, at time.Time) {
			b.exec("INSERT INTO captures (id, contact_id, page_id, channel, question, state, asked_at, expires_at, updated_at) VALUES (?, ?, ?, 'email', '{}', 'captured', ?, ?, ?)",
				id(), who, b.page, at, at, at)
		},
	}
}

// whole reads a timeline in pages.
func (b *bundle) whole(t require.TestingT, who uuid.UUID, limit int) (all []timeline.Item) {
	var after timeline.Position
	for {
		items, next, err := b.List(b.t.Context(), who, after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(items), limit)
		all = append(all, items...)
		if next == (timeline.Position{}) {
			return all
		}
		require.Len(t, items, limit)
		after = next
	}
}

func TestEverythingThatHappenedIsShownWithWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, add := range b.kinds() {
			add(b.amy, noon)
			add(b.ben, noon)
		}
		got := map[string]timeline.Item{}
		for _, it := range b.whole(t, b.amy, 50) {
			require.NotContains(t, fmt.Sprint(it), "secret")
			require.Equal(t, noon, it.At, it.Type)
			got[it.Type] = it
		}
		require.Len(t, got, len(b.kinds()), "one of each, and none of Ben's")
		require.Equal(t, map[string]any{"channel": "sms", "reason": "stop"}, got["contact.opted_out"].Data)
		require.Equal(t, map[string]any{"lane": "sms", "state": "accepted", "sent_at": noon}, got[timeline.Delivery].Data)
		require.NotZero(t, got[timeline.Delivery].Delivery)
		require.Equal(t, map[string]any{"how": "api", "status": "subscribed", "source": "form", "said_at": noon}, got[timeline.Consent].Data)
		require.Equal(t, "stop", got[timeline.Text].Data["wish"])
		require.Equal(t, b.page, got[timeline.Token].Page)
		require.Equal(t, "captured", got[timeline.Capture].Data["state"])
		for kind, channel := range map[string]string{"contact.opted_out": "sms", timeline.Delivery: "sms", timeline.Text: "sms", timeline.Consent: "email", timeline.Token: "messenger", timeline.OptInRequest: "messenger"} {
			require.Equal(t, channel, got[kind].Channel, kind)
		}
	})
}

// Whatever happened when, and however long a page is: each thing once, newest first.
func TestPagesOfATimelineMissNothingAndRepeatNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			if n++; n > 6 { // each is dozens of statements
				return
			}
			who := b.person(fmt.Sprintf("p%d", n))
			kinds := b.kinds()
			names := slices.Sorted(func(yield func(string) bool) {
				for name := range kinds {
					if !yield(name) {
						return
					}
				}
			})
			want := map[string]int{}
			for range rapid.IntRange(0, 12).Draw(rt, "things") {
				kind := rapid.SampledFrom(names).Draw(rt, "kind")
				kinds[kind](who, noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "at"))*time.Microsecond)) // many at one moment
				want[kind]++
			}
			once := b.whole(rt, who, 100)
			for _, limit := range []int{1, 2, 5} {
				require.Equal(rt, once, b.whole(rt, who, limit), "pages of %d", limit)
			}
			require.True(rt, slices.IsSortedFunc(once, func(a, b timeline.Item) int { return b.At.Compare(a.At) }))
			got := map[string]int{}
			for _, it := range once {
				got[it.Type]++
			}
			require.Equal(rt, want, got)
		})
	})
}

func TestAPositionThatNobodyGaveIsAFault(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, p := range []timeline.Position{{Rank: 1}, {At: noon}, {At: noon, Rank: 2, Key: uuid.NewString()}, {At: noon, Rank: 3, Key: "7"}, {At: noon, Rank: -1, Key: uuid.NewString()},
			{At: noon, Rank: 4, Key: "7' OR TRUE"}, {At: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), Rank: 2, Key: "7"}} {
			_, _, err := b.List(t.Context(), b.amy, p, 10)
			require.True(t, fault.Is(err, fault.Invalid), "%v: %v", p, err)
		}
		items, _, err := b.List(t.Context(), b.amy, timeline.Position{At: noon, Rank: 99, Key: uuid.NewString()}, 10)
		require.NoError(t, err)
		require.Empty(t, items)
		_, _, err = b.List(t.Context(), uuid.New(), timeline.Position{}, 10)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestNothingIsLeftOfWhoIsErased(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, add := range b.kinds() {
			add(b.amy, noon)
		}
		require.NoError(t, b.contacts.Erase(t.Context(), b.amy))
		_, _, err := b.List(t.Context(), b.amy, timeline.Position{}, 10)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

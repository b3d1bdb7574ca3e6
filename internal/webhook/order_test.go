package webhook_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/queue"
	"beckon/internal/thread"
	"beckon/internal/token"
	"beckon/internal/webhook"
)

// events is how many events the law of order is tried with; make order takes
// ten thousand.
var events = flag.Int("events", 1000, "events for the law of order")

// perSoul is about how many events a person of a story causes.
const perSoul = 7

// TestEveryOrderOfEventsLeavesTheSameRows applies the events of a day as they
// happened, shuffled, and shuffled with each up to five times by several at
// once. Three things go by the order in which they become known, and are not in
// it: which of two strangers was first to use a link that was passed on before
// its owner had used it; whose is a PSID that two contacts' links name; and what
// is told of the thread of somebody who has done nothing yet, which is nobody's.
func TestEveryOrderOfEventsLeavesTheSameRows(t *testing.T) {
	t.Parallel()
	for engine, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			want, ids := tale(t, open(t), asItWas, 1)
			for name, c := range map[string]struct {
				arrange func(*rand.Rand, []happening) []happening
				workers int
			}{"shuffled": {shuffled, 1}, "repeated": {repeated, 4}} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					got, again := tale(t, open(t), c.arrange, c.workers)
					require.Equal(t, ids, again, "the same numbers stand for the same deliveries")
					for table := range want {
						require.Equal(t, want[table], got[table], table)
					}
				})
			}
		})
	}
}

func asItWas(_ *rand.Rand, all []happening) []happening { return all }

func shuffled(r *rand.Rand, all []happening) []happening {
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func repeated(r *rand.Rand, all []happening) (out []happening) {
	for _, h := range all {
		for range 1 + r.IntN(5) {
			out = append(out, h)
		}
	}
	return shuffled(r, out)
}

// tale tells the day in a database of its own, and returns its rows.
func tale(t *testing.T, d *db.DB, arrange func(*rand.Rand, []happening) []happening, workers int) (rows map[string][]string, ids []soul) {
	t.Helper()
	b := setup(t, d)
	b.Listeners = b.keepers()
	souls := b.populate(max(kinds, *events/perSoul))
	s := &story{Rand: rand.New(rand.NewPCG(7, 11)), b: b}
	for _, p := range souls {
		s.live(p)
	}
	require.GreaterOrEqual(t, len(s.out), *events)
	slices.SortStableFunc(s.out, func(a, b happening) int { return a.at.Compare(b.at) })
	chance := rand.New(rand.NewPCG(3, 5))
	b.hearAll(bodies(chance, arrange(chance, s.out)), workers)
	b.nothingIsWrong()
	require.NotZero(t, b.count("recurring_tokens WHERE status = 'stopped'"))
	require.NotZero(t, b.count("messenger_addresses WHERE held_until IS NOT NULL"))
	require.NotZero(t, b.count("deliveries WHERE replied_at >= returned_at"))
	require.NotZero(t, b.count("opt_in_requests WHERE state = 'granted'"))
	return b.rows(), souls
}

// keepers are the listeners that do nothing but write down what they hear.
func (b *bundle) keepers() []webhook.Listener {
	aside := queue.New(b.d, slog.New(slog.DiscardHandler)) // whose jobs nobody works here
	return []webhook.Listener{
		thread.New(thread.Parts{DB: b.d, Contacts: b.contacts, AppID: "7", Now: b.now}),
		token.NewRecurring(b.tokens, token.RecurringOptions{Queue: aside, People: b.contacts.FindOrMake}),
	}
}

// bodies puts events into webhook bodies: some alone, some together.
func bodies(r *rand.Rand, all []happening) (out []string) {
	for n := 0; len(all) > 0; n++ {
		k := min(1+r.IntN(8), len(all))
		var entries []string
		for _, h := range all[:k] {
			entries = append(entries, fmt.Sprintf(`{"id":"5001","time":%d,%q:[%s]}`, h.at.UnixMilli(), h.key, h.item))
		}
		out = append(out, fmt.Sprintf(`{"object":"page","n":%d,"entry":[%s]}`, n, strings.Join(entries, ",")))
		all = all[k:]
	}
	return out
}

// hearAll takes bodies and applies them: one after the other, or many at once.
func (b *bundle) hearAll(bodies []string, workers int) {
	b.t.Helper()
	waiting := make(chan string, len(bodies))
	for _, body := range bodies {
		waiting <- body
	}
	close(waiting)
	atOnce(workers*4-3, func() {
		for body := range waiting {
			if err := b.Accept(b.t.Context(), channel.Messenger, meta(body)); err != nil {
				b.t.Error(err)
			}
		}
	})
	if workers > 1 {
		atOnce(workers, func() { _ = b.queue.Drain(b.t.Context(), b.now()) }) // one that lost a race runs again
		b.advance(time.Minute)
	}
	b.drain()
	b.clock.Store(noon.UnixMicro())
}

func atOnce(n int, work func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(work)
	}
	wg.Wait()
}

// made are columns of numbers and times that the database or this program made
// up, and of values that are sealed.
var made = map[string][]string{
	"tokens":              {"id", "value", "updated_at"},
	"deliveries":          {"job_id"},
	"recurring_tokens":    {"id", "value", "updated_at"},
	"contacts":            {"id", "created_at", "updated_at"},
	"opt_in_requests":     {"token_id", "updated_at"},
	"messenger_addresses": {"created_at"},
}

// rows are the rows that callbacks can change, each as JSON. Ids that are made
// up stand there as the names of those they belong to.
func (b *bundle) rows() map[string][]string {
	b.t.Helper()
	names := b.names()
	out := map[string][]string{}
	for _, table := range []string{"contacts", "messenger_addresses", "tokens", "opt_in_requests", "deliveries", "attempts", "suppressions", "replies", "recurring_tokens"} {
		var rows []map[string]any
		require.NoError(b.t, b.d.Read(b.t.Context()).Table(table).Find(&rows).Error)
		for _, row := range rows {
			if table == "contacts" {
				row["name"] = row["id"]
			}
			for _, column := range made[table] {
				delete(row, column)
			}
			for column, v := range row {
				row[column] = named(names, v)
			}
			text, err := json.Marshal(row)
			require.NoError(b.t, err)
			out[table] = append(out[table], string(text))
		}
		slices.Sort(out[table])
	}
	return out
}

// names are what stands for each contact, page, campaign and token.
func (b *bundle) names() map[string]string {
	var rows []struct{ ID, Name string }
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw(`SELECT CAST(c.id AS TEXT) AS id, CASE WHEN MAX(COALESCE(c.external_id, '')) <> '' THEN MAX(c.external_id) ELSE MIN(m.psid) END AS name
			FROM contacts c LEFT JOIN messenger_addresses m ON m.contact_id = c.id GROUP BY c.id
		UNION ALL SELECT CAST(id AS TEXT), facebook_page_id FROM pages
		UNION ALL SELECT CAST(id AS TEXT), name FROM campaigns`).Scan(&rows).Error)
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Name
	}
	return out
}

func named(names map[string]string, v any) any {
	var id string
	switch x := v.(type) {
	case time.Time:
		return x.UTC()
	case [16]byte:
		id = uuid.UUID(x).String()
	case string:
		id = x
	default:
		return v
	}
	if name, known := names[id]; known {
		return name
	}
	return v
}

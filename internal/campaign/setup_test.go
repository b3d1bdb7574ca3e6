package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// school is who sends the e-mails of these tests.
var school = content.Sender{Name: "The School", Postal: "1 Quay Street, Leeds LS1 1AA"}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is a service over one database with a Page, the topic "courses", all
// channels but e-mail, and a clock that the test sets.
type bundle struct {
	*campaign.Service
	t     *testing.T
	d     *db.DB
	page  uuid.UUID
	queue *queue.Queue
	clock atomic.Int64
}

func (b *bundle) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bundle) advance(d time.Duration) { b.clock.Add(d.Microseconds()) }

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, page: uuid.Must(uuid.NewV7())}
	b.clock.Store(noon.UnixMicro())
	q := queue.New(d, slog.New(slog.DiscardHandler))
	queue.Handle(q, 1, func(context.Context, queue.Job[campaign.PlanJob]) error { return nil })
	queue.Handle(q, 1, func(ctx context.Context, j queue.Job[campaign.BeginJob]) error { return b.Begin(ctx, j.Args.Campaign) })
	queue.Handle(q, 1, func(context.Context, queue.Job[campaign.EndJob]) error { return nil })
	require.NoError(t, q.Open())
	b.queue = q
	b.Service = campaign.NewService(d, q, campaign.Settings{Channels: map[channel.Kind]bool{channel.Messenger: true, channel.SMS: true}, Sender: school, Budgets: budget.NewStore(d, b.now), Now: b.now})
	b.exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '1', 'p', ?, ?, ?)", b.page, []byte{1}, noon, noon)
	b.exec("INSERT INTO topics (slug, title, created_at, updated_at) VALUES ('courses', 'New courses', ?, ?)", noon, noon)
	return b
}

// onEach runs a test on both engines; hook is called after each statement.
func onEach(t *testing.T, test func(t *testing.T, d *db.DB, hook *atomic.Pointer[func(string)])) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var hook atomic.Pointer[func(string)]
			o := db.Options{Dir: t.TempDir(), MaxConns: 8, Statements: func(sql string) {
				if f := hook.Load(); f != nil {
					(*f)(sql)
				}
			}}
			if engine == "postgres" {
				o.URL = dbtest.PostgresURL(t)
			}
			d, err := db.Open(t.Context(), o)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, d.Close()) })
			require.NoError(t, d.Migrate(t.Context()))
			test(t, d, &hook)
		})
	}
}

// meanwhile runs work once, just after the next time a campaign is read.
func meanwhile(hook *atomic.Pointer[func(string)], work func()) {
	var f func(string)
	f = func(sql string) {
		if strings.HasPrefix(sql, "SELECT * FROM") && strings.Contains(sql, "campaigns") && hook.CompareAndSwap(&f, nil) {
			work()
		}
	}
	hook.Store(&f)
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return tx.Exec(sql, args...).Error })
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) count(from string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+from).Scan(&n).Error)
	return n
}

func (b *bundle) contact() (id uuid.UUID) {
	b.t.Helper()
	id = uuid.Must(uuid.NewV7())
	b.exec("INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", id, noon, noon)
	return id
}

var (
	chat  = &content.Messenger{Text: "Hi {{ contact.first_name | default: 'there' }}!", QuickReplies: []content.QuickReply{{Title: "Yes", Payload: "YES"}}}
	text  = &content.SMS{Text: "Courses are open: {{ link }} Reply STOP to opt out"}
	email = &content.Email{Subject: "Courses for {{ contact.first_name }}", Text: "{{ link }} {{ unsubscribe_url }}"}
)

func (b *bundle) patch(src content.Source) campaign.Patch {
	return campaign.Patch{Name: ptr("Spring"), PageID: &b.page, Topic: ptr("courses"), Content: &src}
}

func ptr[T any](v T) *T { return &v }

func (b *bundle) draft() campaign.Campaign {
	b.t.Helper()
	c, _, err := b.Create(b.t.Context(), b.patch(content.Source{Messenger: chat, SMS: text}))
	require.NoError(b.t, err)
	return c
}

func (b *bundle) started() campaign.Campaign {
	b.t.Helper()
	c, err := b.Start(b.t.Context(), b.draft().ID)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) get(id uuid.UUID) campaign.Campaign {
	b.t.Helper()
	c, err := b.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return c
}

func (b *bundle) lanes(c campaign.Campaign) []channel.Lane {
	b.t.Helper()
	lanes, err := c.Lanes()
	require.NoError(b.t, err)
	return lanes
}

// mistakes lists what an error complains about, as "/pointer code".
func mistakes(t require.TestingT, err error) (out []string) {
	var f *fault.Error
	require.True(t, errors.As(err, &f), "%v", err)
	for _, one := range f.Fields {
		require.NotEmpty(t, one.Detail)
		out = append(out, one.Pointer+" "+one.Code)
	}
	return out
}

func jsonOf(t require.TestingT, v any) string {
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return string(out)
}

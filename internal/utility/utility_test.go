package utility_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/simulator"
	"beckon/internal/utility"
)

// bundle is a service that asks the simulator's Graph, unless answer is set.
type bundle struct {
	*utility.Service
	t      *testing.T
	d      *db.DB
	sim    *simulator.Simulator
	queue  *queue.Queue
	page   uuid.UUID
	now    time.Time
	answer *channel.Result
}

// graph answers as the simulator, or what the test wants.
type graph struct {
	*messenger.Client
	b *bundle
}

func (g graph) CreateTemplate(ctx context.Context, page channel.Page, t channel.Template) (channel.Template, channel.Result) {
	if g.b.answer != nil {
		return t, *g.b.answer
	}
	return g.Client.CreateTemplate(ctx, page, t)
}

func (g graph) Templates(ctx context.Context, page channel.Page, after string) ([]channel.Template, string, channel.Result) {
	if g.b.answer != nil {
		return nil, "", *g.b.answer
	}
	return g.Client.Templates(ctx, page, after)
}

type pages struct{}

func (pages) Sender(context.Context, uuid.UUID) (channel.Page, error) {
	return channel.Page{GraphID: "1001", AccessToken: "page-token"}, nil
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, page: uuid.Must(uuid.NewV7()), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	b.sim = simulator.New(simulator.Config{AppSecret: "s", Pages: map[string]string{"1001": "page-token"}, Clock: func() time.Time { return b.now }})
	server := httptest.NewServer(b.sim.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(b.sim.Close)
	client, err := messenger.New(messenger.Settings{GraphURL: server.URL + "/graph", GraphVersion: "v25.0", AppSecret: "s"}, nil)
	require.NoError(t, err)
	b.queue = queue.New(d, slog.New(slog.DiscardHandler))
	b.Service = utility.New(utility.Parts{DB: d, Queue: b.queue, Pages: pages{}, Graph: graph{client, b}, Now: func() time.Time { return b.now }})
	require.NoError(t, b.queue.Open())
	b.tx(func(tx *db.Tx) error {
		return tx.Exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '1001', 'p', ?, ?, ?)", b.page, []byte{1}, b.now, b.now).Error
	})
	return b
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

func (b *bundle) all() []utility.Template {
	b.t.Helper()
	list, err := b.List(b.t.Context(), b.page, uuid.Nil, 100)
	require.NoError(b.t, err)
	return list
}

func (b *bundle) one() utility.Template {
	b.t.Helper()
	list := b.all()
	require.Len(b.t, list, 1)
	return list[0]
}

func (b *bundle) hear(events ...channel.Event) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return b.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, Events: events}) })
}

func (b *bundle) says(status string, minute int) channel.Event {
	return channel.Event{Kind: channel.EventTemplate, Template: "visit", Language: "en", Status: status, Reason: "because " + status, At: b.now.Add(time.Duration(minute) * time.Minute)}
}

var visit = utility.Draft{Name: "visit", Language: "en", Body: "Hi {{name}}, your visit is on {{day}}.", Examples: map[string]string{"name": "Amy", "day": "Monday"},
	Buttons: []utility.Button{{Type: utility.Postback, Title: "Fine"}, {Type: utility.URL, Title: "Map", URL: "https://x.example/map"}, {Type: utility.Phone, Title: "Call", Phone: "+442071838750"}}}

func TestTemplateIsMadeAndApproved(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		made, err := b.Create(t.Context(), b.page, visit)
		require.NoError(t, err)
		require.Equal(t, []string{"visit", "en", "UTILITY", channel.TemplateApproved}, []string{made.Name, made.Language, made.Category, made.Status})
		require.NotEmpty(t, made.GraphID)
		form, err := made.Form()
		require.NoError(t, err)
		require.Equal(t, []string{"name", "day"}, form.Holes)
		require.Equal(t, 1, form.Postbacks)
		require.JSONEq(t, `[{"type":"BODY","text":"Hi {{name}}, your visit is on {{day}}.","example":{"body_text_named_params":[{"param_name":"name","example":"Amy"},{"param_name":"day","example":"Monday"}]}},
			{"type":"BUTTONS","buttons":[{"type":"POSTBACK","text":"Fine"},{"type":"URL","text":"Map","url":"https://x.example/map"},{"type":"PHONE_NUMBER","text":"Call","phone_number":"+442071838750"}]}]`, made.Components)
		_, err = b.Create(t.Context(), b.page, visit)
		require.True(t, fault.HasCode(err, "template_taken"))
	})
}

func TestNumberedHolesHaveExamplesInTheirOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		made, err := b.Create(t.Context(), b.page, utility.Draft{Name: "v", Language: "en_GB", Body: "{{1}} and {{2}}", Examples: map[string]string{"2": "b", "1": "a"}})
		require.NoError(t, err)
		require.Contains(t, strings.ReplaceAll(made.Components, " ", ""), `"body_text":[["a","b"]]`)
	})
}

func TestWrongTemplateFieldsAreNamed(t *testing.T) {
	t.Parallel()
	s := &utility.Service{} // refused before anybody is asked
	for pointer, spoil := range map[string]func(*utility.Draft){
		"/name":            func(d *utility.Draft) { d.Name = "Visit" },
		"/language":        func(d *utility.Draft) { d.Language = "english please" },
		"/body":            func(d *utility.Draft) { d.Body, d.Examples = " ", nil },
		"/body mixed":      func(d *utility.Draft) { d.Body, d.Examples = "{{1}} {{day}}", map[string]string{"1": "x", "day": "x"} },
		"/body order":      func(d *utility.Draft) { d.Body, d.Examples = "{{2}} {{1}}", map[string]string{"1": "x", "2": "x"} },
		"/examples/day":    func(d *utility.Draft) { d.Examples = map[string]string{"name": "Amy"} },
		"/examples/x~1y":   func(d *utility.Draft) { d.Examples = map[string]string{"name": "A", "day": "B", "x/y": "C"} },
		"/buttons":         func(d *utility.Draft) { d.Buttons = append(d.Buttons[:3:3], d.Buttons[0]) },
		"/buttons/0/title": func(d *utility.Draft) { d.Buttons = []utility.Button{{Type: utility.Postback}} },
		"/buttons/0/type":  func(d *utility.Draft) { d.Buttons = []utility.Button{{Title: "x"}} },
		"/buttons/0/url": func(d *utility.Draft) {
			d.Buttons = []utility.Button{{Type: utility.URL, Title: "x", URL: "https://x/{{1}}"}}
		},
		"/buttons/0/phone_number": func(d *utility.Draft) {
			d.Buttons = []utility.Button{{Type: utility.Postback, Title: "x", Phone: "+442071838750"}}
		},
	} {
		d := visit
		spoil(&d)
		_, err := s.Create(t.Context(), uuid.New(), d)
		require.True(t, fault.Is(err, fault.Invalid), pointer)
		require.ErrorContains(t, err, "["+strings.Fields(pointer)[0]+" ", pointer)
	}
}

func TestWhatGraphAnswersIsTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for code, r := range map[string]channel.Result{
			"refused_by_graph":  {Outcome: channel.Refused, Code: "100"},
			"graph_unavailable": {Outcome: channel.TryLater, Code: "4"},
		} {
			b.answer = &r
			_, err := b.Create(t.Context(), b.page, visit)
			require.True(t, fault.HasCode(err, code), "%v", err)
			require.True(t, fault.HasCode(b.Sync(t.Context(), b.page), code))
			require.Empty(t, b.all())
		}
		absent := &utility.Service{Parts: utility.Parts{}}
		_, err := absent.Create(t.Context(), b.page, visit)
		require.True(t, fault.HasCode(err, "channel_absent"))
	})
}

func TestTemplateOfALostAnswerIsLookedFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.answer = &channel.Result{Outcome: channel.Unknown}
		made, err := b.Create(t.Context(), b.page, visit)
		require.NoError(t, err)
		require.Equal(t, utility.Unknown, made.Status)
		b.answer = nil
		b.sim.AddTemplate("1001", simulator.Template{Name: "visit", Language: "en", Status: "rejected", Components: json.RawMessage(made.Components)})
		b.now = b.now.Add(time.Minute)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		require.Equal(t, "rejected", b.one().Status)
	})
}

func TestListOfThePageIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, err := b.Create(t.Context(), b.page, visit)
		require.NoError(t, err)
		b.tx(func(tx *db.Tx) error { return tx.Exec("UPDATE message_templates SET name = 'gone'").Error })
		b.now = b.now.Add(time.Minute)
		for i := range 120 { // more than one part of the list
			b.sim.AddTemplate("1001", simulator.Template{Name: "t" + strings.Repeat("x", i), Language: "en", Status: "PENDING", Components: json.RawMessage(`[{"type":"BODY","text":"x"}]`)})
		}
		require.NoError(t, b.Sync(t.Context(), b.page))
		count := map[string]int{}
		list, err := b.List(t.Context(), b.page, uuid.Nil, 1000)
		require.NoError(t, err)
		for _, x := range list {
			count[x.Status]++
		}
		require.Equal(t, map[string]int{channel.TemplateApproved: 1, "pending": 120, utility.Deleted: 1}, count)

		first, err := b.List(t.Context(), b.page, uuid.Nil, 2)
		require.NoError(t, err)
		rest, err := b.List(t.Context(), b.page, first[1].ID, 1000)
		require.NoError(t, err)
		require.Len(t, rest, 120)
		require.NoError(t, b.Sync(t.Context(), b.page))
		again, err := b.List(t.Context(), b.page, uuid.Nil, 1000)
		require.NoError(t, err)
		require.Equal(t, list, again, "reading it once more changes nothing")
	})
}

func TestWordsOfMetaCountInTheirOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, err := b.Create(t.Context(), b.page, visit)
		require.NoError(t, err)
		b.hear(b.says("paused", 2), b.says("rejected", 1), channel.Event{Kind: channel.EventTemplate}, channel.Event{Kind: channel.EventMessage})
		require.Equal(t, []string{"paused", "because paused"}, []string{b.one().Status, b.one().Reason})
		b.hear(b.says("rejected", 1), b.says("paused", 2))
		require.Equal(t, "paused", b.one().Status)
		var told int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM events WHERE type = ?", event.TemplateChanged).Row().Scan(&told))
		require.Equal(t, 1, told, "it is told once")

		b.now = b.now.Add(3 * time.Minute)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		require.Equal(t, channel.TemplateApproved, b.one().Status, "the Page's list is read after an event, and is newer")
		require.Empty(t, b.one().Reason)
	})
}

func TestTemplateNobodyKnowsIsReadFromTheList(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.AddTemplate("1001", simulator.Template{Name: "visit", Language: "en", Status: "APPROVED", Components: json.RawMessage(`[{"type":"BODY","text":"x"}]`)})
		b.hear(b.says("approved", 0))
		require.Empty(t, b.all())
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		require.Equal(t, channel.TemplateApproved, b.one().Status)
	})
}

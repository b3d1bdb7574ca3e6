package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/db"
)

// list is a list of the API and what it is known to hold, in its order.
type list struct {
	path string
	key  string // the field that tells rows apart
	want []string
}

// newest returns ids as a list shows them: the newest first.
func newest(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

// prefixed puts a prefix before each text.
func prefixed(prefix string, list []string) []string {
	return each(list, func(text string) string { return prefix + text })
}

const many = 7

// lists fills every list of the API with many rows.
func (s *service) lists() []list {
	s.t.Helper()
	var pages, contacts, tokens, campaigns, suppressions, keys, templates []string
	for i := range many {
		p := ask[gen.Page](s, 201, "POST", "/v1/pages", fmt.Sprintf(`{"facebook_page_id":"%d","name":"Page","access_token":"x"}`, 100+i))
		pages = append(pages, p.ID.String())
		s.newTopic(fmt.Sprintf("topic-%d", i))
		contacts = append(contacts, s.newContact(`"external_id":"%d","email":"p%d@example.com","consents":%s`, i, i, subscribed).ID.String())
		suppressions = append(suppressions, ask[gen.Suppression](s, 201, "POST", "/v1/suppressions", fmt.Sprintf(`{"channel":"email","address":"x%d@example.com"}`, i)).ID.String())
	}
	for i := range many {
		body := fmt.Sprintf(`{"page_id":"%s","topic":"topic-1","token":"t%d","granted_at":"2026-02-01T00:00:00Z"}`, pages[0], i)
		tokens = append(tokens, ask[gen.Token](s, 201, "POST", "/v1/contacts/"+contacts[0]+"/tokens", body).ID.String())
		body = fmt.Sprintf(`{"name":"c","page_id":"%s","topic":"topic-1","content":{"email":{"subject":"x","text":"y"}}}`, pages[0])
		campaigns = append(campaigns, ask[gen.Campaign](s, 201, "POST", "/v1/campaigns", body).ID.String())
		keys = append(keys, ask[gen.APIKeyCreated](s, 201, "POST", "/v1/api-keys", `{"name":"k","scopes":["admin"]}`).ID.String())
	}
	for i := range many {
		templates = append(templates, s.newTemplate(pages[0], fmt.Sprintf("t%d", i)))
	}
	sent := "/v1/campaigns/" + campaigns[0]
	ask[gen.Campaign](s, 202, "POST", sent+"/start", "")
	imp := s.imported("application/x-ndjson", strings.Repeat(`{"external_id":"z"`+"\n", many), "")
	s.work()
	keys = append([]string{s.firstKey()}, keys...)
	senders := []string{"email"}
	for _, p := range pages {
		senders = append(senders, "messenger:"+p)
	}
	senders = append(senders, "sms")
	return []list{
		{"/v1/pages", "id", newest(pages)},
		{"/v1/pages/" + pages[0] + "/message-templates", "id", newest(templates)},
		{"/v1/topics", "slug", []string{"topic-0", "topic-1", "topic-2", "topic-3", "topic-4", "topic-5", "topic-6", "unsorted"}},
		{"/v1/contacts", "id", newest(contacts)},
		{"/v1/contacts?q=example", "id", newest(contacts)},
		{"/v1/contacts/" + contacts[0] + "/tokens", "id", newest(tokens)},
		{"/v1/contacts/" + contacts[0] + "/consents", "channel", []string{"email", "sms"}},
		{"/v1/contacts/" + contacts[0] + "/timeline", "id", append([]string{"delivery:1", "consent:2", "consent:1"}, prefixed("token:", newest(tokens))...)},
		{"/v1/suppressions?channel=email", "id", newest(suppressions)},
		{"/v1/campaigns", "id", newest(campaigns)},
		{sent + "/deliveries", "id", []string{"1", "2", "3", "4", "5", "6", "7"}},
		{sent + "/deliveries?lane=email&state=accepted", "id", []string{"1", "2", "3", "4", "5", "6", "7"}},
		{"/v1/imports/" + imp.ID.String() + "/lines", "line", []string{"1", "2", "3", "4", "5", "6", "7"}},
		{"/v1/api-keys", "id", newest(keys)},
		{"/v1/lines", "sender", senders},
	}
}

// newTemplate writes a utility template down as if Meta had told of it.
func (s *service) newTemplate(page, name string) string {
	s.t.Helper()
	id, now := uuid.Must(uuid.NewV7()), s.clock.Now()
	require.NoError(s.t, s.db.Transact(s.t.Context(), func(tx *db.Tx) error {
		return tx.Exec(`INSERT INTO message_templates (id, page_id, name, language, category, status, components, status_at, created_at, updated_at)
			VALUES (?, ?, ?, 'en', 'UTILITY', 'approved', '[]', ?, ?, ?)`, id, page, name, now, now, now).Error
	}))
	return id.String()
}

func (s *service) firstKey() string {
	s.t.Helper()
	var id string
	require.NoError(s.t, s.db.Read(s.t.Context()).Raw("SELECT id FROM api_keys ORDER BY id LIMIT 1").Scan(&id).Error)
	return id
}

type listAnswer struct {
	Data       []map[string]any `json:"data"`
	NextCursor *string          `json:"next_cursor"`
}

// walk reads a list page by page.
func (s *service) walk(l list, limit int) (got []string) {
	s.t.Helper()
	query := map[bool]string{true: "&", false: "?"}[strings.Contains(l.path, "?")]
	path := l.path + fmt.Sprintf("%slimit=%d", query, limit)
	for next := ""; ; {
		p := ask[listAnswer](s, 200, "GET", path+next, "")
		require.LessOrEqual(s.t, len(p.Data), limit)
		for _, row := range p.Data {
			got = append(got, fmt.Sprint(row[l.key]))
		}
		if p.NextCursor == nil {
			return got
		}
		require.Len(s.t, p.Data, limit, "only the last page may be short")
		next = "&cursor=" + *p.NextCursor
	}
}

func TestEveryListPagesWithoutLoss(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		specified := map[string]bool{}
		for route, op := range s.contract.operations {
			if op.params.GetByInAndName("query", "cursor") != nil {
				specified[route] = true
			}
		}
		for _, l := range s.lists() {
			for _, limit := range []int{1, 3, len(l.want), 200} {
				require.Equal(t, l.want, s.walk(l, limit), "%s by %d", l.path, limit)
			}
			require.Nil(t, ask[listAnswer](s, 200, "GET", l.path, "").NextCursor, "%s by the default", l.path)
			s.refusesCursors(l)
			delete(specified, http.MethodGet+" "+s.routeOf(l.path))
		}
		delete(specified, "GET /v1/events") // has no last page
		require.Empty(t, specified, "lists that are not tested")
	})
}

func (s *service) routeOf(path string) string {
	for p, item := range s.contract.doc.Paths.Map() {
		if item.Get != nil && item.Get == s.operation(call{Method: "GET", Path: path}) {
			return echoPath(p)
		}
	}
	return ""
}

// refusesCursors tries texts that no list has given out.
func (s *service) refusesCursors(l list) {
	s.t.Helper()
	query := map[bool]string{true: "&", false: "?"}[strings.Contains(l.path, "?")]
	for _, made := range []string{"x", "MQ", "MXt9", "MXt9fQ", "MS4u", "MSJcdTAwMDAi"} { // the last is a NUL
		got := s.refused(422, "invalid_fields", call{Method: "GET", Path: l.path + query + "cursor=" + made})
		require.Equal(s.t, map[string]string{"/query/cursor": "bad_format"}, got, made)
	}
}

// Rows that come while a list is read neither appear twice nor push others out.
func TestAListMayGrowWhileItIsRead(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		var before []string
		for i := range many {
			before = append(before, s.newContact(`"external_id":"a%d"`, i).ID.String())
		}
		var got []string
		for path, i := "/v1/contacts?limit=2", 0; path != ""; i++ {
			p := ask[gen.ContactList](s, 200, "GET", path, "")
			for _, c := range p.Data {
				got = append(got, c.ID.String())
			}
			s.newContact(`"external_id":"b%d"`, i)
			if path = ""; p.NextCursor != nil {
				path = "/v1/contacts?limit=2&cursor=" + *p.NextCursor
			}
		}
		require.Equal(t, newest(before), got)
	})
}

package token_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/token"
)

func TestTopicsAreKeptAndListedBySlug(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		made, err := b.store.CreateTopic(t.Context(), token.TopicDraft{Slug: "back-in_stock", Title: strings.Repeat("ж", 65)})
		require.NoError(t, err)
		got, err := b.store.Topic(t.Context(), "back-in_stock")
		require.NoError(t, err)
		require.Equal(t, made.Title, got.Title)
		require.Equal(t, []string{}, got.Payloads)
		require.True(t, made.CreatedAt.Equal(got.CreatedAt))

		list, err := b.store.Topics(t.Context(), "", 2)
		require.NoError(t, err)
		require.Equal(t, []string{"back-in_stock", "courses"}, []string{list[0].Slug, list[1].Slug})
		require.Equal(t, []string{"OTN_COURSES"}, list[1].Payloads)
		list, err = b.store.Topics(t.Context(), "courses", 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, token.Unsorted, list[0].Slug)
		_, err = b.store.Topic(t.Context(), "nothing")
		require.True(t, fault.HasCode(err, "topic_not_found"))
	})
}

func TestPatchedTopicKeepsWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.now = b.now.Add(time.Hour)
		title, payloads := "Courses", []string{"A", "OTN_COURSES"}
		_, err := b.store.PatchTopic(t.Context(), "courses", token.TopicPatch{Title: &title})
		require.NoError(t, err)
		got, err := b.store.PatchTopic(t.Context(), "courses", token.TopicPatch{Payloads: &payloads})
		require.NoError(t, err)
		stored, err := b.store.Topic(t.Context(), "courses")
		require.NoError(t, err)
		for _, tp := range []token.Topic{got, stored} {
			require.Equal(t, title, tp.Title)
			require.Equal(t, payloads, tp.Payloads)
			require.True(t, tp.UpdatedAt.Equal(b.now.Truncate(time.Microsecond)))
			require.True(t, tp.CreatedAt.Before(tp.UpdatedAt))
		}
		_, err = b.store.PatchTopic(t.Context(), "nothing", token.TopicPatch{Title: &title})
		require.True(t, fault.HasCode(err, "topic_not_found"))
	})
}

func TestPayloadLeadsToOneTopic(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		create := func(slug string, payloads ...string) error {
			_, err := b.store.CreateTopic(t.Context(), token.TopicDraft{Slug: slug, Title: "x", Payloads: payloads})
			return err
		}
		for _, c := range []struct {
			err     error
			pointer string
		}{
			{create("courses"), "/slug"},
			{create(token.Unsorted), "/slug"},
			{create("other", "fine", "OTN_COURSES"), "/payloads/1"},
			{create("other", "courses"), "/payloads/0"},
			{create("other", "unsorted"), "/payloads/0"},
		} {
			require.True(t, fault.Is(c.err, fault.Conflict), "%v", c.err)
			require.ErrorContains(t, c.err, "["+c.pointer+" ")
		}
		require.NoError(t, create("other", "other", "o"))
		require.NoError(t, create("third", "future"))
		require.ErrorContains(t, create("future"), "[/slug ")
		taken := []string{"o"}
		_, err := b.store.PatchTopic(t.Context(), "courses", token.TopicPatch{Payloads: &taken})
		require.True(t, fault.HasCode(err, "payload_taken"))
	})
}

func TestTwoTopicsAtOnceCannotHaveOnePayload(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = b.store.CreateTopic(t.Context(), token.TopicDraft{Slug: "t" + string(rune('a'+i)), Title: "x", Payloads: []string{"same"}})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.True(t, fault.HasCode(err, "payload_taken"), "%v", err)
		}
		require.Equal(t, 1, won)
	})
}

func TestWrongTopicFieldsAreNamed(t *testing.T) {
	t.Parallel()
	store := token.NewStore(nil, nil, time.Now) // refused before anything is stored
	long := make([]string, 101)
	for pointer, drafts := range map[string][]token.TopicDraft{
		"/slug":       {{Title: "x"}, {Slug: "Courses", Title: "x"}, {Slug: "-a", Title: "x"}, {Slug: strings.Repeat("a", 65), Title: "x"}, {Slug: "a\n", Title: "x"}},
		"/title":      {{Slug: "a"}, {Slug: "a", Title: " "}, {Slug: "a", Title: strings.Repeat("ж", 66)}, {Slug: "a", Title: "\x00"}},
		"/payloads/1": {{Slug: "a", Title: "x", Payloads: []string{"p", "p"}}, {Slug: "a", Title: "x", Payloads: []string{"p", ""}}, {Slug: "a", Title: "x", Payloads: []string{"p", "bk:optin:1"}}},
		"/payloads":   {{Slug: "a", Title: "x", Payloads: long}},
	} {
		for _, d := range drafts {
			_, err := store.CreateTopic(t.Context(), d)
			require.True(t, fault.Is(err, fault.Invalid), "%+v", d)
			require.ErrorContains(t, err, "["+pointer+" ")
		}
	}
	empty := ""
	_, err := store.PatchTopic(t.Context(), "a", token.TopicPatch{Title: &empty, Payloads: &long})
	require.ErrorContains(t, err, "[/title ")
	require.ErrorContains(t, err, "[/payloads ")
}

func TestTopicsOfPayloads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		request := uuid.Must(uuid.NewV7())
		b.exec(t, "INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'courses', 'sent', ?, ?)",
			request, b.contact, b.page, b.now, b.now)
		want := map[string]string{
			"courses":                       "courses",
			"OTN_COURSES":                   "courses",
			"otn_courses":                   token.Unsorted,
			"":                              token.Unsorted,
			"unsorted":                      token.Unsorted,
			`["OTN_COURSES"]`:               token.Unsorted,
			"bk:optin:" + request.String():  "courses",
			"bk:optin:" + uuid.NewString():  token.Unsorted,
			"bk:optin:nonsense":             token.Unsorted,
			"xbk:optin:" + request.String(): token.Unsorted,
			"it's 100% \x01 unknown ю":      token.Unsorted,
		}
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			got, err := b.store.TopicsOf(t.Context(), tx, slices.Collect(maps.Keys(want)))
			for payload, topic := range want {
				require.Equal(t, topic, got[payload].Topic, payload)
				require.Equal(t, payload == "bk:optin:"+request.String(), got[payload].Request == request, payload)
			}
			return err
		}))
	})
}

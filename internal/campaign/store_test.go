package campaign_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func TestCreateStoresADraft(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.patch(content.Source{Messenger: chat, SMS: text})
		p.Audience = json.RawMessage(`{"field": "attributes.city", "op": "eq", "value": "Leeds"}`)
		c, def, err := b.Create(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, campaign.Draft, c.State)
		require.Equal(t, c, b.get(c.ID))
		require.Equal(t, noon, c.CreatedAt.UTC())
		require.JSONEq(t, string(p.Audience), c.Audience)
		require.True(t, c.FallThrough, "unless said otherwise")
		require.Equal(t, []channel.Lane{channel.Window, channel.OneTime, channel.LaneSMS}, def.Route)
		require.Empty(t, def.Warnings)
		src, err := c.Source()
		require.NoError(t, err)
		require.Equal(t, content.Source{Messenger: chat, SMS: text}, src)
	})
}

func TestCreateWarnsOfWhatIsNotSetUpAndOfTheContent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, def, err := b.Create(t.Context(), b.patch(content.Source{SMS: &content.SMS{Text: "Come back!"}, Email: email}))
		require.NoError(t, err, "it may be set up before the start")
		var got []string
		for _, w := range def.Warnings {
			got = append(got, w.Pointer+" "+w.Code)
		}
		require.ElementsMatch(t, []string{"/route/1 channel_absent", "/content/sms/text sms_without_link", "/content/sms/text sms_without_opt_out"}, got)
	})
}

func TestCreateTellsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		p := b.patch(content.Source{SMS: &content.SMS{Text: "{{ nonsense }}"}})
		p.Name, p.PageID, p.Topic = ptr(" "), ptr(uuid.Must(uuid.NewV7())), ptr("cooking")
		p.Audience, p.Route = json.RawMessage(`{"nothing": "of ours"}`), &[]channel.Lane{channel.LaneSMS, "pigeon"}
		_, _, err := b.Create(t.Context(), p)
		require.True(t, fault.Is(err, fault.Invalid))
		got := mistakes(t, err)
		require.Subset(t, got, []string{"/name bad_length", "/page_id page_not_found", "/topic topic_not_found", "/route/1 not_allowed"})
		require.Contains(t, strings.Join(got, "\n"), "/audience")
		require.Contains(t, strings.Join(got, "\n"), "/content/sms/text")
		require.Zero(t, b.count("campaigns"))
	})
}

func TestCreateOfNothingNamesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		_, _, err := setup(t, d).Create(t.Context(), campaign.Patch{})
		require.Equal(t, []string{"/name bad_length", "/page_id page_not_found", "/topic topic_not_found", "/content required"}, mistakes(t, err))
	})
}

func TestCreateTakesNoTextThatADatabaseRefuses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for name, want := range map[string][]string{
			strings.Repeat("ž", campaign.MaxName):   nil,
			strings.Repeat("ž", campaign.MaxName+1): {"/name bad_length"},
			"a\x00b":                                {"/name bad_text"},
			"a\xffb":                                {"/name bad_text"},
		} {
			p := b.patch(content.Source{SMS: text})
			p.Name = &name
			_, _, err := b.Create(t.Context(), p)
			if want == nil {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, want, mistakes(t, err))
		}
		_, _, err := b.Create(t.Context(), b.patch(content.Source{SMS: &content.SMS{Text: "{{ link }} STOP \x00"}}))
		require.Equal(t, []string{"/content bad_text"}, mistakes(t, err))
		_, _, err = b.Create(t.Context(), b.patch(content.Source{SMS: &content.SMS{Text: `{{ link }} STOP \u0000`}}))
		require.NoError(t, err, "a backslash and some letters are text")
	})
}

func TestTheDefaultRouteFollowsTheContent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c, _, err := b.Create(t.Context(), b.patch(content.Source{SMS: text}))
		require.NoError(t, err)
		require.Equal(t, []channel.Lane{channel.LaneSMS}, b.lanes(c))
		update := func(p campaign.Patch) []channel.Lane {
			c, _, err = b.Update(t.Context(), c.ID, p)
			require.NoError(t, err)
			return b.lanes(c)
		}
		all := []channel.Lane{channel.Window, channel.OneTime, channel.LaneSMS, channel.LaneEmail}
		require.Equal(t, all, update(campaign.Patch{Content: &everything}))
		own := []channel.Lane{channel.LaneEmail, channel.Window}
		require.Equal(t, own, update(campaign.Patch{Route: &own}))
		require.Equal(t, own, update(campaign.Patch{Name: ptr("Summer")}), "a route of one's own stays")
		require.Equal(t, own, update(campaign.Patch{Content: &content.Source{Messenger: chat, Email: email}}), "whatever is said")
		require.Equal(t, []channel.Lane{channel.Window, channel.OneTime, channel.LaneEmail}, update(campaign.Patch{Route: &[]channel.Lane{}}), "until it is given up")
		require.Equal(t, []channel.Lane{channel.LaneSMS}, update(campaign.Patch{Content: &content.Source{SMS: text}}))
	})
}

func TestUpdateChangesOnlyWhatIsNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		before := b.draft()
		after, _, err := b.Update(t.Context(), before.ID, campaign.Patch{FallThrough: ptr(false)})
		require.NoError(t, err)
		require.True(t, after.UpdatedAt.After(before.UpdatedAt), "even within one tick of the clock")
		before.FallThrough, before.UpdatedAt = false, after.UpdatedAt
		require.Equal(t, before, after)

		b.advance(time.Minute)
		after, _, err = b.Update(t.Context(), before.ID, campaign.Patch{Audience: json.RawMessage(`{"field": "attributes.city", "op": "eq", "value": "Leeds"}`), Topic: ptr("unsorted")})
		require.NoError(t, err)
		require.Equal(t, noon.Add(time.Minute), after.UpdatedAt.UTC())
		require.Equal(t, "unsorted", after.Topic)

		_, _, err = b.Update(t.Context(), before.ID, campaign.Patch{Name: ptr("")})
		require.Equal(t, []string{"/name bad_length"}, mistakes(t, err))
		require.Equal(t, after, b.get(before.ID))
	})
}

func TestOfTwoChangesAtOnceOneIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *db.DB, hook *atomic.Pointer[func(string)]) {
		b := setup(t, d)
		c := b.draft()
		meanwhile(hook, func() {
			_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Theirs")})
			require.NoError(t, err)
		})
		_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Topic: ptr("unsorted")})
		require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "changed_meanwhile"), "%v", err)
		require.Equal(t, "Theirs", b.get(c.ID).Name)
		require.Equal(t, "courses", b.get(c.ID).Topic)
	})
}

func TestAChangeWhileItIsStartedIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *db.DB, hook *atomic.Pointer[func(string)]) {
		b := setup(t, d)
		c := b.draft()
		meanwhile(hook, func() {
			_, err := b.Start(t.Context(), c.ID)
			require.NoError(t, err)
		})
		_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Too late")})
		require.True(t, fault.HasCode(err, "changed_meanwhile"), "%v", err)
		require.Equal(t, "Spring", b.get(c.ID).Name)
	})
}

func TestOnlyADraftIsChangedOrDeleted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.started()
		for _, state := range []campaign.State{campaign.Running, campaign.Scheduled, campaign.Paused, campaign.Finished, campaign.Cancelled} {
			b.exec("UPDATE campaigns SET state = ? WHERE id = ?", state, c.ID)
			_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("x")})
			require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "campaign_frozen"), state)
			require.True(t, fault.HasCode(b.Delete(t.Context(), c.ID), "campaign_frozen"), state)
		}
		require.Equal(t, "Spring", b.get(c.ID).Name)

		draft := b.draft()
		require.NoError(t, b.Delete(t.Context(), draft.ID))
		require.ErrorIs(t, b.Delete(t.Context(), draft.ID), campaign.ErrNone)
		_, _, err := b.Update(t.Context(), draft.ID, campaign.Patch{})
		require.ErrorIs(t, err, campaign.ErrNone)
		_, err = b.Get(t.Context(), draft.ID)
		require.ErrorIs(t, err, campaign.ErrNone)
		require.Equal(t, 1, b.count("campaigns"))
	})
}

func TestListGoesFromTheNewestInPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var want, got []uuid.UUID
		for range 5 {
			want = append([]uuid.UUID{b.draft().ID}, want...)
		}
		for after := uuid.Nil; ; {
			list, err := b.List(t.Context(), after, 2)
			require.NoError(t, err)
			if len(list) == 0 {
				break
			}
			for _, c := range list {
				got, after = append(got, c.ID), c.ID
			}
		}
		require.Equal(t, want, got)
	})
}

func TestADatabaseThatIsAwayIsNotTheCallersFault(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	running := b.started()
	draft := b.draft()
	b.exec("ALTER TABLE campaigns RENAME TO away")
	_, err := b.Get(t.Context(), draft.ID)
	require.True(t, fault.Is(err, fault.Internal))
	_, err = b.List(t.Context(), uuid.Nil, 1)
	require.True(t, fault.Is(err, fault.Internal))
	_, _, err = b.Create(t.Context(), b.patch(content.Source{SMS: text}))
	require.True(t, fault.Is(err, fault.Internal))
	_, err = b.FinishIfDone(t.Context(), running.ID)
	require.True(t, fault.Is(err, fault.Internal))
	require.Error(t, d(b, func(tx *db.Tx) error { _, err := b.Planned(tx, running.ID, nil, draft.ID, true); return err }))
}

func d(b *bundle, work func(*db.Tx) error) error { return b.d.Transact(b.t.Context(), work) }

func TestAChangeMadeFromAnOldCopyIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.draft()
		name := "Summer"
		changed, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: &name, AsOf: c.UpdatedAt})
		require.NoError(t, err)
		_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Name: &name, AsOf: c.UpdatedAt})
		require.True(t, fault.HasCode(err, "changed_meanwhile"), "%v", err)
		_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Name: &name, AsOf: changed.UpdatedAt})
		require.NoError(t, err)
	})
}

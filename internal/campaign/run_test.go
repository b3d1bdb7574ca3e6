package campaign_test

import (
	"slices"
	"sync"
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
)

const planJobs = "river_job WHERE kind = 'campaign.plan'"

func TestStartFreezesTheCampaignWithItsJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.contact()
		last := b.contact()
		c := b.draft()
		b.advance(time.Minute)
		c, err := b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Running, c.State)
		require.Equal(t, noon.Add(time.Minute), c.StartedAt.UTC())
		require.Equal(t, last, *c.PlannedUntil, "who comes later is not in the audience")
		require.Nil(t, c.PlannedTo)
		require.Equal(t, 1, b.count(planJobs))

		_, err = b.Start(t.Context(), c.ID)
		require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "wrong_state"))
		_, err = b.Start(t.Context(), uuid.Must(uuid.NewV7()))
		require.ErrorIs(t, err, campaign.ErrNone)
	})
}

func TestStartWithoutContactsPlansNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		require.Equal(t, uuid.Nil, *setup(t, d).started().PlannedUntil)
	})
}

func TestOfManyStartsAtOnceOneCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.draft()
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = b.Start(t.Context(), c.ID) })
		}
		wg.Wait()
		started := 0
		for _, err := range errs {
			if err == nil {
				started++
			} else {
				require.True(t, fault.Is(err, fault.Conflict), "%v", err)
			}
		}
		require.Equal(t, 1, started)
		require.Equal(t, 1, b.count(planJobs))
	})
}

func TestStartTakesNoDraftThatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d *db.DB, hook *atomic.Pointer[func(string)]) {
		b := setup(t, d)
		c := b.draft()
		meanwhile(hook, func() {
			_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Another")})
			require.NoError(t, err)
		})
		_, err := b.Start(t.Context(), c.ID)
		require.True(t, fault.HasCode(err, "changed_meanwhile"), "%v", err)
		require.Equal(t, campaign.Draft, b.get(c.ID).State)
		require.Zero(t, b.count(planJobs))
	})
}

func TestStartIsRefusedWhileAnEMailLacksItsDuties(t *testing.T) {
	t.Parallel()
	bare := &content.Email{Subject: "Courses", Text: "{{ link }}", Layout: content.LayoutNone}
	const noWay, noPlace, noName = "email_without_unsubscribe", "email_without_postal_address", "email_without_sender_name"
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for name, c := range map[string]struct {
			by   content.Sender
			src  content.Source
			want []string
		}{
			"all there":              {school, content.Source{Email: email}, nil},
			"nobody sends it":        {content.Sender{Postal: "1 Quay Street"}, content.Source{Email: email}, []string{"/content/email " + noName}},
			"from nowhere":           {content.Sender{Name: "School"}, content.Source{Email: email}, []string{"/content/email " + noPlace}},
			"nothing stands in it":   {school, content.Source{Email: bare}, []string{"/content/email/html " + noWay, "/content/email/html " + noPlace}},
			"not on the route":       {content.Sender{}, content.Source{SMS: text}, nil},
			"last on a longer route": {content.Sender{Name: "School"}, content.Source{SMS: text, Email: email}, []string{"/content/email " + noPlace}},
		} {
			s := campaign.NewService(d, b.queue, campaign.Settings{Channels: map[channel.Kind]bool{channel.SMS: true, channel.Email: true}, Sender: c.by, Budgets: budget.NewStore(d, b.now), Now: b.now})
			p := b.patch(c.src)
			later := noon.Add(time.Hour)
			p.StartsAt = &later
			draft, def, err := s.Create(t.Context(), p)
			require.NoError(t, err, "a draft may lack anything")
			_, err = s.Start(t.Context(), draft.ID)
			if c.want == nil {
				require.NoError(t, err, name)
				continue
			}
			require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "email_incomplete"), name)
			require.Equal(t, c.want, mistakes(t, err), name)
			require.Equal(t, campaign.Draft, b.get(draft.ID).State)
			require.True(t, slices.ContainsFunc(def.Warnings, content.Warning.Stops), "the author was warned")
			_, err = s.Test(t.Context(), draft.ID, campaign.Trial{Contact: b.contact()})
			require.True(t, fault.HasCode(err, "email_incomplete"), "nor may it be tried on somebody")
		}
	})
}

func TestStartIsRefusedWhileAChannelIsAbsent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c, _, err := b.Create(t.Context(), b.patch(everything))
		require.NoError(t, err)
		_, err = b.Start(t.Context(), c.ID)
		require.True(t, fault.Is(err, fault.Conflict) && fault.HasCode(err, "channel_absent"))
		require.Equal(t, []string{"/route/3 channel_absent"}, mistakes(t, err))
		require.Equal(t, campaign.Draft, b.get(c.ID).State)
		require.Zero(t, b.count(planJobs))
	})
}

func TestStartRefusesWhatNoLongerCompiles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.draft()
		b.exec("UPDATE campaigns SET route = ? WHERE id = ?", `["pigeon"]`, c.ID)
		_, err := b.Start(t.Context(), c.ID)
		require.Equal(t, []string{"/route/0 not_allowed"}, mistakes(t, err))
	})
}

func (b *bundle) planned(id uuid.UUID, from *uuid.UUID, to uuid.UUID, done bool) (ok bool) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) (err error) { ok, err = b.Planned(tx, id, from, to, done); return err })
	return ok
}

func TestPlannedMovesOnOnlyFromWhereItStands(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		first, second, third := b.contact(), b.contact(), b.contact()
		c := b.started()
		require.False(t, b.planned(c.ID, &first, second, false), "nothing is planned yet")
		require.True(t, b.planned(c.ID, nil, first, false))
		require.False(t, b.planned(c.ID, nil, first, false), "another run was first")
		require.True(t, b.planned(c.ID, &first, second, false))
		require.False(t, b.planned(c.ID, &first, second, false))
		require.Equal(t, second, *b.get(c.ID).PlannedTo)
		require.Nil(t, b.get(c.ID).PlannedAt)

		b.advance(time.Minute)
		require.True(t, b.planned(c.ID, &second, third, true))
		require.Equal(t, noon.Add(time.Minute), b.get(c.ID).PlannedAt.UTC())
		require.False(t, b.planned(c.ID, &third, third, true), "planned is planned")
		require.Equal(t, noon, b.get(c.ID).UpdatedAt.UTC(), "progress is no change")
	})
}

func TestPlannedKeepsAwayFromWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.False(t, b.planned(b.draft().ID, nil, b.contact(), false))
		c := b.started()
		b.exec("UPDATE campaigns SET state = 'paused' WHERE id = ?", c.ID)
		require.False(t, b.planned(c.ID, nil, b.contact(), false))
	})
}

func TestACampaignEndsWhenItIsPlannedAndNoBatchIsOpen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c, other := b.started(), b.started()
		b.exec("INSERT INTO batches (id, campaign_id, lane, first_id, last_id, created_at) VALUES (?, ?, 'sms', 1, 2, ?)", uuid.Must(uuid.NewV7()), other.ID, noon)
		finish := func() bool {
			done, err := b.FinishIfDone(t.Context(), c.ID)
			require.NoError(t, err)
			return done
		}
		require.False(t, finish(), "not planned yet")
		require.True(t, b.planned(c.ID, nil, b.contact(), true))
		batch := uuid.Must(uuid.NewV7())
		b.exec("INSERT INTO batches (id, campaign_id, lane, first_id, last_id, created_at) VALUES (?, ?, 'sms', 1, 2, ?)", batch, c.ID, noon)
		require.False(t, finish(), "a batch is open")
		b.exec("UPDATE batches SET finished_at = ? WHERE id = ?", noon, batch)
		b.advance(time.Hour)
		require.True(t, finish())
		require.False(t, finish(), "once")
		require.Equal(t, campaign.Finished, b.get(c.ID).State)
		require.Equal(t, noon.Add(time.Hour), b.get(c.ID).FinishedAt.UTC())
		require.Equal(t, campaign.Running, b.get(other.ID).State)
		var told int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM events WHERE type = 'campaign.finished'").Scan(&told).Error)
		require.Equal(t, 1, told)
	})
}

func (b *bundle) definition(id uuid.UUID) *campaign.Definition {
	b.t.Helper()
	def, err := b.Definition(b.t.Context(), id)
	require.NoError(b.t, err)
	return def
}

func TestDefinitionIsCompiledOnceButNeverKeptForADraft(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.draft()
		require.Equal(t, "Spring", b.definition(c.ID).Name)
		_, _, err := b.Update(t.Context(), c.ID, campaign.Patch{Name: ptr("Summer"), Content: &content.Source{SMS: &content.SMS{Text: "New {{ link }} STOP"}}})
		require.NoError(t, err)
		require.Equal(t, "Summer", b.definition(c.ID).Name)
		_, err = b.Start(t.Context(), c.ID)
		require.NoError(t, err)
		def := b.definition(c.ID)
		require.Same(t, def, b.definition(c.ID))
		batch, _ := def.Compose(channel.LaneSMS, "", []campaign.Recipient{{Link: "L"}})
		require.Equal(t, "New L STOP", string(batch.Messages[0].Body))

		_, err = b.Definition(t.Context(), uuid.Must(uuid.NewV7()))
		require.ErrorIs(t, err, campaign.ErrNone)
		broken := b.started()
		b.exec("UPDATE campaigns SET route = ? WHERE id = ?", `["pigeon"]`, broken.ID)
		_, err = b.Definition(t.Context(), broken.ID)
		require.ErrorContains(t, err, broken.ID.String())
	})
}

func TestDefinitionsOfManyCampaignsAreRightWhoeverAsks(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	var ids []uuid.UUID
	for range 70 { // more than are kept
		ids = append(ids, b.started().ID)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, id := range ids {
				def, err := b.Definition(t.Context(), id)
				if err != nil || def.ID != id {
					t.Errorf("campaign %s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}

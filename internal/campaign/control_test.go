package campaign_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
)

func TestACampaignMovesOnlyAsItsStateAllows(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		type move func(context.Context, uuid.UUID) (campaign.Campaign, error)
		allowed := map[campaign.State]map[string]campaign.State{
			campaign.Draft:     {"cancel": campaign.Cancelled},
			campaign.Scheduled: {"cancel": campaign.Cancelled},
			campaign.Running:   {"pause": campaign.Paused, "resume": campaign.Running, "cancel": campaign.Cancelled},
			campaign.Paused:    {"pause": campaign.Paused, "resume": campaign.Running, "cancel": campaign.Cancelled},
			campaign.Finished:  {},
			campaign.Cancelled: {"cancel": campaign.Cancelled},
		}
		for from, moves := range allowed {
			for name, do := range map[string]move{"pause": b.Pause, "resume": b.Resume, "cancel": b.Cancel} {
				c := b.draft()
				b.exec("UPDATE campaigns SET state = ? WHERE id = ?", from, c.ID)
				got, err := do(t.Context(), c.ID)
				to, ok := moves[name]
				if !ok {
					require.True(t, fault.HasCode(err, "wrong_state"), "%s from %s: %v", name, from, err)
					continue
				}
				require.NoError(t, err, "%s from %s", name, from)
				require.Equal(t, to, got.State)
			}
		}
		_, err := b.Pause(t.Context(), uuid.New())
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestEachMoveIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.started()
		for _, move := range []func(context.Context, uuid.UUID) (campaign.Campaign, error){b.Pause, b.Pause, b.Resume, b.Cancel, b.Cancel, b.Pause} {
			b.advance(time.Second)
			_, _ = move(t.Context(), c.ID) // one that is not allowed is not told either
		}
		list, err := event.NewStore(d, func() time.Time { return noon.Add(time.Hour) }).List(t.Context(), uuid.Nil, 10, event.Filter{})
		require.NoError(t, err)
		var told []event.Type
		for _, e := range list {
			require.Equal(t, c.ID, e.Campaign)
			told = append(told, e.Type)
		}
		require.Equal(t, []event.Type{event.CampaignStarted, event.CampaignPaused, event.CampaignResumed, event.CampaignCancelled}, told)
	})
}

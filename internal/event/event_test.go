package event_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/queue"
)

type bundle struct {
	*event.Store
	t  *testing.T
	d  *db.DB
	at time.Time
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	b.Store = event.NewStore(d, func() time.Time { return b.at })
	return b
}

func (b *bundle) add(events ...event.Event) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return event.Add(tx, events...) }))
}

func (b *bundle) list(after uuid.UUID, limit int, f event.Filter) []event.Event {
	b.t.Helper()
	got, err := b.List(b.t.Context(), after, limit, f)
	require.NoError(b.t, err)
	return got
}

func TestEventsComeBackAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		e := event.Event{Type: event.LineStopped, At: b.at, Page: uuid.New(), Campaign: uuid.New(), Contact: uuid.New(), Delivery: 7,
			Data: map[string]any{"code": "190/460", "share": 50.0}}
		b.add(e, event.Event{Type: event.CampaignPaused, At: b.at})
		b.at = b.at.Add(time.Minute)
		got := b.list(uuid.Nil, 10, event.Filter{})
		require.Len(t, got, 2)
		e.ID = got[0].ID
		require.Equal(t, e, got[0])
		require.Equal(t, event.Event{ID: got[1].ID, Type: event.CampaignPaused, At: e.At, Data: map[string]any{}}, got[1])
	})
}

func TestAnEventIsThereOnlyIfWhatItTellsIs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, broken := setup(t, d), errors.New("broken")
		require.ErrorIs(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return errors.Join(event.Add(tx, event.Event{Type: event.LineSlowed, At: b.at}), broken)
		}), broken)
		b.at = b.at.Add(time.Minute)
		require.Empty(t, b.list(uuid.Nil, 10, event.Filter{}))
	})
}

// Whoever goes on after the last event that was listed gets every event once, in
// order, also those that were written at an earlier time than their neighbours.
func TestACursorMissesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, begun := setup(t, d), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		var got []int
		after := uuid.Nil
		pull := func() {
			for _, e := range b.list(after, 3, event.Filter{}) {
				got, after = append(got, int(e.Data["n"].(float64))), e.ID
			}
		}
		for n := range 40 {
			b.at = begun.Add(time.Duration(n) * time.Second)
			late := n ^ 7 // eight at a time are written in the wrong order
			b.add(event.Event{Type: event.LineSlowed, At: begun.Add(time.Duration(late) * time.Second), Data: map[string]any{"n": late}})
			pull()
		}
		b.at = b.at.Add(time.Hour)
		for range 20 {
			pull()
		}
		require.Len(t, got, 40)
		require.IsIncreasing(t, got)
	})
}

func TestEventsOfOneType(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i := range 6 {
			b.add(event.Event{Type: event.Types()[i%3], At: b.at.Add(time.Duration(i) * time.Second), Data: map[string]any{"n": fmt.Sprint(i)}})
		}
		b.at = b.at.Add(time.Minute)
		got := b.list(uuid.Nil, 10, event.Filter{Type: event.LineResumed})
		require.Len(t, got, 2)
		require.Equal(t, []any{"1", "4"}, []any{got[0].Data["n"], got[1].Data["n"]})
		require.Len(t, b.list(got[0].ID, 10, event.Filter{Type: event.LineResumed}), 1)
	})
}

func TestOldEventsAreForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		q := queue.New(d, slog.New(slog.NewTextHandler(io.Discard, nil)))
		b.Register(q)
		require.NoError(t, q.Open())
		b.add(event.Event{Type: event.LineSlowed, At: b.at}, event.Event{Type: event.LineStopped, At: b.at.Add(time.Minute)})
		b.at = b.at.Add(30 * 24 * time.Hour)
		require.NoError(t, b.Purge(t.Context(), b.at.Add(-30*24*time.Hour)))
		require.Len(t, b.list(uuid.Nil, 10, event.Filter{}), 2, "not a moment too early")
		require.NoError(t, b.Purge(t.Context(), b.at.Add(30*time.Second-30*24*time.Hour)))
		got := b.list(uuid.Nil, 10, event.Filter{})
		require.Len(t, got, 1)
		require.Equal(t, event.LineStopped, got[0].Type)
	})
}

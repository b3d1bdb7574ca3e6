package line_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/line"
)

// noContext is for code that has no test at hand.
var noContext = context.Background()

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bundle is a store over one database with a clock that the test sets.
type bundle struct {
	*line.Store
	t    testing.TB
	d    *db.DB
	at   time.Time
	told *event.Store
}

func setup(t testing.TB, d *db.DB, r line.Rates) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, at: noon}
	b.Store = line.NewStore(d, r, func() time.Time { return b.at })
	b.told = event.NewStore(d, func() time.Time { return b.at.Add(time.Minute) })
	return b
}

func (b *bundle) pass(d time.Duration) { b.at = b.at.Add(d) }

func (b *bundle) lease(name string, want int) (g channel.Grant) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) (err error) {
		g, err = b.Lease(tx, name, want)
		return err
	}))
	return g
}

func (b *bundle) note(g channel.Grant, t channel.Tally) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return b.Note(tx, g, uuid.Nil, t) }))
}

// look returns one line.
func (b *bundle) look(name string) line.Line {
	b.t.Helper()
	lines, err := b.Look(b.t.Context(), name)
	require.NoError(b.t, err)
	require.Len(b.t, lines, 1)
	return lines[0]
}

// events are the types of what was told, oldest first, and what was told last.
func (b *bundle) events() (types []event.Type, last event.Event) {
	b.t.Helper()
	list, err := b.told.List(b.t.Context(), uuid.Nil, 100, event.Filter{})
	require.NoError(b.t, err)
	for _, e := range list {
		types, last = append(types, e.Type), e
	}
	return types, last
}

// Chunks as they come back.
var (
	good    = channel.Tally{Tried: 20, Accepted: 20}
	down    = channel.Tally{Tried: 10, Unreached: 6, Unknown: 2, Accepted: 2}
	refused = channel.Tally{Tried: 40, Refused: 20, Accepted: 20}
)

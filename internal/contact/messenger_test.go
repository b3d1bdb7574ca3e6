package contact_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func (b *bundle) findOrMake(psids ...string) (out map[string]uuid.UUID) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) (err error) {
		out, err = b.FindOrMake(b.t.Context(), tx, b.page, psids)
		return err
	})
	return out
}

func (b *bundle) address(psid string) contact.Address {
	b.t.Helper()
	id := b.findOrMake(psid)[psid]
	all, err := b.Addresses(b.t.Context(), id)
	require.NoError(b.t, err)
	require.Len(b.t, all[id], 1)
	return all[id][0]
}

func TestFindOrMakeGivesEachPSIDOneContact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		first := b.findOrMake("p1", "p2", "p1", "not one!")
		require.Len(t, first, 2)
		require.NotEqual(t, first["p1"], first["p2"])
		require.Equal(t, first["p1"], b.findOrMake("p1")["p1"])
		require.Empty(t, b.findOrMake())

		var wg sync.WaitGroup
		got := make([]uuid.UUID, 20)
		errs := make([]error, len(got))
		for i := range got {
			wg.Go(func() {
				errs[i] = d.Transact(t.Context(), func(tx *db.Tx) error {
					all, err := b.FindOrMake(t.Context(), tx, b.page, []string{"p3", "p1"})
					got[i] = all["p3"]
					return err
				})
			})
		}
		wg.Wait()
		for i := range got {
			require.NoError(t, errs[i])
			require.Equal(t, got[0], got[i])
		}
		require.Equal(t, 3, b.count("contacts"))
	})
}

func TestWindowMovesForwardOnlyAndUnblocks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.findOrMake("p1", "p2")
		move := func(at time.Time) {
			b.inTx(func(tx *db.Tx) error {
				return b.MoveWindow(t.Context(), tx, b.page, map[string]time.Time{"p1": at, "gone": at})
			})
		}
		block := func(at time.Time) {
			b.inTx(func(tx *db.Tx) error { return b.Block(t.Context(), tx, b.page, []string{"p1"}, at) })
		}
		move(noon)
		move(noon.Add(-time.Hour))
		require.True(t, noon.Equal(*b.address("p1").LastActionAt))
		require.Nil(t, b.address("p2").LastActionAt)

		block(noon.Add(-time.Minute))
		require.Nil(t, b.address("p1").BlockedAt, "the person acted since")
		block(noon.Add(time.Minute))
		require.NotNil(t, b.address("p1").BlockedAt)
		move(noon.Add(30 * time.Second))
		require.NotNil(t, b.address("p1").BlockedAt, "blocked after that action")
		move(noon.Add(time.Hour))
		require.Nil(t, b.address("p1").BlockedAt)
		require.Nil(t, b.address("p2").BlockedAt)

		closeAt := func(at time.Time, psids ...string) {
			b.inTx(func(tx *db.Tx) error { return b.CloseWindow(t.Context(), tx, b.page, psids, at) })
		}
		closeAt(noon)
		closeAt(noon, "p1")
		require.NotNil(t, b.address("p1").LastActionAt, "the person acted since")
		closeAt(noon.Add(2*time.Hour), "p1")
		require.Nil(t, b.address("p1").LastActionAt)
	})
}

func (b *bundle) bind(id uuid.UUID, psid string) (r contact.BindResult) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) (err error) {
		r, err = b.Bind(b.t.Context(), tx, id, b.page, psid)
		return err
	})
	return r
}

func TestBindNeverGuesses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{ExternalID: text("ann")})
		bob, _ := b.upsert(contact.Draft{ExternalID: text("bob")})

		require.Equal(t, contact.BindResult{Outcome: contact.Attached, ContactID: ann.ID}, b.bind(ann.ID, "p1"))
		require.Equal(t, contact.BindResult{Outcome: contact.Same, ContactID: ann.ID}, b.bind(ann.ID, "p1"))

		second := b.bind(ann.ID, "p2")
		require.Equal(t, contact.Conflict, second.Outcome, "the link was passed on to somebody else")
		require.NotEqual(t, ann.ID, second.ContactID)
		require.Equal(t, second, b.bind(ann.ID, "p2"))

		require.Equal(t, contact.BindResult{Outcome: contact.Conflict, ContactID: ann.ID}, b.bind(bob.ID, "p1"))
		require.Equal(t, contact.BindResult{Outcome: contact.Merged, ContactID: bob.ID}, b.bind(bob.ID, "p2"))
		require.Equal(t, map[string]uuid.UUID{"p2": b.page}, b.psids(bob.ID))

		gone := b.bind(uuid.Must(uuid.NewV7()), "p3")
		require.Equal(t, contact.Conflict, gone.Outcome)
		require.Contains(t, b.psids(gone.ContactID), "p3")
		require.Equal(t, 3, b.count("contacts"))

		err := d.Transact(t.Context(), func(tx *db.Tx) error {
			_, err := b.Bind(t.Context(), tx, ann.ID, b.page, "not one!")
			return err
		})
		require.True(t, fault.Is(err, fault.Invalid))
	})
}

func TestMergeMovesAllThatBelongsToAPerson(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{ExternalID: text("ann")})
		anon := b.findOrMake("p1")["p1"]
		b.inTx(func(tx *db.Tx) error { return b.MoveWindow(t.Context(), tx, b.page, map[string]time.Time{"p1": noon}) })
		id := func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
		b.exec("INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at) VALUES (?, ?, ?, 'unsorted', ?, ?, 'available', 'x', ?, ?, ?)",
			id(), anon, b.page, []byte{1}, []byte{1}, noon, noon, noon)
		b.exec("INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'unsorted', 'sent', ?, ?)", id(), anon, b.page, noon, noon)
		b.inTx(func(tx *db.Tx) error { return tx.GrowLedger(1, 10, 10) })
		shared, other := id(), id()
		for i, row := range [][]any{{1, shared, ann.ID}, {2, shared, anon}, {3, other, anon}} {
			require.Len(t, row, 3, i)
			b.exec("INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, created_at) VALUES (?, ?, ?, 'window', 'delivered', ?)", row[0], row[1], row[2], noon)
		}
		require.Equal(t, contact.Merged, b.bind(ann.ID, "p1").Outcome)
		for _, table := range []string{"tokens", "opt_in_requests", "messenger_addresses"} {
			require.Equal(t, 1, b.count(table+" WHERE contact_id = '"+ann.ID.String()+"'"), table)
		}
		require.True(t, noon.Equal(*b.address("p1").LastActionAt), "the window is kept")
		require.Equal(t, 2, b.count("deliveries WHERE contact_id = '"+ann.ID.String()+"'"), "one voice in each campaign")
		require.Equal(t, 1, b.count("contacts"))
	})
}

func TestTwoAnonymousContactsMergeIntoOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		two := b.newPage("1002")
		b.findOrMake("p1")
		b.upsert(contact.Draft{Messenger: []contact.MessengerID{{PageID: two, PSID: "q1"}}})
		campaign := uuid.Must(uuid.NewV7())
		b.inTx(func(tx *db.Tx) error { return tx.GrowLedger(1, 10, 10) })
		for i, a := range []string{"p1", "q1"} {
			b.exec("INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, created_at) SELECT ?, ?, contact_id, 'window', 'delivered', ? FROM messenger_addresses WHERE psid = ?", i+1, campaign, noon, a)
		}
		c, err := b.Create(t.Context(), contact.Draft{ExternalID: text("ann"), Messenger: []contact.MessengerID{{PageID: b.page, PSID: "p1"}, {PageID: two, PSID: "q1"}}})
		require.NoError(t, err)
		require.Equal(t, map[string]uuid.UUID{"p1": b.page, "q1": two}, b.psids(c.ID))
		require.Equal(t, 1, b.count("contacts"))
	})
}

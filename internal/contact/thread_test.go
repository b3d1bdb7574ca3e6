package contact_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

const bot = "200200200"

func (b *bundle) signs(signs ...contact.Sign) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error { return b.NoteThreads(b.t.Context(), tx, b.page, signs) })
}

// acts has p1 do something with us as the holder, as the inbox applies it.
func (b *bundle) acts(at time.Time) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error {
		return b.MoveWindow(b.t.Context(), tx, b.page, map[string]time.Time{"p1": at})
	})
	b.signs(contact.Sign{Kind: contact.Acted, PSID: "p1", At: at})
}

func (b *bundle) apply(s contact.Sign) {
	if s.Kind == contact.Acted {
		b.acts(s.At)
		return
	}
	b.signs(s)
}

// told counts the events that were held and freed.
func (b *bundle) told() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	var types []string
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT type FROM events").Scan(&types).Error)
	for _, t := range types {
		out[t]++
	}
	return out
}

// minute is m minutes before noon, the moment of the tests.
func minute(m int) time.Time { return noon.Add(time.Duration(m-100) * time.Minute) }

func TestWhoHoldsAThread(t *testing.T) {
	t.Parallel()
	handed := func(app string, m int) contact.Sign {
		return contact.Sign{Kind: contact.HandedOver, PSID: "p1", App: app, At: minute(m)}
	}
	standby := func(m int) contact.Sign {
		return contact.Sign{Kind: contact.SaidElsewhere, PSID: "p1", At: minute(m)}
	}
	human := func(m int) contact.Sign {
		return contact.Sign{Kind: contact.HumanWrote, PSID: "p1", At: minute(m)}
	}
	acted := func(m int) contact.Sign {
		return contact.Sign{Kind: contact.Acted, PSID: "p1", At: minute(m)}
	}
	const day = 24 * 60
	for name, c := range map[string]struct {
		signs []contact.Sign
		last  int // the minute of the last sign that counts; 0: nobody holds it
	}{
		"nothing but the person":                {[]contact.Sign{acted(5)}, 0},
		"handed to another app":                 {[]contact.Sign{handed(bot, 10)}, 10},
		"handed to an app nobody named":         {[]contact.Sign{handed(contact.Other, 10)}, 10},
		"handed to us":                          {[]contact.Sign{handed(contact.Us, 10)}, 0},
		"handed on and back":                    {[]contact.Sign{handed(bot, 10), handed(contact.Us, 20)}, 0},
		"handed back and on":                    {[]contact.Sign{handed(contact.Us, 10), handed(bot, 20)}, 20},
		"standby":                               {[]contact.Sign{standby(10)}, 10},
		"standby goes on after a hand-over":     {[]contact.Sign{handed(bot, 10), standby(30)}, 30},
		"standby, then handed to us":            {[]contact.Sign{standby(10), handed(contact.Us, 11)}, 0},
		"handed to us, then standby":            {[]contact.Sign{handed(contact.Us, 10), standby(11)}, 11},
		"the person acts with us after it":      {[]contact.Sign{handed(bot, 10), standby(12), acted(20)}, 0},
		"the person acted with us before it":    {[]contact.Sign{acted(5), standby(10)}, 10},
		"at the same moment: left alone":        {[]contact.Sign{acted(10), standby(10)}, 10},
		"a human writes":                        {[]contact.Sign{human(10)}, 10},
		"a human writes, the person answers":    {[]contact.Sign{human(10), acted(11)}, 10},
		"a human writes, then hands it over":    {[]contact.Sign{human(10), handed(contact.Us, 11)}, 0},
		"a human writes after a hand-over":      {[]contact.Sign{handed(contact.Us, 10), human(11)}, 11},
		"a hand-over ends the human's for ever": {[]contact.Sign{human(10), handed(bot, 11), acted(12)}, 0},
		"the last sign was too long ago":        {[]contact.Sign{standby(100 - day), human(100 - day)}, 0},
		"the last sign was nearly too long ago": {[]contact.Sign{standby(101 - day)}, 101 - day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			b.findOrMake("p1", "p2")
			for _, s := range c.signs {
				b.apply(s)
			}
			got := b.address("p1")
			require.Equal(t, c.last != 0, got.Held(noon))
			if c.last != 0 {
				require.Equal(t, minute(c.last).Add(24*time.Hour), got.HeldUntil.UTC())
			}
			require.Nil(t, b.address("p2").HeldUntil)
		})
	}
}

// TestSignsInAnyOrder gives many people the same signs, each in an order of
// their own and some of them more than once.
func TestSignsInAnyOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		rng := rand.New(rand.NewPCG(7, 11))
		b := setup(t, d)
		for round := range 12 {
			b.page = b.newPage(fmt.Sprint(5000 + round))
			var all []contact.Sign
			for range 1 + rng.IntN(5) {
				all = append(all, contact.Sign{Kind: contact.SignKind(rng.IntN(4)), PSID: "p1", At: minute(rng.IntN(6)),
					App: []string{contact.Us, contact.Other, bot, "300300300"}[rng.IntN(4)]})
			}
			var want contact.Address
			for try := range 6 {
				psid := fmt.Sprint("p", try)
				b.findOrMake(psid)
				for _, k := range append(rng.Perm(len(all)), rng.IntN(len(all)), rng.IntN(len(all))) {
					s := all[k]
					s.PSID = psid
					if s.Kind == contact.Acted {
						b.inTx(func(tx *db.Tx) error {
							return b.MoveWindow(t.Context(), tx, b.page, map[string]time.Time{psid: s.At})
						})
					}
					b.signs(s)
				}
				got := b.address(psid)
				got.ContactID, got.PSID, got.CreatedAt = uuid.Nil, "", noon
				if try == 0 {
					want = got
				}
				require.Equal(t, want, got, "%+v", all)
			}
		}
	})
}

func TestAThreadIsToldOfWhenItChangesHands(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.findOrMake("p1")["p1"]
		standby := contact.Sign{Kind: contact.SaidElsewhere, PSID: "p1", At: minute(10)}
		b.signs(standby, contact.Sign{Kind: contact.SaidElsewhere, PSID: "nobody", At: minute(10)})
		b.signs(standby)
		b.signs(contact.Sign{Kind: contact.SaidElsewhere, PSID: "p1", At: minute(20)})
		require.Equal(t, map[string]int{"thread.held": 1}, b.told(), "told once, however often and long it is held")
		b.acts(minute(30))
		b.acts(minute(31))
		b.signs(standby)
		require.Equal(t, map[string]int{"thread.held": 1, "thread.freed": 1}, b.told())

		var row struct {
			PageID, ContactID uuid.UUID
			Data              string
		}
		require.NoError(t, d.Read(t.Context()).Raw("SELECT * FROM events WHERE type = 'thread.held'").Scan(&row).Error)
		require.Equal(t, b.page, row.PageID)
		require.Equal(t, id, row.ContactID)
		require.JSONEq(t, fmt.Sprintf(`{"held_until":%q}`, minute(10).Add(24*time.Hour).Format(time.RFC3339)), row.Data)
	})
}

func TestAThreadIsLetGoInTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		psids := []string{"p1", "p2", "p3"}
		b.findOrMake(psids...)
		b.inTx(func(tx *db.Tx) error { return b.HoldThreads(t.Context(), tx, b.page, psids[:2]...) })
		b.pass(time.Hour)
		b.inTx(func(tx *db.Tx) error { return b.HoldThreads(t.Context(), tx, b.page, "p3") })
		letGo := func(most int) (n int) {
			b.inTx(func(tx *db.Tx) (err error) {
				n, err = b.LetThreadsGo(t.Context(), tx, most)
				return err
			})
			return n
		}
		require.True(t, b.address("p1").Held(b.now()))
		require.Zero(t, letGo(10))
		b.pass(23 * time.Hour)
		require.False(t, b.address("p1").Held(b.now()), "it counts no more, whether or not it was let go yet")
		require.Equal(t, 1, letGo(1))
		require.Equal(t, 1, letGo(10))
		require.Nil(t, b.address("p1").HeldUntil)
		require.NotNil(t, b.address("p3").HeldUntil)
		require.Equal(t, map[string]int{"thread.held": 3, "thread.freed": 2}, b.told())
		b.signs(contact.Sign{Kind: contact.SaidElsewhere, PSID: "p1", At: noon})
		require.Nil(t, b.address("p1").HeldUntil, "an old sign told again holds nothing")
	})
}

func TestAPageMayLeaveNobodyAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.findOrMake("p1")
		b.exec("UPDATE pages SET hold_hours = 0 WHERE id = ?", b.page)
		b.signs(contact.Sign{Kind: contact.HumanWrote, PSID: "p1", At: noon}, contact.Sign{Kind: contact.HandedOver, PSID: "p1", App: bot, At: noon})
		require.Nil(t, b.address("p1").HeldUntil)
		require.Equal(t, bot, b.address("p1").ThreadApp, "it is noted all the same")
		b.exec("UPDATE pages SET hold_hours = 2 WHERE id = ?", b.page)
		b.signs(contact.Sign{Kind: contact.HandedOver, PSID: "p1", App: bot, At: noon})
		require.Equal(t, noon.Add(2*time.Hour), b.address("p1").HeldUntil.UTC())

		b.exec("UPDATE pages SET hold_hours = 0 WHERE id = ?", b.page)
		b.inTx(func(tx *db.Tx) error {
			n, err := b.LetThreadsGo(t.Context(), tx, 10)
			require.Equal(t, 1, n)
			return err
		})
		require.Nil(t, b.address("p1").HeldUntil)
	})
}

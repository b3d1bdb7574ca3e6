package contact_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

const full = "full@example.com"

func (b *bundle) miss(list ...contact.Missed) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error { return b.Miss(b.t.Context(), tx, list) })
}

func (b *bundle) reach(list ...contact.Reached) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error { return b.Reach(b.t.Context(), tx, list) })
}

func missed(delivery int64, at time.Time) contact.Missed {
	return contact.Missed{Channel: channel.Email, Address: full, Delivery: delivery, At: at, Source: "sendgrid"}
}

func TestThreeMissesInARowSuppress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Email: text(full), Phone: text("+14155552671"), EmailConsent: yes(nil)})
		for range 3 {
			b.miss(missed(1, noon), missed(1, noon.Add(time.Second)), missed(2, noon))
		}
		require.False(t, b.suppressed(channel.Email, full), "a message counts once, however often it is told")
		b.miss(
			contact.Missed{Channel: channel.Email, ContactID: ann.ID, Delivery: 3, At: noon, Source: "sendgrid"},
			contact.Missed{Channel: channel.SMS, ContactID: ann.ID, Delivery: 3, At: noon},
			contact.Missed{Channel: channel.Email, ContactID: uuid.Must(uuid.NewV7()), Delivery: 4},
			contact.Missed{Channel: channel.Messenger, ContactID: ann.ID, Delivery: 5},
		)
		require.True(t, b.suppressed(channel.Email, full))
		require.False(t, b.suppressed(channel.SMS, "+14155552671"), "each channel counts for itself")
		require.Equal(t, contact.Subscribed, b.get(ann.ID).EmailConsent.Status, "a full mailbox is nobody's word")

		b.miss(contact.Missed{Channel: channel.SMS, Address: "(415) 555-2671", Message: "SM1"}, contact.Missed{Channel: channel.SMS, Address: "+14155552671", Message: "SM2"})
		rows, _, err := b.Suppressions(t.Context(), contact.SuppressionFilter{}, uuid.Nil, 10)
		require.NoError(t, err)
		why := map[string]string{}
		for _, r := range rows {
			why[string(r.Channel)] = r.Reason + " " + r.Source
		}
		require.Equal(t, map[string]string{"email": contact.ReasonBounce + " sendgrid", "sms": contact.ReasonUndeliverable + " "}, why)
	})
}

func TestAMessageThatArrivesStartsTheCountAnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		day := func(n int) time.Time { return noon.AddDate(0, 0, n-40) }
		b.miss(missed(1, day(1)), missed(2, day(2)))
		b.reach(contact.Reached{Channel: channel.Email, Address: "FULL@example.com", At: day(3)})
		b.miss(missed(1, day(1)), missed(2, day(2)), missed(3, day(2)), missed(4, day(4)))
		require.False(t, b.suppressed(channel.Email, full), "what missed before then counts no more, also where it is told late")
		b.reach(contact.Reached{Channel: channel.Email, Address: full, At: day(1)})
		b.miss(missed(5, day(5)))
		require.False(t, b.suppressed(channel.Email, full), "an old word of arrival brings nothing back")
		b.miss(missed(6, day(6)))
		require.True(t, b.suppressed(channel.Email, full))
	})
}

func TestMissesCountForAYear(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.miss(missed(1, noon), missed(2, noon))
		b.pass(366 * 24 * time.Hour)
		b.miss(missed(3, time.Time{}))
		require.False(t, b.suppressed(channel.Email, full))
		require.NoError(t, b.ForgetMisses(t.Context()))
		require.Equal(t, 3, b.count("misses"), "the address was missed today")
		b.pass(366 * 24 * time.Hour)
		require.NoError(t, b.ForgetMisses(t.Context()))
		require.Zero(t, b.count("misses")+b.count("missed_addresses"))
	})
}

func TestWhoLiftsASuppressionGivesTheAddressAsManyTriesAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.miss(missed(1, noon), missed(2, noon), missed(3, noon))
		rows, _, err := b.Suppressions(t.Context(), contact.SuppressionFilter{Channel: channel.Email, Address: full}, uuid.Nil, 1)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.NoError(t, b.Lift(t.Context(), rows[0].ID))
		b.pass(time.Hour)
		b.miss(missed(3, noon), missed(4, time.Time{}), missed(5, time.Time{}))
		require.False(t, b.suppressed(channel.Email, full))
		b.miss(missed(6, time.Time{}))
		require.True(t, b.suppressed(channel.Email, full))
	})
}

func TestErasureForgetsMisses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Email: text(full)})
		b.miss(missed(1, noon), contact.Missed{Channel: channel.Email, Address: "other@example.com", Delivery: 1})
		require.NoError(t, b.Erase(t.Context(), ann.ID))
		require.Equal(t, 1, b.count("missed_addresses"))
		require.Equal(t, 1, b.count("misses"))
	})
}

// TestMissesToldAtOnceAreAllCounted has transactions that count at the same
// moment: none may overlook what another one counts.
func TestMissesToldAtOnceAreAllCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for round := range 5 {
			address := fmt.Sprintf("at-once-%d@example.com", round)
			var ready sync.WaitGroup
			ready.Add(3)
			var g errgroup.Group
			for n := range 3 {
				g.Go(func() error {
					ready.Done()
					ready.Wait()
					return d.Transact(t.Context(), func(tx *db.Tx) error {
						return b.Miss(t.Context(), tx, []contact.Missed{{Channel: channel.Email, Address: address, Delivery: int64(n + 1)}})
					})
				})
			}
			require.NoError(t, g.Wait())
			require.True(t, b.suppressed(channel.Email, address))
		}
	})
}

// TestMissesHoldInEveryOrder tells the same misses in any order, any number of
// times and in any portions.
func TestMissesHoldInEveryOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, world := setup(t, d), 0
		rapid.Check(t, func(r *rapid.T) {
			world++
			address := fmt.Sprintf("world-%d@example.com", world)
			n := rapid.IntRange(1, 5).Draw(r, "messages")
			reached := rapid.IntRange(0, n).Draw(r, "arrived after")
			var told []contact.Missed
			for i := range n {
				m := contact.Missed{Channel: channel.Email, Address: address, Delivery: int64(i + 1), At: noon.Add(time.Duration(i-n) * time.Hour)}
				for range rapid.IntRange(1, 3).Draw(r, "told") {
					told = append(told, m)
				}
			}
			if reached > 0 { // before the others, as no message can arrive later than a provider says
				b.miss(told[0])
				b.reach(contact.Reached{Channel: channel.Email, Address: address, At: noon.Add(time.Duration(reached-1-n) * time.Hour)})
			}
			told = rapid.Permutation(told).Draw(r, "order")
			cut := rapid.IntRange(0, len(told)).Draw(r, "cut")
			b.miss(told[:cut]...)
			b.miss(told[cut:]...)
			require.Equal(r, n-reached >= 3, b.suppressed(channel.Email, address))
		})
	})
}

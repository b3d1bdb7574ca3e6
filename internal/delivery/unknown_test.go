package delivery_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// doubtful writes n SMS deliveries to people with phones whose answers were lost.
func (b *bundle) doubtful(n int) (ids []int64) {
	places := people(n, channel.LaneSMS)
	b.tx(func(tx *db.Tx) error {
		for _, p := range places {
			if err := tx.Exec("INSERT INTO contacts (id, phone, created_at, updated_at) VALUES (?, ?, ?, ?)", p.Contact, p.Contact.String(), b.now, b.now).Error; err != nil {
				return err
			}
		}
		return nil
	})
	first := b.write(places...)
	for _, c := range b.claim(b.batch(channel.LaneSMS, first, first+int64(n)-1), 1) {
		b.settle(lostTry(c, b.now))
		ids = append(ids, c.ID)
	}
	return ids
}

func lostTry(c delivery.Claimed, at time.Time) delivery.Settlement {
	return delivery.Settlement{Try: delivery.Try{Delivery: c.ID, N: c.Attempt, Lane: channel.LaneSMS, Started: at},
		Outcome: channel.Unknown, To: delivery.Unknown, Result: channel.Result{Outcome: channel.Unknown}}
}

func (b *bundle) hunts(most int) (out []delivery.Hunt) {
	b.tx(func(tx *db.Tx) (err error) { out, err = b.Hunts(tx, channel.LaneSMS, most); return err })
	return out
}

func TestEachLookUpIsMadeByOneNode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.doubtful(100)
		b.now = b.now.Add(3 * time.Minute)
		got := make(chan []delivery.Hunt, 8)
		for range 8 {
			go func() {
				var hunts []delivery.Hunt
				if err := d.Transact(t.Context(), func(tx *db.Tx) (err error) { hunts, err = b.Hunts(tx, channel.LaneSMS, 20); return err }); err != nil {
					hunts = nil
				}
				got <- hunts
			}()
		}
		seen := map[int64]bool{}
		for range 8 {
			hunts := <-got
			require.LessOrEqual(t, len(hunts), 20)
			for _, h := range hunts {
				require.False(t, seen[h.Delivery])
				require.NotEmpty(t, h.To)
				seen[h.Delivery] = true
			}
		}
		for _, h := range b.hunts(100) { // rows that others were just about to take are passed over
			require.False(t, seen[h.Delivery])
			seen[h.Delivery] = true
		}
		require.Len(t, seen, 100)
	})
}

func TestALookUpThatWasCutOffIsMadeAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.doubtful(2)
		require.Empty(t, b.hunts(10), "too soon")
		b.now = b.now.Add(3 * time.Minute)
		require.Len(t, b.hunts(10), 2)
		require.Empty(t, b.hunts(10))
		b.now = b.now.Add(5 * time.Minute)
		again := b.hunts(10)
		require.Len(t, again, 2)
		require.Equal(t, [2]int{0, 1}, [2]int{again[0].Looks, again[0].N})
		require.True(t, again[0].Started.Equal(b.now.Add(-8*time.Minute)))
	})
}

func (b *bundle) resend(id int64) (moved int) {
	b.tx(func(tx *db.Tx) (err error) {
		doubts, err := b.Doubts(tx, []int64{id})
		if err != nil {
			return err
		}
		again := make([]delivery.Again, len(doubts))
		for i, d := range doubts {
			again[i] = delivery.Again{Delivery: d.ID, Lane: channel.LaneEmail, RouteFrom: 1}
		}
		moved, err = b.Resend(tx, again)
		return err
	})
	return moved
}

func (b *bundle) callOff(r ...delivery.Receipt) {
	b.tx(func(tx *db.Tx) error {
		if err := b.CallOff(tx, r); err != nil {
			return err
		}
		return b.Mark(tx, r)
	})
}

func TestAResendIsCalledOffOnlyByProofAboutTheTryInDoubt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := b.doubtful(3)
		for _, id := range ids {
			require.Equal(t, 1, b.resend(id))
			require.Zero(t, b.resend(id))
		}
		word := func(id int64, kind channel.Kind, what channel.EventKind) delivery.Receipt {
			return delivery.Receipt{Delivery: id, Channel: kind, Kind: what, ProviderID: "SM1", At: b.now}
		}
		b.callOff(word(ids[0], channel.SMS, channel.EventAccepted), word(ids[1], channel.Email, channel.EventDelivered), word(ids[2], channel.SMS, channel.EventDelivered),
			word(ids[2], channel.SMS, channel.EventRead))
		for _, id := range ids[:2] {
			row := b.get(id)
			require.Equal(t, [2]string{"pending", "email"}, [2]string{string(row.State), string(row.Lane)})
		}
		row := b.get(ids[2])
		require.Equal(t, [3]string{"delivered", "sms", "SM1"}, [3]string{string(row.State), string(row.Lane), row.ProviderID})
		require.NotNil(t, row.ReadAt)
		require.Equal(t, 1, row.Attempt)

		// One that waits because it was never taken is not in doubt.
		first := b.write(people(1, channel.LaneSMS)...)
		b.callOff(word(first, channel.SMS, channel.EventDelivered))
		require.Equal(t, delivery.Pending, b.get(first).State)
	})
}

func TestGivingUpIsForWhatIsUnknownOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := b.doubtful(2)
		b.mark(delivery.Receipt{Delivery: ids[1], Channel: channel.SMS, Kind: channel.EventAccepted, ProviderID: "SM1"})
		all := append(ids, b.write(people(1, channel.LaneSMS)...))
		var n int
		b.tx(func(tx *db.Tx) (err error) { n, err = b.GiveUp(tx, all); return err })
		require.Equal(t, 1, n)
		require.Equal(t, delivery.Accepted, b.get(ids[1]).State)
		require.Equal(t, delivery.ReasonGivenUp, b.get(ids[0]).Reason)
		b.mark(delivery.Receipt{Delivery: ids[0], Channel: channel.SMS, Kind: channel.EventDelivered, ProviderID: "SM0"})
		require.Equal(t, delivery.Failed, b.get(ids[0]).State, "what a person decided stays")
	})
}

func TestTheReportTellsWhatSettlesFromWhatIsToBeResolved(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.doubtful(2)
		b.now = b.now.Add(time.Hour)
		b.doubtful(3)
		for grace, want := range map[time.Duration][2]int{0: {0, 5}, time.Minute: {3, 2}, time.Hour: {3, 2}, time.Hour + time.Second: {5, 0}} {
			r, err := b.WithGrace(grace).Report(b.ctx(), b.campaign)
			require.NoError(t, err)
			require.Equal(t, want, [2]int{r.Settling, r.ToResolve}, grace)
		}
		ids, err := b.Unknowns(b.ctx(), b.campaign, b.now.Add(-time.Minute))
		require.NoError(t, err)
		require.Len(t, ids, 2)
		ids, err = b.Unknowns(b.ctx(), uuid.Must(uuid.NewV7()), b.now)
		require.NoError(t, err)
		require.Empty(t, ids)
	})
}

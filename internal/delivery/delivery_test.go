package delivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

type bundle struct {
	*delivery.Store
	t        require.TestingT
	d        *db.DB
	now      time.Time
	campaign uuid.UUID
	page     uuid.UUID
}

func setup(t *testing.T, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), campaign: uuid.Must(uuid.NewV7()), page: uuid.Must(uuid.NewV7())}
	b.Store = delivery.NewStore(d, func() time.Time { return b.now })
	b.tx(func(tx *db.Tx) error {
		if err := tx.Exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '1', 'p', ?, ?, ?)", b.page, []byte{1}, b.now, b.now).Error; err != nil {
			return err
		}
		return tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, 'c', ?, 'unsorted', '{}', '[]', '{}', 'running', ?, ?)`, b.campaign, b.page, b.now, b.now).Error
	})
	return b
}

func (b *bundle) ctx() context.Context { return context.Background() }

func (b *bundle) tx(work func(tx *db.Tx) error) {
	require.NoError(b.t, b.d.Transact(b.ctx(), work))
}

func (b *bundle) write(places ...delivery.Place) (first int64) {
	b.tx(func(tx *db.Tx) (err error) { first, err = b.Write(tx, b.campaign, places); return err })
	return first
}

func (b *bundle) get(id int64) delivery.Delivery {
	d, _, err := b.Get(b.ctx(), id)
	require.NoError(b.t, err)
	return d
}

func (b *bundle) batch(lane channel.Lane, first, last int64) delivery.Batch {
	list := []delivery.Batch{{CampaignID: b.campaign, Lane: lane, FirstID: first, LastID: last}}
	b.tx(func(tx *db.Tx) error { return b.AddBatches(tx, list) })
	return list[0]
}

func (b *bundle) claim(batch delivery.Batch, job int64) (out []delivery.Claimed) {
	b.tx(func(tx *db.Tx) (err error) { out, err = b.Claim(tx, batch, job, 1000); return err })
	return out
}

func (b *bundle) settle(s ...delivery.Settlement) (moved map[int64]bool) {
	b.tx(func(tx *db.Tx) (err error) { moved, err = b.Settle(tx, s); return err })
	return moved
}

func (b *bundle) mark(r ...delivery.Receipt) {
	b.tx(func(tx *db.Tx) error { return b.Mark(tx, r) })
}

// person makes a contact with a place in Messenger.
func (b *bundle) person(psid string) uuid.UUID {
	who := uuid.Must(uuid.NewV7())
	b.tx(func(tx *db.Tx) error {
		if err := tx.Exec("INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", who, b.now, b.now).Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO messenger_addresses (page_id, psid, contact_id, created_at) VALUES (?, ?, ?, ?)", b.page, psid, who, b.now).Error
	})
	return who
}

func (b *bundle) upTo(w ...delivery.Watermark) {
	b.tx(func(tx *db.Tx) error { return b.MarkUpTo(tx, b.page, w) })
}

func people(n int, lane channel.Lane) []delivery.Place {
	out := make([]delivery.Place, n)
	for i := range out {
		out[i] = delivery.Place{Contact: uuid.Must(uuid.NewV7()), Lane: lane}
	}
	return out
}

func accepted(c delivery.Claimed, lane channel.Lane, provider string) delivery.Settlement {
	return delivery.Settlement{Try: delivery.Try{Delivery: c.ID, N: c.Attempt, Lane: lane, Started: time.Now().UTC()},
		Outcome: channel.Accepted, To: delivery.Accepted, Result: channel.Result{Outcome: channel.Accepted, ProviderID: provider}}
}

func TestWriteNumbersPlacesInOrderAndNeverTwiceForAContact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		places := append(people(3, channel.Window), delivery.Place{Contact: uuid.Must(uuid.NewV7()), Reason: "no_consent"})
		first := b.write(places...)
		require.Equal(t, first+4, b.write(people(1, channel.LaneSMS)...))
		require.Equal(t, delivery.Unreachable, b.get(first+3).State)
		require.Equal(t, places[1].Contact, b.get(first+1).ContactID)
		err := d.Transact(t.Context(), func(tx *db.Tx) error { _, err := b.Write(tx, b.campaign, places[:1]); return err })
		require.Equal(t, "deliveries_campaign_id_contact_id", db.DuplicateOf(err))
	})
}

func TestClaimGivesEachDeliveryToOneJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		first := b.write(people(200, channel.LaneEmail)...)
		batch := b.batch(channel.LaneEmail, first, first+199)
		got := make(chan int64, 400)
		done := make(chan error)
		for job := range int64(8) {
			go func() {
				done <- d.Transact(t.Context(), func(tx *db.Tx) error {
					claimed, err := b.Claim(tx, batch, job, 1000)
					for _, c := range claimed {
						got <- c.ID
					}
					return err
				})
			}()
		}
		for range 8 {
			require.NoError(t, <-done)
		}
		close(got)
		seen := map[int64]bool{}
		for id := range got {
			require.False(t, seen[id])
			seen[id] = true
		}
		require.Len(t, seen, 200)
	})
}

func TestClaimLeavesOtherLanesAndLaterOnesAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		first := b.write(append(people(2, channel.LaneSMS), people(1, channel.LaneEmail)...)...)
		batch := b.batch(channel.LaneSMS, first, first+2)
		got := b.claim(batch, 1)
		require.Len(t, got, 2)
		b.settle(delivery.Settlement{Try: delivery.Try{Delivery: got[0].ID, N: 1, Lane: channel.LaneSMS, Started: b.now}, Outcome: channel.TryLater,
			To: delivery.Pending, NextLane: channel.LaneSMS, NotBefore: b.now.Add(time.Minute)})
		require.Empty(t, b.claim(batch, 1))
		b.tx(func(tx *db.Tx) error {
			n, _, at, err := b.Left(tx, batch, 99)
			require.Equal(t, 1, n)
			require.True(t, at.Equal(b.now.Add(time.Minute)), "%v", at)
			return err
		})
		b.now = b.now.Add(time.Minute)
		again := b.claim(batch, 1)
		require.Len(t, again, 1)
		require.Equal(t, 1, again[0].Attempt, "a try that was not taken does not count")
	})
}

func TestSettleWritesTheAttemptAndKeepsEarlyReceipts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		first := b.write(people(2, channel.LaneSMS)...)
		got := b.claim(b.batch(channel.LaneSMS, first, first+1), 7)
		b.mark(delivery.Receipt{Delivery: first, Channel: channel.SMS, Kind: channel.EventDelivered, At: b.now})
		require.Equal(t, delivery.Sending, b.get(first).State, "its call is still on the way")
		b.settle(accepted(got[0], channel.LaneSMS, "SM1"), accepted(got[1], channel.LaneSMS, "SM2"))
		require.Equal(t, delivery.Delivered, b.get(first).State)
		row, attempts, err := b.Get(t.Context(), first+1)
		require.NoError(t, err)
		require.Equal(t, delivery.Accepted, row.State)
		require.Len(t, attempts, 1)
		require.Equal(t, channel.Accepted, attempts[0].Outcome)
		require.Equal(t, "SM2", attempts[0].ProviderID)
		require.Empty(t, b.settle(accepted(got[1], channel.LaneSMS, "SM9")), "settled once")
	})
}

func TestWatermarksReachWhatWasSentBeforeOnTheirPage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.person("77")
		first := b.write(delivery.Place{Contact: who, Lane: channel.Window})
		got := b.claim(b.batch(channel.Window, first, first), 1)
		b.settle(accepted(got[0], channel.Window, "m_1"))
		upTo := func(w delivery.Watermark) { b.upTo(w, w) }
		upTo(delivery.Watermark{PSID: "77", At: b.now.Add(-time.Second)})
		require.Equal(t, delivery.Accepted, b.get(first).State, "sent later than the watermark")
		upTo(delivery.Watermark{PSID: "77", MID: "m_other", At: b.now.Add(time.Second)})
		require.Equal(t, delivery.Accepted, b.get(first).State, "another message")
		upTo(delivery.Watermark{PSID: "77", MID: "m_1", At: b.now.Add(time.Second)})
		require.Equal(t, delivery.Delivered, b.get(first).State)
		require.Nil(t, b.get(first).ReadAt)
		upTo(delivery.Watermark{PSID: "77", At: b.now.Add(2 * time.Second), Read: true})
		require.NotNil(t, b.get(first).ReadAt)
		b.tx(func(tx *db.Tx) error {
			_, err := b.Replied(tx, []delivery.Reply{{Contact: who, At: b.now.Add(3 * time.Second)}, {Contact: who, At: b.now.Add(4 * time.Second)}})
			return err
		})
		require.True(t, b.get(first).RepliedAt.Equal(b.now.Add(3*time.Second)))
	})
}

func TestAWatermarkCountsFromTheProofThatAMessageWasTaken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		echo := func(id int64) delivery.Receipt {
			return delivery.Receipt{Delivery: id, Channel: channel.Messenger, Kind: channel.EventEcho, ProviderID: "m_1", At: b.now}
		}
		for name, early := range map[string]bool{"before the answer was given up": true, "while it was unknown": false} {
			psid := name
			first := b.write(delivery.Place{Contact: b.person(psid), Lane: channel.Window})
			got := b.claim(b.batch(channel.Window, first, first), 1)
			read := delivery.Watermark{PSID: psid, At: b.now.Add(time.Second), Read: true}
			lost := delivery.Settlement{Try: delivery.Try{Delivery: first, N: got[0].Attempt, Lane: channel.Window, Started: b.now}, Outcome: channel.Unknown, To: delivery.Unknown}
			if early {
				b.upTo(read)
				b.settle(lost)
			} else {
				b.settle(lost)
				b.upTo(read)
			}
			row := b.get(first)
			require.Equal(t, delivery.Unknown, row.State, "%s: it may be about another message", name)
			require.Nil(t, row.DeliveredAt, name)
			require.Nil(t, row.ReadAt, name)
			b.mark(echo(first))
			row = b.get(first)
			require.Equal(t, delivery.Delivered, row.State, name)
			require.NotNil(t, row.ReadAt, name)
		}
	})
}

func TestReportAddsUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		places := append(people(3, channel.Window), people(2, channel.OneTime)...)
		places = append(places, people(4, channel.LaneSMS)...)
		places = append(places, delivery.Place{Contact: uuid.Must(uuid.NewV7()), Reason: "no_consent"})
		first := b.write(places...)
		b.tx(func(tx *db.Tx) error {
			return b.Clicked(tx, []delivery.Seen{{first, b.now.Add(time.Second)}, {first, b.now}})
		})
		require.True(t, b.get(first).ClickedAt.Equal(b.now), "the first click counts")
		r, err := b.Report(t.Context(), b.campaign)
		require.NoError(t, err)
		require.Equal(t, 10, r.Audience)
		require.Equal(t, r.Audience, r.Messenger.Total+r.LinkBack.Total+r.Unreachable.Total)
		require.Equal(t, 5, r.Messenger.Total)
		require.Equal(t, 2, r.Lanes[channel.OneTime].States[delivery.Pending])
		require.Equal(t, 1, r.Reasons["no_consent"])
		require.Equal(t, 1, r.Clicked)
	})
}

// rank orders states: receipts and settlements may only raise it, but for a
// definite "not taken" that puts a delivery back.
var rank = map[delivery.State]int{delivery.Pending: 0, delivery.Sending: 1, delivery.Unknown: 2, delivery.Accepted: 3, delivery.Failed: 4, delivery.Delivered: 5}

func TestStatesOnlyMoveForward(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		base := setup(t, d)
		rapid.Check(t, func(rt *rapid.T) {
			b := *base
			b.t = rt
			first := b.write(people(1, channel.LaneSMS)...)
			got := b.claim(b.batch(channel.LaneSMS, first, first), 1)
			try := delivery.Try{Delivery: first, N: got[0].Attempt, Lane: channel.LaneSMS, Started: b.now}
			last, delivered := delivery.Sending, false
			for range rapid.IntRange(1, 6).Draw(rt, "steps") {
				switch rapid.IntRange(0, 4).Draw(rt, "what") {
				case 0:
					b.mark(delivery.Receipt{Delivery: first, Channel: channel.SMS, Kind: channel.EventAccepted, At: b.now})
				case 1:
					b.mark(delivery.Receipt{Delivery: first, Channel: channel.SMS, Kind: channel.EventDelivered, At: b.now})
					delivered = delivered || last != delivery.Failed
				case 2:
					b.mark(delivery.Receipt{Delivery: first, Channel: channel.Email, Kind: channel.EventDelivered, At: b.now})
				case 3:
					b.settle(delivery.Settlement{Try: try, Outcome: channel.Unknown, To: delivery.Unknown})
				case 4:
					b.settle(accepted(got[0], channel.LaneSMS, "x"))
				}
				now := b.get(first).State
				require.GreaterOrEqual(rt, rank[now], rank[last], "%s after %s", now, last)
				last = now
			}
			if delivered && last != delivery.Sending {
				require.Equal(rt, delivery.Delivered, last)
			}
		})
	})
}

package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// escalating is a draft that waits four hours for people to show themselves.
func (b *bundle) escalating(change func(*campaign.Patch)) campaign.Campaign {
	hours := 4
	return b.draft(func(p *campaign.Patch) {
		p.EscalateAfterHours = &hours
		if change != nil {
			change(p)
		}
	})
}

func (b *bundle) escalation(c campaign.Campaign) campaign.Campaign {
	b.t.Helper()
	id, err := b.campaigns.EscalationID(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	got, err := b.campaigns.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return got
}

// pass lets time go by in small steps, working whatever is due.
func (b *bundle) pass(d time.Duration) {
	b.t.Helper()
	for end := b.now().Add(d); b.now().Before(end); {
		b.advance(min(10*time.Minute, end.Sub(b.now())))
		b.drain()
	}
}

func (b *bundle) escalatedOnly(c campaign.Campaign, who ...made) {
	b.t.Helper()
	list, err := b.ledger.List(b.t.Context(), delivery.Filter{Campaign: b.escalation(c).ID, Limit: 1000})
	require.NoError(b.t, err)
	got, want := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, d := range list {
		got[d.ContactID] = true
	}
	for _, m := range who {
		want[m.id] = true
		d, _ := b.of(c, m)
		require.NotNil(b.t, d.EscalatedAt)
		require.Equal(b.t, channel.Messenger, d.Lane.Kind(), "it stays on the messenger side")
	}
	require.Equal(b.t, want, got)
}

func TestWhoeverStaysSilentOnMessengerGetsOneMoreMessage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		silent, mute := b.make(human{window: true, phone: "new", email: "new"}), b.make(human{window: true})
		token, mail := b.make(human{tokens: 1, email: "new"}), b.make(human{email: "new"})
		back, replied := b.make(human{window: true, phone: "new"}), b.make(human{window: true, phone: "new"})
		c := b.escalating(nil)
		b.start(c)
		b.drain()
		require.Equal(t, campaign.Running, b.state(c), "it listens")
		of := func(who made) int64 { d, _ := b.of(c, who); return d.ID }
		b.tx(func(tx *db.Tx) error {
			return b.ledger.Clicked(tx, []delivery.Seen{{Delivery: of(silent), At: b.now()}})
		})
		b.pass(3*time.Hour + 50*time.Minute)
		b.tx(func(tx *db.Tx) error {
			if _, err := b.ledger.Returned(tx, []delivery.Seen{{Delivery: of(back), At: b.now()}}); err != nil {
				return err
			}
			_, err := b.ledger.Replied(tx, []delivery.Reply{{Contact: replied.id, At: b.now()}})
			return err
		})
		require.Zero(t, b.report(c).Escalated.Total)
		b.pass(20 * time.Minute)
		b.escalatedOnly(c, silent, token)
		require.Equal(t, delivery.Tally{Total: 2, States: map[delivery.State]int{delivery.Accepted: 2}}, b.report(c).Escalated)
		require.Equal(t, 1, b.texted(), "the first open lane")
		require.Equal(t, campaign.Finished, b.state(c))
		require.Equal(t, campaign.Finished, b.escalation(c).State)
		for _, who := range []made{mute, mail} {
			d, _ := b.of(c, who)
			require.Nil(t, d.EscalatedAt)
		}

		r := b.report(c)
		require.Equal(t, 5, r.Messenger.Total)
		require.Equal(t, 1, r.LinkBack.Total)
		second, err := b.ledger.List(t.Context(), delivery.Filter{Campaign: b.escalation(c).ID, Contact: silent.id, Limit: 1})
		require.NoError(t, err)
		b.tx(func(tx *db.Tx) error {
			seen := []delivery.Seen{{Delivery: second[0].ID, At: b.now()}}
			if err := b.ledger.Clicked(tx, seen); err != nil {
				return err
			}
			_, err := b.ledger.Returned(tx, seen)
			return err
		})
		after := b.report(c)
		require.Equal(t, r.Clicked, after.Clicked, "a person counts once")
		require.Equal(t, r.Returned+1, after.Returned)

		list, err := b.campaigns.List(t.Context(), uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, list, 1, "an escalation is no campaign of a marketer")
	})
}

func TestSilenceIsHeardOnceHoweverOftenTheJobRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		var silent []made
		for range 60 {
			silent = append(silent, b.make(human{window: true, phone: "new"}))
		}
		c := b.escalating(nil)
		b.start(c)
		b.drain()
		b.advance(4 * time.Hour)
		var batches []uuid.UUID
		require.NoError(t, d.Read(t.Context()).Raw("SELECT id FROM batches WHERE lane = ''").Scan(&batches).Error)
		require.Len(t, batches, 2, "one for each page")
		for range 3 {
			b.tx(func(tx *db.Tx) error {
				if err := tx.Exec("UPDATE batches SET finished_at = NULL WHERE lane = ''").Error; err != nil {
					return err
				}
				for _, id := range batches {
					if err := b.queue.Insert(t.Context(), tx, queue.Order{Args: dispatch.EscalateJob{Batch: id}}); err != nil {
						return err
					}
				}
				return nil
			})
			b.drain()
		}
		b.pass(time.Hour)
		b.escalatedOnly(c, silent...)
		require.Equal(t, 60, b.texted())
		require.Equal(t, campaign.Finished, b.state(c))
	})
}

func TestTheSecondMessageWaitsForTheMorning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		b.advance(15 * time.Hour) // 18:00
		silent, replied := b.make(human{window: true, phone: "new"}), b.make(human{window: true, phone: "new"})
		c := b.escalating(byDay)
		b.start(c)
		b.drain()
		b.pass(10 * time.Hour)
		require.Zero(t, b.report(c).Escalated.Total, "at night nobody is disturbed")
		b.tx(func(tx *db.Tx) error {
			_, err := b.ledger.Replied(tx, []delivery.Reply{{Contact: replied.id, At: b.now()}})
			return err
		})
		b.pass(5 * time.Hour)
		b.escalatedOnly(c, silent)
		require.Equal(t, 1, b.texted())
	})
}

// noTexts refuses every text message.
type noTexts struct{ channel.Sender }

func (s noTexts) Send(ctx context.Context, b channel.Batch) []channel.Result {
	if b.Lane != channel.LaneSMS {
		return s.Sender.Send(ctx, b)
	}
	return slices.Repeat([]channel.Result{{Outcome: channel.Refused, Code: "30007"}}, len(b.Messages))
}

func TestOnlyLanesAfterTheMessengerLaneAreEscalatedTo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender { return noTexts{s} }})
		b.clock.Store(monday.UnixMicro())
		who := b.make(human{window: true, phone: "new", email: "new"})
		nobody := b.make(human{window: true, phone: "new"})
		c := b.escalating(func(p *campaign.Patch) {
			p.Route = &[]channel.Lane{channel.LaneSMS, channel.Window, channel.LaneEmail}
		})
		b.start(c)
		b.pass(5 * time.Hour)
		b.escalatedOnly(c, who)
		d2, _ := b.of(c, nobody)
		require.Nil(t, d2.EscalatedAt, "its text message was refused before")
	})
}

func TestPausingCancellingAndTheDeadlineHoldForTheEscalationToo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		b.make(human{window: true, phone: "new"})
		paused, cancelled := b.escalating(nil), b.escalating(nil)
		end := b.now().Add(3 * time.Hour)
		over := b.escalating(func(p *campaign.Patch) { p.EndsAt = &end })
		for _, c := range []campaign.Campaign{paused, cancelled, over} {
			b.start(c)
		}
		b.drain()
		_, err := b.campaigns.Pause(t.Context(), paused.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Paused, b.escalation(paused).State)
		_, err = b.campaigns.Cancel(t.Context(), cancelled.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Cancelled, b.escalation(cancelled).State)
		b.pass(6 * time.Hour)
		require.Zero(t, b.texted())
		require.Equal(t, campaign.Finished, b.state(over))
		require.Equal(t, campaign.Finished, b.escalation(over).State)

		_, err = b.campaigns.Resume(t.Context(), b.escalation(paused).ID)
		require.True(t, fault.HasCode(err, "led_by_campaign"), "%v", err)
		_, err = b.campaigns.Resume(t.Context(), paused.ID)
		require.NoError(t, err)
		b.pass(time.Hour)
		require.Equal(t, 1, b.texted())
		require.Equal(t, campaign.Finished, b.state(paused))
	})
}

func TestWithoutEscalationNobodyIsListenedTo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := early(t, d)
		b.make(human{window: true, phone: "new"})
		c := b.draft(nil)
		b.sendOut(c)
		id, err := b.campaigns.EscalationID(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, uuid.Nil, id)
		b.pass(48 * time.Hour)
		require.Zero(t, b.texted())
	})
}

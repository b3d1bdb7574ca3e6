package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/simulator"
)

// again is a delivery that a person had sent again while nobody knew of its
// first message, and the world it lives in.
type again struct {
	*bundle
	campaign campaign.Campaign
	who      made
	id       int64
	first    string // Twilio's id of the first message
}

// resent has one text lost and sent again; lost says whether the second answer
// is lost as well. Its job has not run yet.
func (b *bundle) resent(lost bool) *again {
	b.t.Helper()
	c, all := b.lostSMS(human{phone: "new", email: "new"})
	who := all[0]
	row, _ := b.of(c, who)
	a := &again{b, c, who, row.ID, b.sim.Texts(who.phone)[0].SID}
	require.NoError(b.t, b.engine.Resolve(b.t.Context(), a.id, dispatch.Resend, true))
	if lost {
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
	}
	return a
}

func (a *again) second() string { return a.sim.Texts(a.who.phone)[1].SID }

// told is what a callback does, as the program wires it.
func (a *again) told(kind channel.EventKind, sid string) {
	a.t.Helper()
	if kind == channel.EventFailed {
		require.NoError(a.t, a.engine.Late(a.t.Context(), channel.SMS, []dispatch.Word{{Delivery: a.id,
			Result: channel.Result{Outcome: channel.Refused, ProviderID: sid, Code: "30003"}}}))
		return
	}
	receipts := []delivery.Receipt{{Delivery: a.id, Channel: channel.SMS, Kind: kind, ProviderID: sid, At: a.now()}}
	a.tx(func(tx *db.Tx) error {
		if err := a.ledger.CallOff(tx, receipts); err != nil {
			return err
		}
		return a.ledger.Mark(tx, receipts)
	})
}

func (a *again) stands(state delivery.State, sid string) {
	a.t.Helper()
	got, _ := a.of(a.campaign, a.who)
	require.Equal(a.t, [3]string{string(state), "sms", sid}, [3]string{string(got.State), string(got.Lane), got.ProviderID})
}

func TestProofThatTheFirstOneArrivedCallsAResendOff(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := setup(t, d, options{}).resent(false)
		a.told(channel.EventAccepted, a.first)
		a.stands(delivery.Pending, "") // it may still fail
		a.told(channel.EventDelivered, a.first)
		a.stands(delivery.Delivered, a.first)
		a.told(channel.EventDelivered, a.first)
		a.drain()
		a.stands(delivery.Delivered, a.first)
		require.Len(t, a.sim.Texts(a.who.phone), 1, "it is not sent a second time")
		_, attempts := a.of(a.campaign, a.who)
		require.Equal(t, []channel.Outcome{channel.Accepted}, outcomes(attempts))
	})
}

func TestAFailureOfTheFirstOneDoesNotEndTheSecond(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := setup(t, d, options{}).resent(false)
		a.told(channel.EventFailed, a.first)
		a.stands(delivery.Pending, "")
		a.drain()
		a.stands(delivery.Accepted, a.second())
		a.told(channel.EventFailed, a.first)
		a.drain()
		a.stands(delivery.Accepted, a.second())
		require.Empty(t, a.sim.Mail(a.who.email))
		a.told(channel.EventFailed, a.second())
		a.drain()
		got, attempts := a.of(a.campaign, a.who)
		require.Equal(t, channel.LaneEmail, got.Lane)
		require.Equal(t, []channel.Outcome{channel.Unknown, channel.Refused, channel.Accepted}, outcomes(attempts))
		require.Len(t, a.sim.Mail(a.who.email), 1)
	})
}

func TestWhenBothAnswersAreLostOnlyProofThatOneWasTakenCounts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := setup(t, d, options{}).resent(true)
		a.drain()
		a.stands(delivery.Unknown, "")
		a.told(channel.EventFailed, a.first)
		a.stands(delivery.Unknown, "")
		a.told(channel.EventAccepted, a.second())
		a.stands(delivery.Accepted, a.second())
		a.told(channel.EventDelivered, a.first)
		a.stands(delivery.Delivered, a.second())
		a.told(channel.EventFailed, a.second())
		a.drain()
		a.stands(delivery.Delivered, a.second())
		require.Empty(t, a.sim.Mail(a.who.email), "the person has it")
	})
}

func TestAWordOfSendGridNamesItsMessageAtMoreLength(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.make(human{email: "new"})
		c := b.draft(nil)
		b.sendOut(c)
		row, _ := b.of(c, who)
		require.NotEmpty(t, row.ProviderID)
		word := dispatch.Word{Delivery: row.ID, Result: channel.Result{Outcome: channel.Gone, Code: "bounce", ProviderID: "another.recvd-1"}}
		require.NoError(t, b.engine.Late(t.Context(), channel.Email, []dispatch.Word{word}))
		got, _ := b.of(c, who)
		require.Equal(t, delivery.Accepted, got.State)
		word.Result.ProviderID = row.ProviderID + ".recvd-1"
		require.NoError(t, b.engine.Late(t.Context(), channel.Email, []dispatch.Word{word}))
		got, _ = b.of(c, who)
		require.Equal(t, delivery.Failed, got.State)
	})
}

// Whatever callbacks come about two tries, in whatever order and however often,
// and whether or not the second answer is lost: no third message goes out while
// one of the two may be with the person, and a delivery that stands on another
// lane got there by the failure of the try on record.
func TestCallbacksAboutTwoTriesInAnyOrderNeverCauseAThirdMessage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		rapid.Check(t, func(rt *rapid.T) {
			b.sim.Reset()
			b.resumed()
			b.tx(func(tx *db.Tx) error { return tx.Exec("DELETE FROM contacts").Error })
			a := b.resent(rapid.Bool().Draw(rt, "second answer lost"))
			kinds := []channel.EventKind{channel.EventAccepted, channel.EventDelivered, channel.EventRead}
			a.drain()
			secondFails := rapid.Bool().Draw(rt, "the second fails")
			known, _ := a.of(a.campaign, a.who)
			for range rapid.IntRange(0, 8).Draw(rt, "callbacks") {
				sid, kind := a.first, rapid.SampledFrom(append(kinds, channel.EventFailed)).Draw(rt, "kind")
				if rapid.Bool().Draw(rt, "about the second") {
					sid = a.second()
					if kind == channel.EventFailed && !secondFails || kind == channel.EventDelivered && secondFails || kind == channel.EventRead && secondFails {
						continue
					}
				}
				a.told(kind, sid)
			}
			a.drain()
			require.Len(rt, a.sim.Texts(a.who.phone), 2)
			got, _ := a.of(a.campaign, a.who)
			if got.Lane == channel.LaneEmail {
				require.True(rt, secondFails)
				require.Equal(rt, a.second(), known.ProviderID, "the answer named the message")
				require.Len(rt, a.sim.Mail(a.who.email), 1)
			} else {
				require.Empty(rt, a.sim.Mail(a.who.email))
			}
			if known.State == delivery.Accepted {
				require.NotEqual(rt, delivery.Unknown, got.State, "never back")
			}
		})
	})
}

// between hears a callback while the second text is on its way, and then has it
// not taken.
type between struct {
	channel.Sender
	hear   func()
	answer channel.Outcome
}

func (s *between) Send(ctx context.Context, b channel.Batch) []channel.Result {
	if s.hear == nil {
		return s.Sender.Send(ctx, b)
	}
	s.hear()
	return []channel.Result{{Outcome: s.answer, Code: "30008"}}
}

func TestProofThatComesWhileTheSecondOneIsRefusedCounts(t *testing.T) {
	t.Parallel()
	for _, kind := range []channel.EventKind{channel.EventAccepted, channel.EventDelivered} {
		for _, answer := range []channel.Outcome{channel.Refused, channel.TryLater, channel.Gone} {
			t.Run(string(kind)+" "+string(answer), func(t *testing.T) {
				t.Parallel()
				dbtest.Each(t, func(t *testing.T, d *db.DB) {
					s := &between{answer: answer}
					a := setup(t, d, options{wrap: func(inner channel.Sender) channel.Sender {
						if inner.Kind() != channel.SMS {
							return inner
						}
						s.Sender = inner
						return s
					}}).resent(false)
					s.hear = func() { a.told(kind, a.first) }
					a.drain()
					s.hear = nil
					a.advance(time.Minute)
					a.drain()
					a.stands(map[channel.EventKind]delivery.State{channel.EventAccepted: delivery.Accepted, channel.EventDelivered: delivery.Delivered}[kind], a.first)
					require.Len(t, a.sim.Texts(a.who.phone), 1)
					require.Empty(t, a.sim.Mail(a.who.email))
					_, attempts := a.of(a.campaign, a.who)
					require.Equal(t, []channel.Outcome{channel.Accepted}, outcomes(attempts))
					require.Equal(t, campaign.Finished, a.state(a.campaign))
				})
			})
		}
	}
}

func TestProofThatComesWhenTheSecondOneWasRefusedCallsTheNextLaneOff(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		a := setup(t, d, options{}).resent(false)
		a.sim.Refuse(simulator.Twilio, a.who.phone, "21211")
		a.sim.SetFaults(simulator.SendGrid, simulator.Faults{ThrottleRate: 1})
		a.drain()
		got, _ := a.of(a.campaign, a.who)
		require.Equal(t, [2]string{"pending", "email"}, [2]string{string(got.State), string(got.Lane)})
		a.told(channel.EventDelivered, a.first)
		a.sim.SetFaults(simulator.SendGrid, simulator.Faults{})
		a.advance(time.Minute)
		a.drain()
		a.stands(delivery.Delivered, a.first)
		require.Empty(t, a.sim.Mail(a.who.email))
	})
}

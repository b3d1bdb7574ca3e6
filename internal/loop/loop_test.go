package loop_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/loop"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

const ann, ben = "7001", "7002"

func TestWhoReactsIsThankedAndAskedOnce(t *testing.T) {
	t.Parallel()
	for how, react := range map[string]func(b *bundle, id int64) error{
		"a reply":  func(b *bundle, _ int64) error { return b.sim.Say(b.t.Context(), graphPage, ann, "Sounds good") },
		"an emoji": func(b *bundle, _ int64) error { return b.sim.React(b.t.Context(), graphPage, ann, "m_sent", "👍") },
		"a return": func(b *bundle, id int64) error {
			return b.sim.Referral(b.t.Context(), graphPage, ann, b.codes.Code(id))
		},
		"a first time": func(b *bundle, id int64) error {
			return b.sim.GetStarted(b.t.Context(), graphPage, ann, b.codes.Code(id))
		},
		"a tap": func(b *bundle, _ int64) error {
			return b.sim.PostEvents(b.t.Context(), []simulator.Event{{Kind: simulator.Tapped, Page: graphPage, PSID: ann, Text: "Yes", Payload: "YES"}})
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("Ann", ann)
				id := b.sent(b.campaign(thanking).ID, who, channel.Window)
				require.NoError(t, react(b, id))
				b.drain()
				require.Equal(t, []string{"Thank you, Ann!", "[ask]"}, b.got(ann))
				b.say(ann, "And when does it begin?")
				require.NoError(t, b.sim.Referral(t.Context(), graphPage, ann, b.codes.Code(id)))
				b.drain()
				require.Len(t, b.got(ann), 2, "once for each campaign")
				f := b.only(who)
				require.Equal(t, loop.Done, f.State)
				require.Equal(t, []string{"accepted", "sent", "", ""}, []string{f.Thanks, f.Asked, f.Captured, f.Reason})
				require.Equal(t, id, f.DeliveryID)

				_, err := b.sim.TapNotifyMe(t.Context(), graphPage, ann)
				require.NoError(t, err)
				b.drain()
				list, err := b.tokens.List(t.Context(), who, uuid.Nil, 10)
				require.NoError(t, err)
				require.Len(t, list, 1)
				require.Equal(t, "courses", list[0].Topic, "the next campaign reaches them in Messenger")
			})
		})
	}
}

func TestNothingFollowsUnlessTheCampaignSaysSo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign("").ID, who, channel.Window)
		b.say(ann, "Hello?")
		require.Empty(t, b.got(ann))
		list, err := b.Of(t.Context(), who, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		b.say(ben, "I am nobody's audience")
		require.Empty(t, b.got(ben))
	})
}

func TestOnlyWhatIsThereFollows(t *testing.T) {
	t.Parallel()
	question := `{"channel":"email","text":"Where?","consent_text":"You agree."}`
	for follow, want := range map[string]struct {
		got             []string
		asked, captured string
	}{
		`{"ask":true}`:                            {[]string{"[ask]"}, "sent", ""},
		`{"messenger":{"text":"Thanks"}}`:         {[]string{"Thanks"}, "", ""},
		`{"capture":` + question + `}`:            {nil, "", "asked"},
		`{"ask":true,"capture":` + question + `}`: {[]string{"[ask]"}, "sent", "asked"},
	} {
		b := setup(t, dbtest.SQLite(t))
		who := b.known("Ann", ann)
		b.sent(b.campaign(follow).ID, who, channel.Window)
		b.say(ann, "Yes")
		f := b.only(who)
		require.Equal(t, want.got, b.got(ann), follow)
		require.Equal(t, []string{want.asked, want.captured}, []string{f.Asked, f.Captured}, follow)
		require.Equal(t, loop.Done, f.State)
	}
}

// What closes a conversation is looked at just before each message.
func TestNobodyIsFollowedUpWhoMustNotBe(t *testing.T) {
	t.Parallel()
	for reason, then := range map[string]func(b *bundle, c campaign.Campaign, who uuid.UUID){
		"thread_held": func(b *bundle, _ campaign.Campaign, _ uuid.UUID) {
			b.tx(func(tx *db.Tx) error {
				return b.contacts.NoteThreads(b.t.Context(), tx, b.page, []contact.Sign{{Kind: contact.HandedOver, PSID: ann, App: "263902037430900", At: b.now()}})
			})
		},
		"stopped": func(b *bundle, _ campaign.Campaign, who uuid.UUID) {
			b.tx(func(tx *db.Tx) error {
				return b.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, People: map[string]uuid.UUID{ann: who},
					Events: []channel.Event{{Kind: channel.EventMessage, PSID: ann, Text: " Stop! ", At: b.now()}}})
			})
		},
		"too_late":      func(b *bundle, _ campaign.Campaign, _ uuid.UUID) { b.advance(61 * time.Minute) },
		"window_closed": func(b *bundle, _ campaign.Campaign, _ uuid.UUID) { b.advance(24*time.Hour - 4*time.Minute) },
		"cancelled": func(b *bundle, c campaign.Campaign, _ uuid.UUID) {
			b.exec("UPDATE campaigns SET state = 'cancelled' WHERE id = ?", c.ID)
		},
		"no_address": func(b *bundle, _ campaign.Campaign, who uuid.UUID) {
			b.exec("DELETE FROM messenger_addresses WHERE contact_id = ?", who)
		},
		"blocked": func(b *bundle, _ campaign.Campaign, _ uuid.UUID) {
			b.tx(func(tx *db.Tx) error { return b.contacts.Block(b.t.Context(), tx, b.page, []string{ann}, b.now()) })
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("Ann", ann)
				c := b.campaign(thanking)
				id := b.sent(c.ID, who, channel.Window)
				b.moved(ann)
				b.hear(channel.Reaction{Delivery: id, Campaign: c.ID, Contact: who, At: b.now()})
				then(b, c, who)
				b.drain()
				require.Empty(t, b.got(ann))
				f := b.only(who)
				require.Equal(t, loop.Skipped, f.State)
				require.Equal(t, reason, f.Reason)
			})
		})
	}
}

// moved opens somebody's window, and nothing more.
func (b *bundle) moved(psid string) {
	b.tx(func(tx *db.Tx) error {
		return b.contacts.MoveWindow(b.t.Context(), tx, b.page, map[string]time.Time{psid: b.now()})
	})
}

func (b *bundle) hear(r ...channel.Reaction) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error {
		return b.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, Reacted: r})
	})
}

func TestStopHoldsUntilTheySayStart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		for i, said := range []string{"STOP", "Yes please", "stop by on Monday?", "start", "Yes"} {
			b.advance(time.Minute)
			b.sent(b.campaign(`{"messenger":{"text":"Thanks `+fmt.Sprint(i)+`"}}`).ID, who, channel.Window)
			b.say(ann, said)
		}
		require.Equal(t, []string{"Thanks 3", "Thanks 4"}, b.got(ann))
	})
}

// Who asks to be forgotten is not asked for anything first.
func TestOtherWordsEndTheLoopToo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.Leaves = func(ev channel.Event) bool { return ev.Text == "forget me" }
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.say(ann, "forget me")
		require.Equal(t, "stopped", b.only(who).Reason)
		require.Empty(t, b.got(ann))
	})
}

// People may be known to several Pages.
func TestAnswersOnAnotherPageAreNotFollowedUpHere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		c := b.campaign(thanking)
		id := b.sent(c.ID, who, channel.Window)
		b.moved(ann)
		b.tx(func(tx *db.Tx) error {
			return b.Hear(t.Context(), tx, channel.Heard{Page: uuid.New(), Reacted: []channel.Reaction{{Delivery: id, Campaign: c.ID, Contact: who, At: b.now()}}})
		})
		list, err := b.Of(t.Context(), who, 1)
		require.NoError(t, err)
		require.Empty(t, list)
		b.say(ann, "Yes")
		require.Len(t, b.got(ann), 2)
	})
}

// To tap "Notify Me" is to want messages again.
func TestWhoAgreesAgainAfterAStopIsFollowedUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.say(ann, "stop")
		b.advance(time.Minute)
		require.NoError(t, b.sim.PostEvents(t.Context(), []simulator.Event{{Kind: simulator.OptedIn, Page: graphPage, PSID: ann, At: b.now(), Payload: "courses", Token: "T1"}}))
		b.drain()
		b.sent(b.campaign(`{"messenger":{"text":"Thanks"}}`).ID, who, channel.Window)
		b.say(ann, "Yes")
		require.Equal(t, []string{"Thanks"}, b.got(ann))
	})
}

func TestALateStopDoesNotOutdoALaterStart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		at := b.now()
		for _, ev := range []simulator.Event{{Text: "start", At: at.Add(-time.Minute)}, {Text: "stop", At: at.Add(-2 * time.Minute)}} {
			ev.Kind, ev.Page, ev.PSID = simulator.Said, graphPage, ann
			require.NoError(t, b.sim.PostEvents(t.Context(), []simulator.Event{ev}))
			b.drain()
		}
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.say(ann, "Yes")
		require.Len(t, b.got(ann), 2)
	})
}

func TestUnknownThanksAreNotSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.sender.instead = outcomes(channel.Result{Outcome: channel.Unknown})
		b.say(ann, "Yes")
		f := b.only(who)
		require.Equal(t, []string{"unknown", "sent"}, []string{f.Thanks, f.Asked})
		require.Equal(t, 1, b.sender.sends)
		require.Equal(t, []string{"[ask]"}, b.got(ann))
	})
}

// outcomes answers the messages that are no "Notify Me" with the given results,
// then hands over.
func outcomes(of ...channel.Result) func(psid, text string) *channel.Result {
	return func(_, text string) *channel.Result {
		if len(of) == 0 || len(text) > 3 && text[:4] == "ask:" {
			return nil
		}
		r := of[0]
		of = of[1:]
		return &r
	}
}

// A node that dies between writing down that it thanks and what came of it
// leaves thanks that may have gone out.
func TestThanksThatWereCutOffAreNotSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		c := b.campaign(thanking)
		id := b.sent(c.ID, who, channel.Window)
		b.sim.AddPeople(graphPage, 1)
		b.moved(ann)
		b.hear(channel.Reaction{Delivery: id, Campaign: c.ID, Contact: who, At: b.now()})
		b.exec("UPDATE follow_ups SET state = 'thanking'")
		b.drain()
		require.Zero(t, b.sender.sends)
		require.Equal(t, "unknown", b.only(who).Thanks)
		require.Equal(t, 1, b.sender.asks)
	})
}

func TestWhatWasDefinitelyNotTakenIsSentLater(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]channel.Result{
		"throttled": {Outcome: channel.TryLater, RetryAfter: 10 * time.Second, Code: "613", Throttled: true}, "no turn": {Outcome: channel.TryLater},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("Ann", ann)
				b.sent(b.campaign(thanking).ID, who, channel.Window)
				b.sender.instead = outcomes(first)
				b.say(ann, "Yes")
				require.Equal(t, loop.Due, b.only(who).State)
				b.advance(11 * time.Second)
				b.drain()
				require.Equal(t, []string{"Thank you, Ann!", "[ask]"}, b.got(ann))
				require.Equal(t, "accepted", b.only(who).Thanks)
			})
		})
	}
}

func TestThanksThatAreRefusedTellOfThePerson(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[channel.Outcome]struct {
		reason  string
		blocked bool
		open    bool
		asks    int
	}{
		channel.Gone:      {"not_reached", true, true, 0},
		channel.TokenDead: {"not_reached", false, false, 0},
		channel.OptedOut:  {"not_reached", false, true, 0},
		channel.Refused:   {"", false, true, 1},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("Ann", ann)
				b.sent(b.campaign(thanking).ID, who, channel.Window)
				b.sender.instead = outcomes(channel.Result{Outcome: outcome, Code: "x"})
				b.say(ann, "Yes")
				f := b.only(who)
				require.Equal(t, loop.Done, f.State)
				require.Equal(t, []string{string(outcome), want.reason, "x"}, []string{f.Thanks, f.Reason, f.Code})
				require.Equal(t, want.asks, b.sender.asks)
				var a contact.Address
				require.NoError(t, d.Read(t.Context()).Where("psid = ?", ann).Take(&a).Error)
				require.Equal(t, want.blocked, a.BlockedAt != nil)
				require.Equal(t, want.open, a.LastActionAt != nil)
			})
		})
	}
}

func TestThanksThatCannotBeRenderedAreLeftOut(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	who := b.known("Ann", ann)
	b.sent(b.campaign(`{"messenger":{"text":"{{ contact.attributes.nothing }}"},"ask":true}`).ID, who, channel.Window)
	b.say(ann, "Yes")
	require.Equal(t, []string{"[ask]"}, b.got(ann))
	require.Equal(t, "content_empty", b.only(who).Code)
}

func TestNobodyIsAskedTwiceInTheGuardTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		for range 3 {
			b.sent(b.campaign(thanking).ID, who, channel.Window)
			b.say(ann, "Yes")
			b.advance(2 * time.Hour)
		}
		require.Equal(t, []string{"Thank you, Ann!", "[ask]", "Thank you, Ann!", "Thank you, Ann!"}, b.got(ann))
		list, err := b.Of(t.Context(), who, 10)
		require.NoError(t, err)
		require.Equal(t, []string{"asked_recently", "asked_recently", "sent"}, []string{list[0].Asked, list[1].Asked, list[2].Asked})
	})
}

// Nobody waits for what only a person can change, and the job least of all.
func TestAPageThatMayNotAskIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.tx(func(tx *db.Tx) error {
			return b.tokens.NoteAsked(tx, b.page, channel.Result{Outcome: channel.StopTheLine, Code: "10/1404170"})
		})
		b.say(ann, "Yes")
		require.Equal(t, loop.Done, b.only(who).State)
		require.Equal(t, "asking_stopped", b.only(who).Asked)
	})
}

func TestWhoHoldsAPermissionIsNotAsked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.say(ann, "Yes")
		_, err := b.sim.TapNotifyMe(t.Context(), graphPage, ann)
		require.NoError(t, err)
		b.drain()
		b.advance(8 * 24 * time.Hour)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.say(ann, "Yes")
		require.Equal(t, 1, b.sender.asks)
		list, err := b.Of(t.Context(), who, 1)
		require.NoError(t, err)
		require.Equal(t, "has_token", list[0].Asked)
	})
}

func TestAStoppedPageIsWaitedFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.sender.instead = outcomes(channel.Result{Outcome: channel.StopTheLine, Code: "10/1893063"})
		b.say(ann, "Yes")
		b.advance(time.Minute)
		b.drain()
		require.Empty(t, b.got(ann))
		require.Equal(t, loop.Due, b.only(who).State)
		b.exec("DELETE FROM lines")
		b.advance(2 * time.Minute)
		b.drain()
		require.Equal(t, []string{"Thank you, Ann!", "[ask]"}, b.got(ann))
	})
}

func TestAReactionToAnEscalationIsOneToItsCampaign(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		c := b.campaign(thanking)
		child := b.campaign("")
		b.exec("UPDATE campaigns SET escalation_of = ? WHERE id = ?", c.ID, child.ID)
		b.sent(c.ID, who, channel.Window)
		later := b.sent(child.ID, who, channel.LaneSMS)
		require.NoError(t, b.sim.Referral(t.Context(), graphPage, ann, b.codes.Code(later)))
		b.drain()
		b.say(ann, "Here I am")
		require.Equal(t, []string{"Thank you, Ann!", "[ask]"}, b.got(ann))
		require.Equal(t, c.ID, b.only(who).CampaignID)
	})
}

// Whoever is found to be somebody the business knows keeps what follows, once.
func TestAFollowUpMovesWithItsPerson(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.say(ann, "Hello, I am new here")
		ids, err := b.anonymous(ann)
		require.NoError(t, err)
		first := b.campaign(thanking)
		id := b.sent(first.ID, ids, channel.Window)
		b.hear(channel.Reaction{Delivery: id, Campaign: first.ID, Contact: ids, At: b.now()})

		who := b.known("Ann", "")
		b.tx(func(tx *db.Tx) error {
			_, err := b.contacts.Bind(t.Context(), tx, who, b.page, ann)
			return err
		})
		b.drain()
		require.Equal(t, []string{"Thank you, Ann!", "[ask]"}, b.got(ann))
		require.Equal(t, first.ID, b.only(who).CampaignID)
	})
}

func (b *bundle) anonymous(psid string) (id uuid.UUID, err error) {
	var a contact.Address
	err = b.d.Read(b.t.Context()).Where("psid = ?", psid).Take(&a).Error
	return a.ContactID, err
}

func TestWhoIsErasedIsLeftAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		c := b.campaign(thanking)
		id := b.sent(c.ID, who, channel.Window)
		b.hear(channel.Reaction{Delivery: id, Campaign: c.ID, Contact: who, At: b.now()})
		require.NoError(t, b.contacts.Erase(t.Context(), who))
		b.hear(channel.Reaction{Delivery: id, Campaign: c.ID, Contact: who, At: b.now()})
		b.drain()
		require.Zero(t, b.sender.sends)
	})
}

func TestAJobThatRunsAgainDoesNothingMore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("Ann", ann)
		b.sent(b.campaign(thanking).ID, who, channel.Window)
		b.say(ann, "Yes")
		b.tx(func(tx *db.Tx) error {
			return b.queue.Insert(t.Context(), tx, queue.Order{Args: loop.FollowJob{FollowUp: b.only(who).ID}})
		})
		b.drain()
		require.Len(t, b.got(ann), 2)
		require.Equal(t, "loop.follow", loop.FollowJob{}.Kind())
	})
}

package capture_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

func TestAnAddressIsStoredWithTheConsentToIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   channel.Kind
		answer func(b *bundle)
		want   string
	}{
		"typed":           {channel.Email, func(b *bundle) { b.say("it is Ann@Example.com, thanks!") }, "ann@example.com"},
		"tapped":          {channel.Email, func(b *bundle) { b.tap("ann@example.com", "ann@example.com") }, "ann@example.com"},
		"number":          {channel.SMS, func(b *bundle) { b.tap("+447700900123", "+447700900123") }, "+447700900123"},
		"national number": {channel.SMS, func(b *bundle) { b.say("You can text me on 07700 900123") }, "+447700900123"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				asked := b.asked(c.kind)
				require.Contains(t, b.last(), "Where may we write?\n\nBy answering you agree to e-mails about courses.")
				c.answer(b)
				require.Equal(t, capture.Captured, b.state(asked))
				who := b.contact()
				consent, address := who.EmailConsent, who.Email
				if c.kind == channel.SMS {
					consent, address = who.SMSConsent, who.Phone
				}
				require.Equal(t, c.want, address)
				require.Equal(t, contact.Subscribed, consent.Status)
				require.Equal(t, "messenger", consent.Source)
				require.Equal(t, b.now().Truncate(time.Millisecond), consent.At.UTC())
				require.Contains(t, consent.Evidence, "Asked in Messenger on "+asked.AskedAt.UTC().Format("2006-01-02 15:04"))
				require.Contains(t, consent.Evidence, "By answering you agree to e-mails about courses.")
				require.Equal(t, "Thank you!", b.last())
				require.Equal(t, []event.Type{event.CaptureAnswered}, b.told())
				b.say("other@example.com")
				require.Equal(t, address, b.address(c.kind), "the question is closed")
			})
		})
	}
}

func (b *bundle) address(kind channel.Kind) string {
	if kind == channel.SMS {
		return b.contact().Phone
	}
	return b.contact().Email
}

func TestANoIsTaken(t *testing.T) {
	t.Parallel()
	for _, how := range []func(b *bundle){
		func(b *bundle) { b.say("No, thanks!") },
		func(b *bundle) { b.say("Nein danke.") },
		func(b *bundle) {
			require.NoError(b.t, b.sim.TapQuickReply(b.t.Context(), graphPage, ann, "bk:capture:no"))
			b.drain()
		},
	} {
		b := setup(t, dbtest.SQLite(t))
		asked := b.asked(channel.Email)
		b.advance(time.Second)
		how(b)
		require.Equal(t, capture.Declined, b.state(asked))
		require.Empty(t, b.contact().EmailConsent.Status, "no answer to whether they may be written to")
		require.Len(t, b.sim.Received(graphPage, ann), 1, "and nothing more is said about it")
		b.say("ann@example.com is what I use elsewhere")
		require.Empty(t, b.contact().Email)
	}
}

func TestWhatIsNoAddressIsAskedForOnceMore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := b.asked(channel.Email)
		b.say("What for?")
		require.Contains(t, b.last(), "Once more, please?")
		b.say("ann@example")
		require.Equal(t, capture.Unanswered, b.state(asked))
		b.say("Hello?")
		require.Len(t, b.sim.Received(graphPage, ann), 2)

		b.advance(31 * 24 * time.Hour)
		b.say("I am back")
		asked = b.asked(channel.Email)
		b.say("hmm")
		b.say("ann@example.com")
		require.Equal(t, capture.Captured, b.state(asked), "the second answer may be right")
	})
}

func TestWhoAsksToBeForgottenIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := b.asked(channel.Email)
		b.advance(time.Second)
		b.say("Delete my data")
		require.Equal(t, capture.Declined, b.state(asked))
		require.Len(t, b.sim.Received(graphPage, ann), 1, "the question, and no second one")
	})
}

func TestOnlyWhatIsSaidAfterTheQuestionAnswersIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		before := simulator.Event{Kind: simulator.Said, Page: graphPage, PSID: ann, At: b.now().Add(-30 * time.Second), Text: "ann@old.example.com", MID: "m_before"}
		require.NoError(t, b.sim.PostEvents(t.Context(), []simulator.Event{before}))
		b.drain()
		asked := b.asked(channel.Email)
		b.advance(time.Second)
		require.NoError(t, b.sim.PostEvents(t.Context(), []simulator.Event{before}))
		b.drain()
		require.Equal(t, capture.Asked, b.state(asked), "what is told again is no answer")
		b.tap("Yes please", "COURSES_YES")
		require.NoError(t, b.sim.React(t.Context(), graphPage, ann, "m_1", "👍"))
		b.drain()
		require.Equal(t, capture.Asked, b.state(asked), "other buttons are no answer")
		require.Len(t, b.sim.Received(graphPage, ann), 1)
	})
}

// One event that is no address counts once, however often it is told.
func TestTheSameAnswerToldAgainCountsOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := b.asked(channel.Email)
		b.advance(time.Second)
		ev := simulator.Event{Kind: simulator.Said, Page: graphPage, PSID: ann, At: b.now(), Text: "What for?", MID: "m_x"}
		for range 3 {
			require.NoError(t, b.sim.PostEvents(t.Context(), []simulator.Event{ev}))
			b.advance(time.Second)
			b.drain()
		}
		require.Equal(t, capture.Asked, b.state(asked))
		require.Len(t, b.sim.Received(graphPage, ann), 2)
	})
}

func TestAnAddressOfSomebodyElseMergesNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		other, _, err := b.contacts.Upsert(t.Context(), contact.Draft{Email: contact.Of("shared@example.com")})
		require.NoError(t, err)
		asked := b.asked(channel.Email)
		b.say("shared@example.com")
		require.Equal(t, capture.Conflict, b.state(asked))
		require.Empty(t, b.contact().Email)
		require.Empty(t, b.contact().EmailConsent.Status)
		still, err := b.contacts.Get(t.Context(), other.ID)
		require.NoError(t, err)
		require.Empty(t, still.EmailConsent.Status)
		require.Equal(t, []event.Type{event.CaptureConflict}, b.told())
	})
}

func TestAQuestionExpires(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := b.asked(channel.Email)
		b.advance(24 * time.Hour)
		b.say("ann@example.com")
		require.Equal(t, capture.Expired, b.state(asked))
		require.Empty(t, b.contact().Email)
	})
}

func TestWhoMustNotBeAskedIsNot(t *testing.T) {
	t.Parallel()
	for code, before := range map[string]func(b *bundle){
		"window_closed":     func(b *bundle) { b.advance(24 * time.Hour) },
		"no_address":        func(b *bundle) { b.exec("DELETE FROM messenger_addresses") },
		"contact_not_found": func(b *bundle) { b.ann = uuid.New() },
		"page_not_found":    func(b *bundle) { b.page = uuid.New() },
		"stopped": func(b *bundle) {
			b.exec("INSERT INTO stops (page_id, contact_id, stopped, at) VALUES (?, ?, TRUE, ?)", b.page, b.ann, b.now())
		},
		"thread_held":     func(b *bundle) { b.exec("UPDATE messenger_addresses SET held_until = ?", b.now().Add(time.Hour)) },
		"unsubscribed":    func(b *bundle) { b.consents(contact.Unsubscribed) },
		"address_known":   func(b *bundle) { b.consents(contact.Subscribed) },
		"capture_pending": func(b *bundle) { b.asked(channel.SMS) },
		"asked_recently":  func(b *bundle) { b.asked(channel.Email); b.say("no") },
		"page_stopped":    func(b *bundle) { b.instead = &channel.Result{Outcome: channel.StopTheLine, Code: "190"} },
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				before(b)
				n := len(b.sim.Received(graphPage, ann))
				_, err := b.ask(channel.Email)
				require.True(t, fault.HasCode(err, code), "%v", err)
				require.Len(t, b.sim.Received(graphPage, ann), n)
			})
		})
	}
}

func (b *bundle) consents(status string) {
	_, err := b.contacts.Patch(b.t.Context(), b.ann, contact.Draft{Email: contact.Of("ann@example.com"), EmailConsent: contact.Of(contact.Consent{Status: status})})
	require.NoError(b.t, err)
}

func TestWhatCameOfAQuestionIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.instead = &channel.Result{Outcome: channel.Refused, Code: "100"}
		c, err := b.ask(channel.Email)
		require.NoError(t, err)
		require.Equal(t, capture.Failed, c.State)
		require.Equal(t, "100", c.Code)
		b.instead = &channel.Result{Outcome: channel.Unknown}
		c, err = b.ask(channel.Email)
		require.NoError(t, err, "what did not go out does not count")
		require.Equal(t, capture.Unknown, c.State)
		b.say("ann@example.com")
		require.Equal(t, capture.Captured, b.state(c), "who answers was asked")
		_, err = b.Get(t.Context(), uuid.New())
		require.True(t, fault.HasCode(err, "capture_not_found"))
	})
}

func TestAnAnswerThatMayHaveGoneOutIsNotSaidAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.asked(channel.Email)
	b.say("ann@example.com")
	n := len(b.sim.Received(graphPage, ann))
	c, err := b.Get(t.Context(), uuid.Nil)
	require.Error(t, err)
	require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error {
		return b.queue.Insert(t.Context(), tx, queue.Order{Args: capture.AnswerJob{Capture: c.ID, Thanks: true}})
	}))
	b.exec("UPDATE river_job SET attempt = 1 WHERE state = 'available'")
	b.drain()
	require.Len(t, b.sim.Received(graphPage, ann), n)
	require.Equal(t, "capture.answer", capture.AnswerJob{}.Kind())
}

func TestWhatIsWrongWithAQuestionIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	_, err := b.Ask(t.Context(), capture.Request{ContactID: b.ann, PageID: b.page, Question: content.Question{Channel: "messenger", Text: " ", Decline: "Nothing of the kind, thanks"}})
	require.True(t, fault.Is(err, fault.Invalid))
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	var at []string
	for _, field := range f.Fields {
		at = append(at, field.Pointer)
	}
	require.Equal(t, []string{"/channel", "/text", "/consent_text", "/decline_text"}, at)
}

// Nothing that merely looks like an answer is a yes.
func TestWhatNamesNoAddressAgreesToNothing(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"See you @ 5", "@", "No! Never write to ann@example.com", "Please don't use ann@example.com"} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				_, err := b.contacts.Patch(t.Context(), b.ann, contact.Draft{Email: contact.Of("known@example.com")})
				require.NoError(t, err)
				asked := b.asked(channel.Email)
				b.say(said)
				require.NotEqual(t, capture.Captured, b.state(asked))
				require.Equal(t, "known@example.com", b.contact().Email)
				require.Empty(t, b.contact().EmailConsent.Status)
			})
		})
	}
}

// Who said stop, in whatever words, has not agreed to anything they say later.
func TestAStopEndsTheQuestion(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := b.asked(channel.Email)
		b.exec("INSERT INTO stops (page_id, contact_id, stopped, at) VALUES (?, ?, TRUE, ?)", b.page, b.ann, b.now())
		b.say("my old address was ann@example.com")
		require.NotEqual(t, capture.Captured, b.state(asked))
		require.Empty(t, b.contact().Email)
		require.Empty(t, b.contact().EmailConsent.Status)
	})
}

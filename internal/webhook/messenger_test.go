package webhook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/token"
)

// The people of the fixtures.
const (
	ann = "24680135797001"
	ben = "24680135797002"
	eve = "24680135797003"
)

func TestWhatPeopleDoOpensTheWindow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i, name := range []string{"message", "quick_reply", "postback", "reaction", "referral", "start", "seconds"} {
			who := fmt.Sprintf("%s%02d", ann, i)
			b.take(name, ann, who, "PSID", who, "CODE", "somebody-elses-ref")
			require.Equal(t, time.Minute, b.window(who), name)
		}
	})
}

func TestWhatElseHappensDoesNotOpenTheWindow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i, name := range []string{"unreact", "standby", "echo", "delivered", "delivered_up_to", "read"} {
			who := fmt.Sprintf("%s%02d", ann, i)
			b.take(name, ann, who, "NUMBER", "77")
			require.Equal(t, uuid.Nil, b.holder(who), name)
		}
		for i, name := range []string{"optin", "optin_undated", "optin_recurring"} {
			who := fmt.Sprintf("%s1%d", ann, i)
			b.take(name, ann, who, "PSID", who, "PAYLOAD", "courses", "TOKEN", "otn-"+name)
			require.NotEqual(t, uuid.Nil, b.holder(who), name)
			require.Nil(t, b.address(b.page, who).LastActionAt, name)
		}
	})
}

func TestATimeThatLiesAheadHoldsNoWindowOpen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("ahead")
		require.Zero(t, b.window(ann))
		b.again()
		require.Zero(t, b.window(ann), "when it arrived, not when it is applied")
	})
}

func TestWindowsNeverMoveBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			who := fmt.Sprintf("%s-%d", ann, n)
			var latest time.Time
			for range rapid.IntRange(1, 3).Draw(rt, "bodies") {
				var events []string
				for range rapid.IntRange(1, 4).Draw(rt, "events") {
					at := noon.Add(-time.Duration(rapid.IntRange(1, 10_000_000).Draw(rt, "ms before noon")) * time.Millisecond)
					if at.After(latest) {
						latest = at
					}
					events = append(events, fmt.Sprintf(`{"sender":{"id":%q},"timestamp":%d,"message":{"mid":"m"}}`, who, at.UnixMilli()))
				}
				b.accept(channel.Messenger, meta(`{"object":"page","entry":[{"id":"5001","messaging":[`+strings.Join(events, ",")+`]}]}`))
				b.drain()
			}
			require.Equal(rt, latest, b.address(b.page, who).LastActionAt.UTC())
		})
	})
}

func TestATokenLandsUnderTheTopicOfItsPayload(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", ann)
		ours, other := b.asked(who), b.asked(b.known("crm-2", eve))
		for i, payload := range []string{"courses", "ASK_COURSES", "bk:optin:" + ours.String()} {
			b.take("optin", "PSID", ann, "PAYLOAD", payload, "TOKEN", fmt.Sprintf("otn-%d", i))
			require.Equal(t, map[string]int{"courses": i + 1}, b.grants(who), payload)
		}
		b.take("optin", "PSID", ann, "PAYLOAD", "bk:test:"+uuid.NewString(), "TOKEN", "otn-test")
		require.Equal(t, map[string]int{"courses": 3}, b.grants(who), "a self-test's token is no campaign's")
		for i, payload := range []string{"another-bots", "", "bk:optin:" + uuid.NewString(), "bk:optin:x"} {
			b.take("optin", "PSID", ann, "PAYLOAD", payload, "TOKEN", fmt.Sprintf("otn-u%d", i))
			require.Equal(t, map[string]int{"courses": 3, token.Unsorted: i + 1}, b.grants(who), payload)
		}
		require.Equal(t, 1, b.count("opt_in_requests WHERE state = 'granted' AND id = ?", ours))
		b.take("optin", "PSID", ann, "PAYLOAD", "bk:optin:"+other.String(), "TOKEN", "otn-of-ann")
		require.Equal(t, 1, b.count("opt_in_requests WHERE state = 'sent'"), "an answer of somebody who was not asked")
	})
}

// asked makes an opt-in request that went out to a contact.
func (b *bundle) asked(who uuid.UUID) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	b.tx(func(tx *db.Tx) error {
		return tx.Exec("INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, asked_at, updated_at) VALUES (?, ?, ?, 'courses', 'sent', ?, ?)",
			id, who, b.page, noon.Add(-time.Hour), noon.Add(-time.Hour)).Error
	})
	return id
}

func TestATokenIsGrantedOnceHoweverItIsTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, name := range []string{"optin", "optin", "optin_again", "optin_undated"} {
			b.take(name, "PSID", ann, "PAYLOAD", "courses", "TOKEN", "otn-1")
		}
		require.Len(t, b.callbacks(), 3, "the same body is stored once")
		require.Equal(t, map[string]int{"courses": 1}, b.grants(b.holder(ann)))
		b.take("optin", "PSID", ben, "PAYLOAD", "courses", "TOKEN", "otn-1")
		require.Empty(t, b.grants(b.holder(ben)), "a token has one owner")
	})
}

func TestAnUndatedTokenCountsFromItsArrival(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("optin_undated", "PSID", ann, "PAYLOAD", "courses", "TOKEN", "otn-1")
		list, err := b.tokens.List(t.Context(), b.holder(ann), uuid.Nil, 2)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, noon, list[0].GrantedAt.UTC())
	})
}

func TestTokensForRecurringMessagesAreNotTakenForOneTimeTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("optin_recurring")
		require.Zero(t, b.count("tokens"))
	})
}

func TestACodeBindsItsPersonToTheContact(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"referral", "start"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("crm-1", "")
				id := b.sent(who, channel.LaneSMS, delivery.Accepted)

				b.take(how, "PSID", ann, "CODE", b.codes.Code(id))
				require.Equal(t, who, b.holder(ann), "attached")
				require.Equal(t, time.Minute, b.window(ann))
				require.Equal(t, noon.Add(-time.Minute), b.get(id).ReturnedAt.UTC())
				require.Nil(t, b.get(id).RepliedAt, "to come is not to reply")

				second := b.sent(who, channel.LaneEmail, delivery.Accepted)
				b.take(how, "PSID", ann, "CODE", b.codes.Code(second))
				require.Equal(t, who, b.holder(ann), "the same person by another link")
				require.NotNil(t, b.get(second).ReturnedAt)
				require.Equal(t, 1, b.count("contacts"))
			})
		})
	}
}

func TestACodeMergesTheAnonymousContactWithItsTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("optin", "PSID", ann, "PAYLOAD", "courses", "TOKEN", "otn-1")
		who := b.known("crm-1", "")
		require.Equal(t, 2, b.count("contacts"))
		id := b.sent(who, channel.LaneSMS, delivery.Accepted)
		b.take("referral", "PSID", ann, "CODE", b.codes.Code(id))
		require.Equal(t, who, b.holder(ann))
		require.Equal(t, 1, b.count("contacts"))
		require.Equal(t, map[string]int{"courses": 1}, b.grants(who))
		require.NotNil(t, b.get(id).ReturnedAt)
	})
}

func TestACodeUsedBySomebodyElseBindsNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who, neighbour := b.known("crm-1", ann), b.known("crm-2", eve)
		id := b.sent(who, channel.LaneSMS, delivery.Accepted)
		for _, psid := range []string{ben, eve} {
			b.take("referral", "PSID", psid, "CODE", b.codes.Code(id))
		}
		require.Equal(t, who, b.holder(ann))
		require.Equal(t, neighbour, b.holder(eve))
		require.NotContains(t, []uuid.UUID{uuid.Nil, who, neighbour}, b.holder(ben), "a contact of its own")
		require.Equal(t, time.Minute, b.window(ben), "who may be written to all the same")
		require.Nil(t, b.get(id).ReturnedAt)
		require.Equal(t, 2, strings.Count(b.log.String(), "a personal link was used by somebody else"), "and it is reported")
	})
}

func TestACodeOfAContactThatIsGoneStartsANewOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", "")
		id := b.sent(who, channel.LaneSMS, delivery.Accepted)
		b.tx(func(tx *db.Tx) error { return tx.Exec("DELETE FROM contacts WHERE id = ?", who).Error })
		b.take("referral", "PSID", ann, "CODE", b.codes.Code(id))
		require.NotContains(t, []uuid.UUID{uuid.Nil, who}, b.holder(ann))
		require.Nil(t, b.get(id).ReturnedAt)
	})
}

func TestACodeIsWorthNothingElsewhereOrWhenForged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", "")
		id := b.sent(who, channel.LaneSMS, delivery.Accepted)
		code := b.codes.Code(id)
		b.take("referral_elsewhere", "PSID", ann, "CODE", code)
		require.Equal(t, uuid.Nil, b.holder(ann))
		require.NotContains(t, []uuid.UUID{uuid.Nil, who}, b.address(b.elsewhere, ann).ContactID)
		for i, forged := range []string{"0000000000000000", code[:15], strings.ToLower(code) + "x", b.codes.Code(id + 1), "1"} {
			psid := fmt.Sprintf("%s%d", ben, i)
			b.take("referral", "PSID", psid, "CODE", forged)
			require.NotContains(t, []uuid.UUID{uuid.Nil, who}, b.holder(psid), "a visitor like any other")
		}
		require.Nil(t, b.get(id).ReturnedAt)
	})
}

func TestAnEchoSettlesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", ann)
		id, texted := b.sent(who, channel.Window, delivery.Unknown), b.sent(who, channel.LaneSMS, delivery.Unknown)
		inFlight := b.sent(who, channel.OneTime, delivery.Sending)
		for _, n := range []int64{id, texted, inFlight, 99} {
			b.take("echo", "MARK", b.marks.Code(n))
		}
		require.Equal(t, delivery.Accepted, b.get(id).State)
		require.Equal(t, "m_echo", b.get(id).ProviderID)
		require.Equal(t, noon.Add(-time.Minute), b.get(id).AcceptedAt.UTC())
		require.Equal(t, delivery.Unknown, b.get(texted).State, "an echo is no word about a text message")
		require.Equal(t, delivery.Sending, b.get(inFlight).State, "the call under way settles it")
		require.NotNil(t, b.get(inFlight).AcceptedAt)
		require.Equal(t, uuid.Nil, b.holder("5001"), "the Page is nobody's contact")
	})
}

func TestDeliveryAndReadingReachTheLedger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state           delivery.State
		delivered, read time.Duration // before noon
	}{
		"delivered":        {delivery.Delivered, 30 * time.Second, 0},
		"delivered_up_to":  {delivery.Delivered, 40 * time.Second, 0},
		"delivered_before": {delivery.Accepted, 0, 0},
		"read":             {delivery.Delivered, 40 * time.Second, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				id := b.sent(b.known("crm-1", ann), channel.Window, delivery.Accepted)
				b.take(name)
				got := b.get(id)
				require.Equal(t, c.state, got.State)
				require.Equal(t, c.delivered, before(got.DeliveredAt))
				require.Equal(t, c.read, before(got.ReadAt))
				b.take("delivered")
				b.take("read")
				require.Equal(t, delivery.Delivered, b.get(id).State)
			})
		})
	}
}

// before is how long before noon a moment is, 0 for none.
func before(at *time.Time) time.Duration {
	if at == nil {
		return 0
	}
	return noon.Sub(*at)
}

func TestAWatermarkThatLiesAheadEndsAtItsArrival(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.known("crm-1", ann)
		id := b.sent(who, channel.Window, delivery.Accepted)
		body := b.read("read", fmt.Sprint(noon.Add(-40*time.Second).UnixMilli()), fmt.Sprint(noon.Add(time.Hour).UnixMilli()))
		b.accept(channel.Messenger, meta(body))
		b.drain()
		require.Equal(t, noon, b.get(id).ReadAt.UTC())
	})
}

func TestACodeWithoutAPersonIsPassedOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.sent(b.known("crm-1", ""), channel.LaneSMS, delivery.Accepted)
		b.take("plugin", "CODE", b.codes.Code(id))
		require.Nil(t, b.get(id).ReturnedAt)
		require.Empty(t, b.callbacks()[0].Problem)
	})
}

func TestRepliesAreMarkedOnWhatTheyAnswer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"message", "quick_reply", "postback", "reaction"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("crm-1", ann)
				older, newer := b.sent(who, channel.Window, delivery.Accepted), b.sent(who, channel.OneTime, delivery.Accepted)
				texted := b.sent(who, channel.LaneSMS, delivery.Accepted)
				b.take("referral", "PSID", ann, "CODE", "no code of ours")
				require.Nil(t, b.get(newer).RepliedAt, "to come is not to reply")
				b.take(name)
				require.Equal(t, time.Minute, before(b.get(newer).RepliedAt))
				require.Nil(t, b.get(older).RepliedAt)
				require.Nil(t, b.get(texted).RepliedAt)
			})
		})
	}
}

func TestABodyWithSeveralEntriesIsAppliedWhole(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("evening")
		require.Equal(t, 5*time.Minute, b.window(ann))
		require.Equal(t, 590*time.Second, b.window(ben))
		require.Equal(t, map[string]int{"courses": 1}, b.grants(b.holder(ben)))
		require.Equal(t, noon.Add(-570*time.Second), b.address(b.elsewhere, eve).LastActionAt.UTC())
		require.Equal(t, 3, b.count("contacts"))
		got := b.callbacks()[0]
		require.Equal(t, noon, got.AppliedAt.UTC())
		require.Equal(t, 7, got.Events)
		require.Empty(t, got.Problem)
	})
}

func TestAPageThatIsNotOursIsPassedOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("unknown_page")
		require.Equal(t, time.Minute, b.window(ann))
		require.Equal(t, 1, b.count("messenger_addresses"))
		require.NotNil(t, b.callbacks()[0].AppliedAt)
		require.Empty(t, b.callbacks()[0].Problem)
	})
}

// TestOrderAndRepetitionDoNotMatter applies many fixtures, in the order of time
// and against it, and all of them once more.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	t.Parallel()
	names := []string{"evening", "message", "start", "optin", "optin_again", "echo", "read", "referral", "delivered_up_to", "reaction"}
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	for order, names := range map[string][]string{"forwards": names, "backwards": backwards} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				who := b.known("crm-1", "")
				texted := b.sent(who, channel.LaneSMS, delivery.Accepted)
				unknown := b.sent(b.known("crm-2", eve), channel.Window, delivery.Unknown)
				for _, name := range names {
					b.take(name, "PSID", ann, "CODE", b.codes.Code(texted), "MARK", b.marks.Code(unknown), "PAYLOAD", "courses", "TOKEN", "otn-1")
				}
				require.Equal(t, time.Minute, b.window(ann))
				require.Equal(t, who, b.holder(ann))
				require.Equal(t, map[string]int{"courses": 1}, b.grants(who))
				require.Equal(t, delivery.Accepted, b.get(unknown).State)
				require.Equal(t, time.Minute, before(b.get(texted).ReturnedAt))
				require.Equal(t, 4, b.count("contacts"))
				world := b.world()
				b.again()
				require.Equal(t, world, b.world())
			})
		})
	}
}

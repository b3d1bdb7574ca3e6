package privacy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/privacy"
	"beckon/internal/queue"
)

func TestWhoAsksInTheChatIsErasedAndToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ben := b.person("ben", "psid-2")
		b.sender.during = func() {
			require.Equal(t, "sending", b.wish().Answer, "written down before the call")
			require.Equal(t, privacy.Done, b.wish().State, "told only when it is done")
		}
		wish := b.says("Delete my data!")
		b.hear(wish)
		require.Equal(t, privacy.Received, b.wish().State)
		b.drain()
		_, err := b.contacts.Get(t.Context(), b.ann)
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = b.contacts.Get(t.Context(), ben)
		require.NoError(t, err, "nobody else is")
		require.Equal(t, 1, b.count("suppressions"), "what she opted out of stays silent")
		require.Equal(t, 1, b.count("events WHERE type = 'contact.erased' AND contact_id IS NOT NULL"))

		got := b.sim.Received(graphPage, "psid-1")
		require.Len(t, got, 1)
		require.Equal(t, "Done: what we kept about you has been deleted. You can check it here: https://go.example.com/deletion/"+b.wish().Code, got[0].Text)
		stands, err := b.ByCode(t.Context(), b.wish().Code)
		require.NoError(t, err)
		require.Equal(t, privacy.Done, stands.State)
		require.Equal(t, "sent", stands.Answer)

		b.hear(wish) // told again: the same wish
		b.advance(2 * time.Hour)
		b.drain()
		require.Len(t, b.sim.Received(graphPage, "psid-1"), 1)
		require.Nil(t, b.wish().Person, "nothing says any more who it was")
		b.hear(wish) // and again, long after
		b.drain()
		require.Len(t, b.sim.Received(graphPage, "psid-1"), 1)
		require.Nil(t, b.wish().Person)
		require.Equal(t, 1, b.count("contacts"), "a wish told late makes nobody again")
		for _, private := range []string{"psid-1", "ann", "example.com/deletion"} {
			require.NotContains(t, b.logs.b.String(), private)
		}
	})
}

func TestAnEventTellsTheCRMWhoWasErased(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, b.contacts.Erase(t.Context(), b.ann))
		require.Equal(t, 1, b.count(`events WHERE type = 'contact.erased' AND CAST(data AS text) LIKE '%external_id%ann%'`))
		mail := b.person("ann+1", "psid-2")
		require.NoError(t, b.contacts.Erase(t.Context(), mail))
		require.Zero(t, b.count(`events WHERE CAST(data AS text) LIKE '%ann+1%'`), "what may be an address is not told")
	})
}

func TestWhatIsMeantAsTheWish(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	b := setup(t, d)
	at := 0
	asks := func(text string) bool {
		at++
		ev := b.says(text)
		ev.MID = "m_" + uuid.NewString()
		before := b.count("deletions")
		b.hear(ev)
		return b.count("deletions") > before
	}
	for _, yes := range []string{"delete my data", "  DELETE   my\nDATA!! ", "“Delete my data.”", "Bitte lösche meine Daten", "BITTE LO\u0308SCHE MEINE DATEN", "supprimer mes donnees",
		"Usuń moje dane", "удалите мои данные", "ВИДАЛІТЬ МОЇ ДАНІ", "データを削除してください。", "내 데이터를 삭제해 주세요", "删除我的数据", "احذف بياناتي", "मेरा डेटा हटाएं", "begone"} {
		require.True(t, asks(yes), yes)
	}
	for _, no := range []string{"", "delete", "data", "Can you delete my data?", "do not delete my data", "delete my date", "STOP", "begone foul dwimmerlaik", strings.Repeat("delete my data ", 100)} {
		require.False(t, asks(no), no)
	}
}

// A PSID is a person on one page only.
func TestTheSamePSIDOnAnotherPageIsSomebodyElse(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		here := b.page
		elsewhere, err := b.pages.Create(t.Context(), page.Draft{FacebookPageID: "1002", Name: "Shop", AccessToken: "other-token"})
		require.NoError(t, err)
		b.page = elsewhere.ID
		ben := b.person("ben", "psid-1")
		b.page = here
		b.hear(b.says("delete my data"))
		b.drain()
		require.Equal(t, privacy.Done, b.wish().State)
		_, err = b.contacts.Get(t.Context(), b.ann)
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = b.contacts.Get(t.Context(), ben)
		require.NoError(t, err)
	})
}

func TestWhoseWishItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(ev *channel.Event)
		taken  bool
	}{
		"said in another app's thread":   {func(ev *channel.Event) { ev.Kind = channel.EventStandby }, true},
		"said there by a stranger":       {func(ev *channel.Event) { ev.Kind, ev.PSID = channel.EventStandby, "psid-2" }, false},
		"said there by the other app":    {func(ev *channel.Event) { ev.Kind, ev.App = channel.EventStandby, "5" }, false},
		"said there by who is not named": {func(ev *channel.Event) { ev.Kind, ev.ProviderIDs = channel.EventStandby, []string{"m_1"} }, false},
		"said by us":                     {func(ev *channel.Event) { ev.Kind = channel.EventEcho }, false},
		"tapped as a quick reply":        {func(ev *channel.Event) { ev.QuickReply, ev.Payload = true, "DELETE" }, true},
		"nobody":                         {func(ev *channel.Event) { ev.Kind, ev.PSID = channel.EventStandby, "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			ev := b.says("delete my data")
			c.change(&ev)
			b.hear(ev)
			require.Equal(t, c.taken, b.count("deletions") == 1)
			b.drain()
			_, err := b.contacts.Get(t.Context(), b.ann)
			require.Equal(t, c.taken, err != nil)
		})
	}
}

func TestAWishInAnothersThreadIsHonouredInSilence(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_ = b.sim.HandOver(t.Context(), graphPage, "psid-1", "5") // nobody is there to be told
		ev := b.says("delete my data")
		ev.Kind = channel.EventStandby
		b.hear(ev)
		b.drain()
		require.Equal(t, privacy.Done, b.wish().State)
		require.Equal(t, "failed", b.wish().Answer, "Graph lets nobody but the holder speak, and it is not tried again")
		require.Equal(t, int32(1), b.sender.calls.Load())
		require.Empty(t, b.sim.Received(graphPage, "psid-1"))
	})
}

func TestWhatBecomesOfTellingThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer channel.Result
		want   string
		calls  int32
	}{
		"refused":     {channel.Result{Outcome: channel.Refused}, "failed", 1},
		"gone":        {channel.Result{Outcome: channel.Gone}, "failed", 1},
		"not known":   {channel.Result{Outcome: channel.Unknown}, "unknown", 1},
		"for an hour": {channel.Result{Outcome: channel.TryLater, RetryAfter: 20 * time.Minute}, "failed", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d)
				b.sender.answer = &c.answer
				b.hear(b.says("delete my data"))
				for range 12 {
					b.drain()
					b.advance(10 * time.Minute)
				}
				require.Equal(t, c.want, b.wish().Answer)
				require.Equal(t, c.calls, b.sender.calls.Load())
				require.Equal(t, privacy.Done, b.wish().State)
			})
		})
	}
}

// TestAnAnswerThatWasCutOffIsNotSentAgain has the node end while it tells.
func TestAnAnswerThatWasCutOffIsNotSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.hear(b.says("delete my data"))
		ctx, cancel := context.WithCancel(t.Context())
		b.sender.during = func() {
			cancel()
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return tx.Exec("UPDATE deletions SET answer = 'sending'").Error
			}))
		}
		_ = b.queue.Drain(ctx, b.now())
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { // as if the end had not been written down
			if err := tx.Exec("UPDATE deletions SET answer = 'sending'").Error; err != nil {
				return err
			}
			return b.queue.Insert(t.Context(), tx, queue.Order{Args: privacy.Job{Deletion: b.wish().ID}})
		}))
		b.drain()
		require.Equal(t, "unknown", b.wish().Answer)
		require.Equal(t, int32(1), b.sender.calls.Load())
	})
}

func TestTheSweepSparesWhoCameBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		early := channel.Event{Kind: channel.EventMessage, PSID: "psid-1", MID: "m_0", Text: "Hello", At: b.now().Add(-time.Minute)}
		b.hear(b.says("delete my data"))
		b.drain()
		require.Zero(t, b.count("contacts"))
		b.hear(early) // a callback that was late
		require.Equal(t, 1, b.count("contacts"))
		b.advance(2 * time.Hour)
		b.drain()
		require.Zero(t, b.count("contacts"))

		b.hear(b.says("Delete my data"))
		b.drain()
		b.advance(time.Minute)
		b.hear(b.says("Hello again"))
		b.advance(3 * time.Hour)
		b.drain()
		require.Equal(t, 1, b.count("contacts"), "who came back is not gone")
	})
}

func TestFacebooksCallbackErasesWhoGraphNames(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Identify("218471", graphPage, "psid-1")
		code, err := b.Request(t.Context(), signed("218471", 1))
		require.NoError(t, err)
		again, err := b.Request(t.Context(), signed("218471", 1))
		require.NoError(t, err)
		require.Equal(t, code, again, "the same request is the same wish")
		require.Len(t, code, 26)
		require.NotContains(t, string(b.wish().Person), "218471")
		b.drain()
		_, err = b.contacts.Get(t.Context(), b.ann)
		require.True(t, fault.Is(err, fault.NotFound))
		stands, err := b.ByCode(t.Context(), code)
		require.NoError(t, err)
		require.Equal(t, privacy.Done, stands.State)
		require.Equal(t, noon, stands.FinishedAt.UTC())
		require.Nil(t, stands.Person)
		require.Zero(t, b.sender.calls.Load(), "they did not ask in the chat")

		other, err := b.Request(t.Context(), signed("218471", 2))
		require.NoError(t, err)
		require.NotEqual(t, code, other)
		b.drain()
		stands, err = b.ByCode(t.Context(), other)
		require.NoError(t, err)
		require.Equal(t, privacy.Nothing, stands.State)
	})
}

func TestAUserIDThatIsAPSIDIsFoundWithoutGraph(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.PSIDs = nil
		_, err := b.Request(t.Context(), signed("psid-1", 1))
		require.NoError(t, err)
		b.drain()
		require.Equal(t, privacy.Done, b.wish().State)
		require.Zero(t, b.count("contacts"))
	})
}

func TestGraphIsAskedForADay(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		asked := 0
		b.PSIDs = func(context.Context, string) (map[string]string, channel.Result) {
			asked++
			return nil, channel.Result{Outcome: channel.Unknown}
		}
		_, err := b.Request(t.Context(), signed("psid-1", 1))
		require.NoError(t, err)
		for range 3 {
			b.drain()
			require.Equal(t, privacy.Received, b.wish().State)
			b.advance(10 * time.Minute)
		}
		require.Equal(t, 3, asked)
		b.advance(24 * time.Hour)
		b.drain()
		require.Equal(t, privacy.Done, b.wish().State, "then what is known must do")
	})
}

func TestWhatIsNotSignedErasesNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	for _, text := range []string{"", "x.y", signed("psid-1", 1) + "x", strings.Replace(signed("psid-1", 1), ".", ".e", 1)} {
		_, err := b.Request(t.Context(), text)
		require.True(t, fault.Is(err, fault.Forbidden), "%v", err)
	}
	require.Zero(t, b.count("deletions"))
	b.Signed = nil
	_, err := b.Request(t.Context(), signed("psid-1", 1))
	require.True(t, fault.HasCode(err, "channel_absent"), "%v", err)
	_, err = b.ByCode(t.Context(), "made-up")
	require.True(t, fault.Is(err, fault.NotFound))
}

// TestAWishIsKeptWithItsJob takes the queue's table away: without a job there
// must be no wish either, so that Facebook comes again.
func TestAWishIsKeptWithItsJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("ALTER TABLE river_job RENAME TO river_job_away").Error }))
		_, err := b.Request(t.Context(), signed("psid-1", 1))
		require.Error(t, err)
		require.Zero(t, b.count("deletions"))
	})
}

func TestOldDeletionsAreForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, err := b.Request(t.Context(), signed("1", 1))
		require.NoError(t, err)
		b.advance(200 * 24 * time.Hour)
		_, err = b.Request(t.Context(), signed("2", 1))
		require.NoError(t, err)
		b.advance(200 * 24 * time.Hour)
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return b.queue.Insert(t.Context(), tx, queue.Order{Args: privacy.PurgeJob{}})
		}))
		b.drain()
		require.Equal(t, 1, b.count("deletions"))
	})
}

func TestOthersMayAskWhetherSomebodyAsks(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	for text, asks := range map[string]bool{"Delete my data!": true, "Hello": false, "How do I delete my data?": false} {
		require.Equal(t, asks, b.Asks(channel.Event{Kind: channel.EventMessage, PSID: "psid-1", Text: text}), text)
	}
}

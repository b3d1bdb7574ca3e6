package contact_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

const annsPhone = "+14155552671"

func (b *bundle) unsilence(list ...contact.Silence) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error { return b.Unsilence(b.t.Context(), tx, list) })
}

func sms(reason string) contact.Silence {
	return contact.Silence{Channel: channel.SMS, Address: annsPhone, Reason: reason, Source: "twilio"}
}

func TestUnsilenceLiftsOneReasonAndLeavesTheOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Phone: text(annsPhone), SMSConsent: yes(ago(time.Hour))})
		given := b.get(ann.ID).SMSConsent
		mail := contact.Silence{Channel: channel.Email, Address: "ann@example.com", Reason: contact.ReasonStop}
		b.suppress(sms(contact.ReasonStop), sms(contact.ReasonStop), sms(contact.ReasonManual), sms(contact.ReasonUndeliverable), mail)
		require.Equal(t, 4, b.count("suppressions"))
		require.Equal(t, contact.Unsubscribed, b.get(ann.ID).SMSConsent.Status)

		b.unsilence(sms(contact.ReasonUnsubscribe))
		require.Equal(t, 4, b.count("suppressions"), "nothing had been said by that word")
		require.Equal(t, contact.Unsubscribed, b.get(ann.ID).SMSConsent.Status)

		for range 2 {
			b.unsilence(sms(contact.ReasonStop), sms(contact.ReasonStop))
			require.Equal(t, 3, b.count("suppressions"))
			require.Equal(t, given, b.get(ann.ID).SMSConsent, "as it was, with its time and source")
		}
		require.True(t, b.suppressed(channel.SMS, annsPhone), "the bounce and the operator's word stand")
		require.True(t, b.suppressed(channel.Email, "ann@example.com"), "another channel is never touched")
	})
}

func TestUnsilencePutsBackOnlyWhatTheRefusalTookAway(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		status := func(id contact.Contact) string { return b.get(id.ID).SMSConsent.Status }
		said, _ := b.upsert(contact.Draft{Phone: text("+14155552672"), SMSConsent: no(ago(time.Hour))})
		never, _ := b.upsert(contact.Draft{Phone: text("+14155552673")})
		again, _ := b.upsert(contact.Draft{Phone: text("+14155552674"), SMSConsent: yes(ago(time.Hour))})
		angry, _ := b.upsert(contact.Draft{Phone: text("+14155552675"), SMSConsent: yes(ago(time.Hour))})
		moved, _ := b.upsert(contact.Draft{Phone: text("+14155552676"), SMSConsent: yes(ago(time.Hour))})
		of := func(c contact.Contact, reason string) contact.Silence {
			return contact.Silence{Channel: channel.SMS, Address: c.Phone, Reason: reason}
		}
		all := []contact.Silence{of(said, "stop"), of(never, "stop"), of(again, "stop"), of(angry, "stop"), of(angry, "complaint"), of(moved, "stop")}
		b.suppress(all...)
		b.pass(time.Minute)
		_, err := b.Patch(t.Context(), again.ID, contact.Draft{SMSConsent: contact.Of(contact.Consent{Status: contact.Unsubscribed, At: ptr(b.now()), Source: "desk"})})
		require.NoError(t, err)
		_, err = b.Patch(t.Context(), moved.ID, contact.Draft{Phone: text("+14155552677")})
		require.NoError(t, err)
		b.pass(time.Minute)
		b.unsilence(of(said, "stop"), of(never, "stop"), of(again, "stop"), of(angry, "stop"), of(moved, "stop"))
		require.Equal(t, contact.Unsubscribed, status(said), "they had said no before")
		require.Empty(t, b.get(never.ID).SMSConsent, "nobody ever asked them")
		require.Equal(t, contact.Unsubscribed, status(again), "they said no a second time, elsewhere")
		require.Equal(t, contact.Unsubscribed, status(angry), "the complaint stands")
		require.Equal(t, contact.Unsubscribed, status(moved), "whoever has the old number now does not speak for them")

		b.unsilence(of(angry, "complaint"), contact.Silence{Channel: channel.SMS, ContactID: moved.ID, Reason: "stop"})
		require.Equal(t, contact.Subscribed, status(angry), "nothing stands any more")
		require.Equal(t, contact.Subscribed, status(moved), "from the new number it is their word")
		require.Zero(t, b.count("suppressions"))
	})
}

func ptr[T any](v T) *T { return &v }

// TestTheLatestWordHoldsInAnyOrder: however often and in whatever order STOP and
// START are told, the one that was said last holds, of both at once the STOP.
func TestTheLatestWordHoldsInAnyOrder(t *testing.T) {
	t.Parallel()
	type word struct {
		minute int
		stop   bool
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		rapid.Check(t, func(rt *rapid.T) {
			said := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) word {
				return word{rapid.IntRange(1, 4).Draw(t, "minute"), rapid.Bool().Draw(t, "stop")}
			}), 1, 4).Draw(rt, "said")
			ann, _, err := b.Upsert(b.t.Context(), contact.Draft{Phone: text(annsPhone), SMSConsent: yes(ago(24 * time.Hour))})
			require.NoError(rt, err)
			told := rapid.SliceOfN(rapid.SampledFrom(said), 0, 4).Draw(rt, "told again")
			last := word{}
			for _, w := range rapid.Permutation(append(told, said...)).Draw(rt, "order") {
				one := sms(contact.ReasonStop)
				one.At = noon.Add(-time.Hour).Add(time.Duration(w.minute) * time.Minute)
				work := b.Unsilence
				if w.stop {
					work = b.Suppress
				}
				require.NoError(rt, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return work(b.t.Context(), tx, []contact.Silence{one}) }))
			}
			for _, w := range said {
				if w.minute > last.minute || w.minute == last.minute && w.stop {
					last = w
				}
			}
			is, err := b.IsSuppressed(b.t.Context(), channel.SMS, annsPhone)
			require.NoError(rt, err)
			require.Equal(rt, last.stop, is)
			c, err := b.Get(b.t.Context(), ann.ID)
			require.NoError(rt, err)
			require.Equal(rt, last.stop, c.SMSConsent.Status == contact.Unsubscribed)
			for _, table := range []string{"contacts", "suppressions", "lifts"} {
				require.NoError(rt, b.d.Transact(b.t.Context(), func(tx *db.Tx) error { return tx.Exec("DELETE FROM " + table).Error }))
			}
		})
	})
}

package contact_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func (b *bundle) suppress(list ...contact.Silence) {
	b.t.Helper()
	b.inTx(func(tx *db.Tx) error { return b.Suppress(b.t.Context(), tx, list) })
}

func (b *bundle) suppressed(kind channel.Kind, address string) bool {
	b.t.Helper()
	is, err := b.IsSuppressed(b.t.Context(), kind, address)
	require.NoError(b.t, err)
	return is
}

func TestSuppressIsIdempotentAndWritesTheOptOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Email: text("ann@example.com"), Phone: text("+14155552671"), SMSConsent: yes(nil), EmailConsent: yes(nil)})
		bob, _ := b.upsert(contact.Draft{Email: text("bob@example.com"), EmailConsent: yes(nil)})
		eve, _ := b.upsert(contact.Draft{Email: text("eve@example.com"), EmailConsent: yes(nil)})
		b.pass(time.Minute)
		for range 2 {
			b.suppress(
				contact.Silence{Channel: channel.SMS, Address: "(415) 555-2671", Reason: contact.ReasonStop, Source: "twilio"},
				contact.Silence{Channel: channel.Email, Address: "Bob@example.com", Reason: contact.ReasonBounce},
				contact.Silence{Channel: channel.Email, ContactID: ann.ID, Reason: contact.ReasonUnsubscribe},
				contact.Silence{Channel: channel.Email, Hash: b.box.Hash("email", "eve@example.com"), Reason: contact.ReasonComplaint},
				contact.Silence{Channel: channel.SMS, Address: "SHORTCODE", Reason: contact.ReasonStop},
				contact.Silence{Channel: channel.SMS, ContactID: bob.ID, Reason: contact.ReasonStop},
				contact.Silence{Channel: channel.Email, ContactID: uuid.Must(uuid.NewV7()), Reason: contact.ReasonUnsubscribe},
			)
			b.pass(time.Minute)
		}
		require.Equal(t, 5, b.count("suppressions"))
		require.True(t, b.suppressed(channel.SMS, "+14155552671"))
		require.True(t, b.suppressed(channel.Email, "ANN@example.com"))
		require.True(t, b.suppressed(channel.SMS, "SHORTCODE"))
		require.False(t, b.suppressed(channel.Email, "new@example.com"))

		at := noon.Add(time.Minute)
		sms := b.get(ann.ID).SMSConsent
		require.Equal(t, contact.Unsubscribed+" twilio stop", sms.Status+" "+sms.Source+" "+sms.Evidence)
		require.True(t, at.Equal(*sms.At), "the first time counts")
		require.Equal(t, contact.Unsubscribed, b.get(ann.ID).EmailConsent.Status)
		require.Equal(t, contact.Unsubscribed, b.get(eve.ID).EmailConsent.Status)
		require.Equal(t, contact.Subscribed, b.get(bob.ID).EmailConsent.Status, "a bounce is nobody's word")
		require.Equal(t, contact.Unsubscribed, b.get(bob.ID).SMSConsent.Status, "a word without an address still counts")
	})
}

func TestSuppressionsAreListedAndLifted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		one, isNew, err := b.SuppressOne(t.Context(), contact.Silence{Channel: channel.SMS, Address: "+14155552671", Reason: contact.ReasonManual})
		require.NoError(t, err)
		require.True(t, isNew)
		again, isNew, err := b.SuppressOne(t.Context(), contact.Silence{Channel: channel.SMS, Address: "415 555 2671", Reason: contact.ReasonManual})
		require.NoError(t, err)
		require.False(t, isNew)
		require.Equal(t, one, again)
		two, _, err := b.SuppressOne(t.Context(), contact.Silence{Channel: channel.Email, Address: "ann@example.com", Reason: contact.ReasonManual})
		require.NoError(t, err)
		_, _, err = b.SuppressOne(t.Context(), contact.Silence{Channel: channel.Email, Address: "nonsense"})
		require.Equal(t, []string{"/address bad_address"}, pointers(t, err))
		_, _, err = b.SuppressOne(t.Context(), contact.Silence{Channel: channel.Messenger, Address: "ann@example.com"})
		require.Equal(t, []string{"/channel bad_channel"}, pointers(t, err))

		list := func(kind channel.Kind, address string, after uuid.UUID) (ids []uuid.UUID, next uuid.UUID) {
			rows, next, err := b.Suppressions(t.Context(), contact.SuppressionFilter{Channel: kind, Address: address}, after, 1)
			require.NoError(t, err)
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			return ids, next
		}
		ids, next := list("", "", uuid.Nil)
		require.Equal(t, []uuid.UUID{two.ID}, ids)
		ids, next = list("", "", next)
		require.Equal(t, []uuid.UUID{one.ID}, ids)
		require.Equal(t, uuid.Nil, next)
		ids, _ = list(channel.SMS, "", uuid.Nil)
		require.Equal(t, []uuid.UUID{one.ID}, ids)
		ids, _ = list("", "Ann@example.com", uuid.Nil)
		require.Equal(t, []uuid.UUID{two.ID}, ids)

		require.NoError(t, b.Lift(t.Context(), one.ID))
		require.False(t, b.suppressed(channel.SMS, "+14155552671"))
		require.True(t, fault.Is(b.Lift(t.Context(), one.ID), fault.NotFound))
	})
}

func TestEraseLeavesNothingButSilence(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Email: text("ann@example.com"), Phone: text("+14155552671"), SMSConsent: no(nil), EmailConsent: yes(nil), Messenger: b.on("p1")})
		require.NoError(t, b.Erase(t.Context(), ann.ID))
		require.Zero(t, b.count("contacts"))
		require.Zero(t, b.count("messenger_addresses"))
		require.True(t, b.suppressed(channel.SMS, "+14155552671"), "importing the person again must not undo the opt-out")
		require.False(t, b.suppressed(channel.Email, "ann@example.com"))
		require.True(t, fault.Is(b.Erase(t.Context(), ann.ID), fault.NotFound))
	})
}

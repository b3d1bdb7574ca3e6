package contact_test

import (
	"fmt"
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

// history is what the history of a contact says, oldest first.
func (b *bundle) history(id uuid.UUID) (out []string) {
	b.t.Helper()
	rows, next, err := b.Consents(b.t.Context(), id, 0, 100)
	require.NoError(b.t, err)
	require.Zero(b.t, next)
	for _, r := range rows {
		out = append([]string{fmt.Sprintf("%s %s %s %s %s", r.Channel, r.How, r.Status, r.Source, r.Evidence)}, out...)
	}
	return out
}

func TestEveryChangeOfAConsentIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		said := contact.Of(contact.Consent{Status: contact.Subscribed, Source: "form", Evidence: "box 3", At: ago(time.Hour)})
		ann, _ := b.upsert(contact.Draft{ExternalID: text("ann"), Phone: text(annsPhone), SMSConsent: said, EmailConsent: no(nil)})
		b.upsert(contact.Draft{ExternalID: text("ann"), SMSConsent: said, FirstName: text("Ann")})
		b.upsert(contact.Draft{ExternalID: text("ann"), SMSConsent: no(ago(2 * time.Hour))})
		require.Len(t, b.history(ann.ID), 2, "what changes nothing is no change, and neither is an older word")

		b.suppress(sms(contact.ReasonStop))
		b.suppress(sms(contact.ReasonManual), sms(contact.ReasonStop))
		b.unsilence(sms(contact.ReasonStop))
		b.pass(time.Second)
		b.inTx(func(tx *db.Tx) error {
			return b.PatchIn(t.Context(), tx, ann.ID, contact.Draft{EmailConsent: contact.Of(contact.Consent{Status: contact.Subscribed, Source: "messenger", At: ptr(b.now())})})
		})
		_, err := b.Patch(t.Context(), ann.ID, contact.Draft{SMSConsent: contact.Null[contact.Consent]()})
		require.NoError(t, err)
		require.Equal(t, []string{"sms api subscribed form box 3", "email api unsubscribed api ", "sms refused unsubscribed twilio stop",
			"sms lifted subscribed form box 3", "email bot subscribed messenger ", "sms api   "}, b.history(ann.ID))

		first, next, err := b.Consents(t.Context(), ann.ID, 0, 4)
		require.NoError(t, err)
		rest, end, err := b.Consents(t.Context(), ann.ID, next, 4)
		require.NoError(t, err)
		require.Equal(t, []int{4, 2}, []int{len(first), len(rest)})
		require.Zero(t, end)

		require.NoError(t, b.Erase(t.Context(), ann.ID))
		require.Zero(t, b.count("consents"))
		_, _, err = b.Consents(t.Context(), ann.ID, 0, 4)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestTheHistoryOfAMergedContactMovesAlong(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		anonymous, _ := b.upsert(contact.Draft{Messenger: b.on("p1"), SMSConsent: yes(ago(time.Hour))})
		b.inTx(func(tx *db.Tx) error {
			_, err := b.UpsertMany(t.Context(), tx, []contact.Draft{
				{ExternalID: text("ann"), EmailConsent: no(ago(2 * time.Hour))},
				{Messenger: b.on("p2"), EmailConsent: yes(ago(time.Hour))},
				{ExternalID: text("ann"), Messenger: b.on("p1")},
			})
			return err
		})
		ann, made := b.upsert(contact.Draft{ExternalID: text("ann")})
		require.False(t, made)
		require.NotEqual(t, anonymous.ID, ann.ID)
		require.Equal(t, []string{"sms api subscribed api ", "email api unsubscribed api ", "sms merged subscribed api "}, b.history(ann.ID))
		require.Equal(t, 4, b.count("consents"))
	})
}

// events tells what was told of suppressions, oldest first.
func (b *bundle) events() (out []string) {
	b.t.Helper()
	var rows []struct {
		Type      string
		ContactID *uuid.UUID
		Data      string
	}
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT type, contact_id, data FROM events WHERE type LIKE 'suppression.%' ORDER BY id").Scan(&rows).Error)
	for _, r := range rows {
		require.NotContains(b.t, r.Data, "5552671")
		require.Contains(b.t, r.Data, "suppression_id")
		held := "nobody"
		if r.ContactID != nil {
			held = r.ContactID.String()
		}
		out = append(out, r.Type+" "+held)
	}
	return out
}

func TestEventsTellWhoseAddressIsSilentWithoutNamingIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Phone: text(annsPhone)})
		other := contact.Silence{Channel: channel.SMS, Address: "+14155552672", Reason: contact.ReasonManual}
		b.suppress(sms(contact.ReasonStop), other)
		b.suppress(sms(contact.ReasonStop))
		b.pass(time.Second)
		b.unsilence(sms(contact.ReasonStop), other)
		b.unsilence(sms(contact.ReasonStop))
		hers := []string{"suppression.added " + ann.ID.String(), "suppression.lifted " + ann.ID.String()}
		require.Equal(t, hers, b.events())

		b.pass(time.Second)
		for range 2 {
			_, _, err := b.SuppressOne(t.Context(), other)
			require.NoError(t, err)
		}
		b.pass(time.Second)
		require.NoError(t, b.LiftOne(t.Context(), other))
		require.True(t, fault.Is(b.LiftOne(t.Context(), other), fault.NotFound))
		require.Equal(t, append(hers, "suppression.added nobody", "suppression.lifted nobody"), b.events())
	})
}

func TestWhatAnOperatorLiftsDoesNotComeBackWithOldNews(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Phone: text(annsPhone), SMSConsent: yes(ago(time.Hour))})
		stop := sms(contact.ReasonStop)
		stop.At = b.now()
		b.suppress(stop)
		b.pass(time.Minute)
		rows, _, err := b.Suppressions(t.Context(), contact.SuppressionFilter{Reason: contact.ReasonStop}, uuid.Nil, 10)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.NoError(t, b.Lift(t.Context(), rows[0].ID))
		require.Equal(t, contact.Unsubscribed, b.get(ann.ID).SMSConsent.Status, "only the person can give a consent back")
		b.suppress(stop)
		require.False(t, b.suppressed(channel.SMS, annsPhone), "the same STOP, told once more")
		stop.At = b.now()
		b.suppress(stop)
		require.True(t, b.suppressed(channel.SMS, annsPhone), "a new one")
	})
}

package contact_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

// agreed is an import of people who all agreed to SMS at a fair.
func agreed(f contact.Format) contact.ImportOptions {
	return contact.ImportOptions{Format: f, ConsentSMS: contact.Subscribed, ConsentSource: "fair", ConsentEvidence: "form 7"}
}

// smsOf tells what the contact with an external id said of SMS.
func (b *bundle) smsOf(external string) string {
	b.t.Helper()
	c := b.find(contact.Filter{ExternalID: external}).SMSConsent
	return strings.TrimSpace(c.Status + " " + c.Source + " " + c.Evidence)
}

func TestWhoSaysNothingHasAgreedOnlyWhereTheCallSaysSo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.upsert(contact.Draft{ExternalID: text("out"), Phone: text("+14155552681"), SMSConsent: no(ago(time.Hour))})
		b.upsert(contact.Draft{ExternalID: text("in"), Phone: text("+14155552682"), SMSConsent: yes(ago(time.Hour))})
		for i, reason := range []string{contact.ReasonStop, contact.ReasonComplaint, contact.ReasonUndeliverable} {
			b.suppress(contact.Silence{Channel: channel.SMS, Address: "+1415555268" + string(rune('3'+i)), Reason: reason})
		}
		lines := []string{
			`{"external_id":"new","phone":"+14155552680"}`,
			`{"external_id":"out"}`, `{"external_id":"in","phone":"+14155552682"}`,
			`{"external_id":"stopped","phone":"+14155552683"}`, `{"external_id":"complained","phone":"+14155552684"}`, `{"external_id":"bounced","phone":"+14155552685"}`,
			`{"external_id":"says","phone":"+14155552686","consents":{"sms":{"status":"unsubscribed","source":"shop"}}}`,
			`{"external_id":"null","phone":"+14155552687","consents":{"sms":null}}`,
			`{"external_id":"silent","email":"silent@example.com"}`,
			`{"external_id":"twice","phone":"+14155552688"}`, `{"external_id":"twice","consents":{"sms":{"status":"unsubscribed"}}}`, `{"external_id":"twice","phone":"+14155552688"}`,
		}
		b.ndjson(lines...)
		require.Empty(t, b.smsOf("new"), "nothing was said, and nothing was named")
		b.exec("DELETE FROM contacts WHERE external_id NOT IN ('in', 'out')")
		for range 2 {
			require.Zero(t, b.imports(strings.Join(lines, "\n"), agreed(contact.NDJSON)).Refused)
			for external, want := range map[string]string{"new": "subscribed fair form 7", "out": "unsubscribed api", "in": "subscribed api",
				"stopped": "", "complained": "", "bounced": "subscribed fair form 7", "says": "unsubscribed shop", "null": "",
				"silent": "", "twice": "unsubscribed fair"} {
				require.Equal(t, want, b.smsOf(external), external)
			}
			require.Empty(t, b.find(contact.Filter{ExternalID: "silent"}).EmailConsent.Status, "e-mail was not named")
		}
		require.True(t, b.suppressed(channel.SMS, "+14155552685"))
		require.Equal(t, []string{"sms import subscribed fair form 7"}, b.history(b.find(contact.Filter{ExternalID: "new"}).ID))
	})
}

func TestCellsThatAreNoAnswerAreNoAgreementEither(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	lines := []string{"external_id,phone,SMS opt-in,SMS opt-out,consents.sms.evidence",
		"nothing,+14155552680,,,", "yes,+14155552681,yes,,", "no,+14155552682,no,,", "perhaps,+14155552683,perhaps,,",
		"in,+14155552684,,no,", "out,+14155552685,,yes,", "odd,+14155552686,,later,", "half,+14155552687,,,a form"}
	require.Zero(t, b.imports(strings.Join(lines, "\n"), agreed(contact.CSV)).Refused)
	for external, want := range map[string]string{"nothing": "subscribed fair form 7", "yes": "subscribed fair", "no": "unsubscribed fair", "perhaps": "",
		"in": "subscribed fair form 7", "out": "unsubscribed fair", "odd": "", "half": ""} {
		require.Equal(t, want, b.smsOf(external), external)
	}
}

func TestAConsentForAllNeedsItsSourceAndEvidence(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	for _, tt := range []struct {
		spoil func(*contact.ImportOptions)
		want  []string
	}{
		{func(o *contact.ImportOptions) { o.ConsentSource = " " }, []string{"/consent_source required"}},
		{func(o *contact.ImportOptions) { o.ConsentEvidence = "" }, []string{"/consent_evidence required"}},
		{func(o *contact.ImportOptions) { o.ConsentSMS = "yes" }, []string{"/consent_sms bad_consent"}},
		{func(o *contact.ImportOptions) { o.ConsentEmail = contact.Unsubscribed }, []string{"/consent_email bad_consent"}},
		{func(o *contact.ImportOptions) { o.ConsentSMS = "" }, []string{"/consent_evidence no_default"}},
		{func(o *contact.ImportOptions) { o.ConsentEvidence = strings.Repeat("x", 2001) }, []string{"/consent_evidence too_long"}},
	} {
		o := agreed(contact.NDJSON)
		tt.spoil(&o)
		_, err := b.Receive(t.Context(), strings.NewReader("{}"), o)
		require.Equal(t, tt.want, pointers(t, err))
	}
	require.Zero(t, b.count("imports"))
}

// TestAnOptOutOfWhateverTimeUndoesAYesThatToldNone: which of the two comes first
// makes no difference, nor who tells it.
func TestAnOptOutOfWhateverTimeUndoesAYesThatToldNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		said := []string{`{"external_id":"1","phone":"+14155552681"}`, `{"external_id":"1","consents":{"sms":{"status":"unsubscribed","at":"2025-01-31T00:00:00Z"}}}`}
		for _, i := range []int{0, 1} {
			b.imports(said[i]+"\n"+said[1-i], agreed(contact.NDJSON))
			require.Equal(t, "unsubscribed fair", b.smsOf("1"))
			b.exec("DELETE FROM contacts")
			b.imports(said[i], agreed(contact.NDJSON))
			b.pass(time.Minute)
			b.imports(said[1-i], agreed(contact.NDJSON))
			require.Equal(t, "unsubscribed fair", b.smsOf("1"))
			b.exec("DELETE FROM contacts")
		}
		b.imports(said[0], agreed(contact.NDJSON))
		before := b.find(contact.Filter{ExternalID: "1"}).SMSConsent
		require.True(t, before.Undated)
		stop := contact.Silence{Channel: channel.SMS, Address: "+14155552681", Reason: contact.ReasonStop, At: noon.AddDate(-1, 0, 0)}
		b.suppress(stop)
		require.Equal(t, "unsubscribed stop stop", b.smsOf("1"), "a STOP from before the file")
		stop.At = time.Time{}
		b.unsilence(stop)
		require.Equal(t, before, b.find(contact.Filter{ExternalID: "1"}).SMSConsent)
		_, err := b.Patch(t.Context(), b.find(contact.Filter{ExternalID: "1"}).ID, contact.Draft{SMSConsent: yes(ptr(b.now()))})
		require.NoError(t, err)
		require.False(t, b.find(contact.Filter{ExternalID: "1"}).SMSConsent.Undated, "a yes with its time is one that holds against older ones")
	})
}

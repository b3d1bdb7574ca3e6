package contact_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

// complaints upserts a draft that must be refused.
func (b *bundle) complaints(d contact.Draft) []string {
	b.t.Helper()
	d.ExternalID = text("limits")
	_, _, err := b.Upsert(b.t.Context(), d)
	require.Error(b.t, err)
	return pointers(b.t, err)
}

func attributes(n int) map[string]any {
	out := map[string]any{}
	for i := range n {
		out[fmt.Sprint("k", i)] = i
	}
	return out
}

func TestAttributesHaveLimits(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.Equal(t, []string{"/attributes too_large"}, b.complaints(contact.Draft{Attributes: attributes(101)}))
		for name, v := range map[string]any{
			"nan": math.NaN(), "number": json.RawMessage("1e999"), "nul": "a\x00", "bytes": "\xff", "broken": json.RawMessage("{"),
			"two": json.RawMessage("1 2"), "key": map[string]any{"a\x07": 1}, "list": []any{"\x00"},
		} {
			require.Equal(t, []string{"/attributes/" + name + " bad_attribute"}, b.complaints(contact.Draft{Attributes: map[string]any{name: v}}), name)
		}
		require.Equal(t, []string{"/attributes/ bad_attribute"}, b.complaints(contact.Draft{Attributes: map[string]any{"": 1}}))
		require.Equal(t, []string{"/attributes/" + strings.Repeat("n", 200) + " bad_attribute"}, b.complaints(contact.Draft{Attributes: map[string]any{strings.Repeat("n", 201): 1}}))

		c, _ := b.upsert(contact.Draft{ExternalID: text("limits"), Attributes: attributes(100)})
		require.Equal(t, []string{"/attributes too_large"}, b.complaints(contact.Draft{Attributes: map[string]any{"one more": 1}}))
		got, _ := b.upsert(contact.Draft{ExternalID: text("limits"), Attributes: map[string]any{"one more": 1, "k0": nil, "k1": json.RawMessage("null")}})
		require.Equal(t, c.ID, got.ID)
		require.Len(t, b.get(c.ID).Attributes.Map(), 99)
	})
}

func TestAttributesAreComparedByValue(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.upsert(contact.Draft{ExternalID: text("x"), Attributes: map[string]any{"o": json.RawMessage(`{"bb":1,"a":[1, 2]}`), "s": json.RawMessage(`"\u00e9"`), "keep": "<&>"}})
		b.pass(time.Minute)
		same, _ := b.upsert(contact.Draft{ExternalID: text("x"), Attributes: map[string]any{"o": map[string]any{"a": []any{1, 2}, "bb": 1}, "s": "é", "none": nil}})
		require.True(t, same.UpdatedAt.Equal(noon))
		next, _ := b.upsert(contact.Draft{ExternalID: text("x"), Attributes: map[string]any{"o": map[string]any{"a": []any{2, 1}, "bb": 1}}})
		require.True(t, next.UpdatedAt.Equal(noon.Add(time.Minute)))
		require.Equal(t, "<&>", b.get(next.ID).Attributes.Map()["keep"])
	})
}

func TestAttributesReadFromTheRowOnly(t *testing.T) {
	t.Parallel()
	var a contact.Attributes
	require.Error(t, a.Scan(7))
	require.Empty(t, a.Map())
	v, err := a.Value()
	require.NoError(t, err)
	require.Equal(t, "{}", v)
	require.NoError(t, a.Scan([]byte(`{"a":1}`)))
	v, err = a.Value()
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, v)
}

func TestListsHaveLimits(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		many := make([]contact.MessengerID, 21)
		for i := range many {
			many[i] = contact.MessengerID{PageID: uuid.Must(uuid.NewV7()), PSID: fmt.Sprint(i)}
		}
		require.Equal(t, []string{"/messenger too_large"}, b.complaints(contact.Draft{Messenger: many}))
		require.Equal(t, []string{"/messenger/1/psid page_taken"}, b.complaints(contact.Draft{Messenger: append(b.on("a"), b.on("b")...)}))
		require.Equal(t, []string{"/tokens too_large"}, b.complaints(contact.Draft{Tokens: make([]contact.TokenDraft, 21)}))
		token := contact.TokenDraft{PageID: b.page, Topic: "unsorted", Value: strings.Repeat("x", 1001), GrantedAt: noon.Add(time.Hour)}
		require.Equal(t, []string{"/tokens/0/token too_long", "/tokens/0/granted_at in_the_future"}, b.complaints(contact.Draft{Tokens: []contact.TokenDraft{token}}))

		twice, _ := b.upsert(contact.Draft{ExternalID: text("limits"), Messenger: append(b.on("a"), b.on("a")...)})
		require.Len(t, b.psids(twice.ID), 1)

		deaf := contact.New(d, nil, b.box, contact.Options{})
		_, _, err := deaf.Upsert(t.Context(), contact.Draft{ExternalID: text("x"), Tokens: []contact.TokenDraft{{PageID: b.page, Topic: "unsorted", Value: "v"}}})
		require.True(t, fault.Is(err, fault.Invalid), "nobody there to keep tokens")
	})
}

func TestTimesAreOverAndNotTooLongAgo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ancient, soon := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), noon.Add(time.Minute)
		require.Equal(t, []string{"/consents/sms/at too_old"}, b.complaints(contact.Draft{SMSConsent: yes(&ancient)}))
		evidence := contact.Of(contact.Consent{Status: contact.Subscribed, Source: strings.Repeat("s", 201), Evidence: strings.Repeat("e", 2001)})
		require.Equal(t, []string{"/consents/email/source too_long", "/consents/email/evidence too_long"}, b.complaints(contact.Draft{EmailConsent: evidence}))
		c, _ := b.upsert(contact.Draft{ExternalID: text("x"), SMSConsent: yes(&soon)})
		require.True(t, noon.Equal(*c.SMSConsent.At), "a clock that is a little ahead must not outlast a later opt-out")
		c, _ = b.upsert(contact.Draft{ExternalID: text("x"), SMSConsent: no(&noon)})
		require.Equal(t, contact.Unsubscribed, c.SMSConsent.Status, "at the same time, the opt-out wins")
	})
}

func TestAFailingGrantUndoesTheContacts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.refuse = func() error { return fault.New(fault.Unavailable, "no", "Not now.") }
		_, _, err := b.Upsert(t.Context(), contact.Draft{ExternalID: text("x"), Tokens: []contact.TokenDraft{{PageID: b.page, Topic: "unsorted", Value: "v"}}})
		require.True(t, fault.HasCode(err, "no"))
		require.Zero(t, b.count("contacts"))
	})
}

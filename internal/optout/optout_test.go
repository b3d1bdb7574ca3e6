package optout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/optout"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const phone, mail = "+447700900123", "amy@example.com"

// bundle is a service over one database, and Amy, who subscribed to both channels.
type bundle struct {
	*optout.Service
	t        testing.TB
	d        *db.DB
	queue    *queue.Queue
	contacts *contact.Store
	box      *seal.Box
	clock    time.Time
	amy      uuid.UUID
	texts    int
}

func setup(t testing.TB, d *db.DB, keepTexts bool) *bundle {
	t.Helper()
	b := &bundle{t: t, d: d, clock: noon}
	var err error
	b.box, err = seal.New(bytes.Repeat([]byte{7}, seal.MinSecret))
	require.NoError(t, err)
	now := func() time.Time { return b.clock }
	b.queue = queue.New(d, slog.New(slog.DiscardHandler))
	b.contacts = contact.New(d, nil, b.box, contact.Options{Now: now})
	b.Service = optout.New(optout.Parts{DB: d, Queue: b.queue, Contacts: b.contacts, Box: b.box, KeepTexts: keepTexts, Now: now})
	require.NoError(t, b.queue.Open())
	b.amy = b.subscribed("amy", phone, mail)
	return b
}

func (b *bundle) subscribed(name, phone, mail string) uuid.UUID {
	b.t.Helper()
	long := noon.AddDate(-1, 0, 0)
	yes := contact.Consent{Status: contact.Subscribed, Source: "form", At: &long}
	c, _, err := b.contacts.Upsert(b.t.Context(), contact.Draft{ExternalID: contact.Of(name), Phone: contact.Of(phone), Email: contact.Of(mail),
		SMSConsent: contact.Of(yes), EmailConsent: contact.Of(yes)})
	require.NoError(b.t, err)
	return c.ID
}

// text is what somebody texts at a minute of the day, heard as the receiver reads it.
func (b *bundle) text(kind channel.EventKind, from, words string, minute int) channel.Event {
	b.texts++
	ev := channel.Event{Kind: kind, Address: from, MID: fmt.Sprintf("SM%d", b.texts), Text: words, At: noon.Add(time.Duration(minute) * time.Minute)}
	if kind == channel.EventStop || kind == channel.EventStart {
		ev.Reason = channel.ByStop
	}
	return ev
}

func mailed(kind channel.EventKind, reason string, minute int) channel.Event {
	return channel.Event{Kind: kind, Address: mail, Reason: reason, At: noon.Add(time.Duration(minute) * time.Minute)}
}

// hear tells events a moment after the last of them.
func (b *bundle) hear(kind channel.Kind, events ...channel.Event) {
	b.t.Helper()
	for _, ev := range events {
		if !ev.At.Before(b.clock) {
			b.clock = ev.At.Add(time.Second)
		}
	}
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		return b.Hear(b.t.Context(), tx, channel.Heard{Channel: kind, Events: events})
	}))
}

func (b *bundle) silent(kind channel.Kind, address string) bool {
	b.t.Helper()
	is, err := b.contacts.IsSuppressed(b.t.Context(), kind, address)
	require.NoError(b.t, err)
	return is
}

// consents are Amy's, for SMS and for e-mail.
func (b *bundle) consents() [2]string {
	b.t.Helper()
	c, err := b.contacts.Get(b.t.Context(), b.amy)
	require.NoError(b.t, err)
	return [2]string{c.SMSConsent.Status, c.EmailConsent.Status}
}

// told are the events so far, as "type channel reason".
func (b *bundle) told() (out []string) {
	b.t.Helper()
	var rows []struct {
		Type, Data string
		ContactID  uuid.NullUUID
	}
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT type, data, contact_id FROM events WHERE type LIKE 'contact.opted%' OR type LIKE 'sms.%' ORDER BY id").Scan(&rows).Error)
	for _, r := range rows {
		var data struct{ Channel, Reason string }
		require.NoError(b.t, json.Unmarshal([]byte(r.Data), &data))
		require.True(b.t, r.ContactID.Valid)
		for _, private := range []string{phone, mail, "7700900", "secret"} {
			require.NotContains(b.t, r.Data, private)
		}
		line := r.Type
		if data.Channel != "" {
			line += " " + data.Channel + " " + data.Reason
		}
		out = append(out, line)
	}
	return out
}

func (b *bundle) count(from string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM "+from).Row().Scan(&n))
	return n
}

func TestAStopSilencesOneChannelAndAStartLiftsNothingElse(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		b.hear(channel.SMS, b.text(channel.EventStop, phone, "STOP", 1))
		require.True(t, b.silent(channel.SMS, phone))
		require.False(t, b.silent(channel.Email, mail))
		require.Equal(t, [2]string{contact.Unsubscribed, contact.Subscribed}, b.consents())

		b.hear(channel.Email, mailed(channel.EventStop, channel.ByComplaint, 2), mailed(channel.EventStop, channel.ByUnsubscribe, 2))
		require.Equal(t, [2]string{contact.Unsubscribed, contact.Unsubscribed}, b.consents())
		b.hear(channel.SMS, b.text(channel.EventStart, phone, "START", 3))
		require.False(t, b.silent(channel.SMS, phone))
		require.Equal(t, [2]string{contact.Subscribed, contact.Unsubscribed}, b.consents())
		b.hear(channel.Email, mailed(channel.EventStart, channel.ByUnsubscribe, 4))
		require.True(t, b.silent(channel.Email, mail), "the complaint stands")
		require.Equal(t, [2]string{contact.Subscribed, contact.Unsubscribed}, b.consents())
		require.Equal(t, []string{"contact.opted_out sms stop", "contact.opted_out email complaint", "contact.opted_out email unsubscribe",
			"contact.opted_in sms stop", "contact.opted_in email unsubscribe"}, b.told())
	})
}

func TestAStartDoesNotLiftWhatAnOperatorOrABounceSilenced(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		_, _, err := b.contacts.SuppressOne(t.Context(), contact.Silence{Channel: channel.SMS, Address: phone, Reason: contact.ReasonManual})
		require.NoError(t, err)
		b.hear(channel.SMS, b.text(channel.EventStart, phone, "START", 1))
		require.True(t, b.silent(channel.SMS, phone))
		require.Empty(t, b.told())
	})
}

// Whoever holds the number now, or later.
func TestAStopOfANumberThatNobodyHoldsHoldsForWhoeverGetsIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, true)
		const stranger = "+447700900999"
		b.hear(channel.SMS, b.text(channel.EventStop, stranger, "STOP", 1), b.text(channel.EventMessage, stranger, "secret", 2))
		require.True(t, b.silent(channel.SMS, stranger))
		require.Empty(t, b.told())
		require.Equal(t, 2, b.count("texts WHERE contact_id IS NULL AND body IS NULL"), "who is not known could not ask to be forgotten")
		b.subscribed("zoe", stranger, "zoe@example.com")
		require.True(t, b.silent(channel.SMS, stranger))

		b.clock = noon.Add(31 * 24 * time.Hour)
		require.NoError(t, b.queue.Drain(t.Context(), b.clock))
		require.NoError(t, b.d.Transact(t.Context(), func(tx *db.Tx) error {
			return b.queue.Insert(t.Context(), tx, queue.Order{Args: optout.PurgeJob{}})
		}))
		require.NoError(t, b.queue.Drain(t.Context(), b.clock))
		require.Zero(t, b.count("texts"))
	})
}

// Callbacks may repeat, be late and come in any order: the later word holds.
func TestInWhateverOrderTheyComeTheLastWordHolds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		n := 0
		checks := 12
		rapid.Check(t, func(rt *rapid.T) {
			if n++; n > checks { // each is dozens of statements
				return
			}
			address := fmt.Sprintf("+4477001%05d", n)
			events := make([]channel.Event, rapid.IntRange(1, 6).Draw(rt, "events"))
			start := n * 100
			for i, minute := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(rt, "minutes")[:len(events)] {
				kind := rapid.SampledFrom([]channel.EventKind{channel.EventStop, channel.EventStart}).Draw(rt, "kind")
				events[i] = b.text(kind, address, "", start+minute)
			}
			newest := slices.MaxFunc(events, func(a, b channel.Event) int { return a.At.Compare(b.At) })
			last := newest.Kind
			for _, ev := range events {
				again := ev
				if rapid.Bool().Draw(rt, "again") {
					again.At = again.At.Add(time.Hour) // Twilio does not say when: what comes again seems newer
				}
				if rapid.Bool().Draw(rt, "together") {
					b.hear(channel.SMS, ev, again)
				} else {
					b.hear(channel.SMS, ev)
					b.hear(channel.SMS, again)
				}
			}
			require.Equal(rt, last == channel.EventStop, b.silent(channel.SMS, address))
		})
	})
}

func TestTheSameWordAgainIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		stop := b.text(channel.EventStop, phone, "STOP", 1)
		b.hear(channel.SMS, stop, stop)
		b.hear(channel.SMS, stop)
		b.hear(channel.SMS, b.text(channel.EventStop, phone, "stop!", 2), b.text(channel.EventStop, phone, "STOP", 3))
		require.Equal(t, []string{"contact.opted_out sms stop"}, b.told())
		require.Equal(t, 3, b.count("texts"))

		list, _, err := b.contacts.Suppressions(t.Context(), contact.SuppressionFilter{}, uuid.Nil, 10)
		require.NoError(t, err)
		require.NoError(t, b.contacts.Lift(t.Context(), list[0].ID))
		stop.At = stop.At.Add(time.Hour)
		b.hear(channel.SMS, stop)
		require.False(t, b.silent(channel.SMS, phone), "what an operator lifted does not come back with a callback that was heard")
		b.hear(channel.SMS, b.text(channel.EventStop, phone, "STOP", 200))
		require.True(t, b.silent(channel.SMS, phone), "a new one counts")
	})
}

func TestWhatElseIsTextedIsToldAndKeptOnlyWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) { textsAreTold(t, d, true) })
	})
	t.Run("let go", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) { textsAreTold(t, d, false) })
	})
}

func textsAreTold(t *testing.T, d *db.DB, keep bool) {
	b := setup(t, d, keep)
	hello, picture := b.text(channel.EventMessage, phone, "a secret question", 1), b.text(channel.EventMessage, phone, "", 2)
	picture.Attachments = 2
	review := b.text(channel.EventMessage, phone, "please stop texting me", 3)
	review.Status = channel.StatusReview
	b.hear(channel.SMS, hello, picture, review, b.text(channel.EventHelp, phone, "HELP", 4), channel.Event{Kind: channel.EventDelivered, Delivery: 7}, channel.Event{Kind: channel.EventOther})
	require.Equal(t, []string{"sms.received", "sms.received", "sms.review"}, b.told())
	require.False(t, b.silent(channel.SMS, phone), "nobody is silenced by a guess")
	require.Equal(t, 4, b.count("texts"))
	require.Equal(t, map[bool]int{true: 3, false: 0}[keep], b.count("texts WHERE body IS NOT NULL"))
	if keep {
		var row struct {
			ID   uuid.UUID
			Body []byte
		}
		require.NoError(t, d.Read(t.Context()).Raw("SELECT id, body FROM texts WHERE mid = ?", hello.MID).Scan(&row).Error)
		require.NotContains(t, string(row.Body), "secret")
		said, err := b.Words(row.ID, row.Body)
		require.NoError(t, err)
		require.Equal(t, hello.Text, said)
	}
	require.NoError(t, b.contacts.Erase(t.Context(), b.amy))
	require.Zero(t, b.count("texts"), "gone with the person")
}

// What comes by e-mail is no text, and needs no row.
func TestEventsOfMessagesLeaveNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, true)
		b.hear(channel.Email, channel.Event{Kind: channel.EventDelivered, Address: mail}, channel.Event{Kind: channel.EventFailed, Address: mail, Outcome: channel.Gone},
			channel.Event{Kind: channel.EventMessage, Address: mail, MID: "m", Text: "secret"}, channel.Event{Kind: channel.EventStop, Reason: channel.ByUnsubscribe})
		require.Zero(t, b.count("texts"))
		require.Zero(t, b.count("suppressions"))
		require.Empty(t, b.told())
	})
}

// SendGrid tells late: that they had subscribed again before they used our link.
func TestWhoUsedTheLinkIsNotWrittenToForAnOlderWord(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, false)
		b.clock = noon.Add(time.Hour)
		for range 2 {
			require.NoError(t, b.Refuse(t.Context(), channel.Email, b.amy, contact.ReasonUnsubscribe))
		}
		b.hear(channel.Email, mailed(channel.EventStart, channel.ByUnsubscribe, 30))
		require.True(t, b.silent(channel.Email, mail))
		require.Equal(t, [2]string{contact.Subscribed, contact.Unsubscribed}, b.consents())
		require.Equal(t, []string{"contact.opted_out email unsubscribe"}, b.told())
		b.hear(channel.Email, mailed(channel.EventStart, channel.ByUnsubscribe, 90))
		require.False(t, b.silent(channel.Email, mail))
	})
}

package dispatch_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/route"
)

// deed is one thing that happens to few people and fewer addresses, so that they
// collide all the time.
type deed struct {
	what            string
	person, address int
	kind            channel.Kind
	reason, consent string
}

func deeds() *rapid.Generator[[]deed] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
		return deed{
			what:    rapid.SampledFrom([]string{"upsert", "upsert", "upsert", "merge", "erase", "suppress", "suppress", "suppress holder", "unsilence", "lift"}).Draw(t, "what"),
			person:  rapid.IntRange(0, 2).Draw(t, "person"),
			address: rapid.IntRange(0, 1).Draw(t, "address"),
			kind:    rapid.SampledFrom([]channel.Kind{channel.SMS, channel.Email}).Draw(t, "channel"),
			reason:  rapid.SampledFrom([]string{contact.ReasonStop, contact.ReasonUnsubscribe, contact.ReasonBounce, contact.ReasonManual}).Draw(t, "reason"),
			consent: rapid.SampledFrom([]string{"", contact.Subscribed, contact.Subscribed, contact.Unsubscribed}).Draw(t, "consent"),
		}
	}), 1, 12)
}

// quietTown knows what must be silent after what happened in a database.
type quietTown struct {
	*bundle
	stands map[string]map[string]bool // by channel and address, the reasons
}

func address(kind channel.Kind, n int) string {
	if kind == channel.SMS {
		return fmt.Sprintf("+4477009001%02d", n)
	}
	return fmt.Sprintf("p%d@example.com", n)
}

func (q *quietTown) find(t require.TestingT, n int) *contact.Contact {
	all, _, err := q.contacts.List(q.t.Context(), contact.Filter{ExternalID: fmt.Sprint("law-", n)}, uuid.Nil, 1)
	require.NoError(t, err)
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

func (q *quietTown) holds(c *contact.Contact, kind channel.Kind) (string, contact.Consent) {
	if kind == channel.SMS {
		return c.Phone, c.SMSConsent
	}
	return c.Email, c.EmailConsent
}

func (q *quietTown) add(kind channel.Kind, at, reason string) {
	k := string(kind) + at
	if q.stands[k] == nil {
		q.stands[k] = map[string]bool{}
	}
	q.stands[k][reason] = true
}

func (q *quietTown) do(t require.TestingT, d deed) {
	who, at := q.find(t, d.person), address(d.kind, d.address)
	silence := contact.Silence{Channel: d.kind, Address: at, Reason: d.reason}
	tell := func(list []contact.Silence, work func(tx *db.Tx, list []contact.Silence) error) {
		require.NoError(t, q.d.Transact(q.t.Context(), func(tx *db.Tx) error { return work(tx, list) }))
	}
	suppress := func(tx *db.Tx, list []contact.Silence) error { return q.contacts.Suppress(q.t.Context(), tx, list) }
	switch d.what {
	case "upsert", "merge":
		q.upsert(t, d, at)
	case "erase":
		if who != nil {
			q.erase(t, who)
		}
	case "suppress":
		tell([]contact.Silence{silence}, suppress)
		q.add(d.kind, at, d.reason)
	case "suppress holder":
		if who == nil {
			return
		}
		tell([]contact.Silence{{Channel: d.kind, ContactID: who.ID, Reason: d.reason}}, suppress)
		if held, _ := q.holds(who, d.kind); held != "" {
			q.add(d.kind, held, d.reason)
		}
	case "unsilence":
		tell([]contact.Silence{silence}, func(tx *db.Tx, list []contact.Silence) error { return q.contacts.Unsilence(q.t.Context(), tx, list) })
		delete(q.stands[string(d.kind)+at], d.reason)
	case "lift":
		err := q.contacts.LiftOne(q.t.Context(), silence)
		require.Equal(t, q.stands[string(d.kind)+at][d.reason], err == nil, "%v", err)
		delete(q.stands[string(d.kind)+at], d.reason)
	}
}

// upsert writes a person with an address, or with one in Messenger that an anonymous
// contact had until then.
func (q *quietTown) upsert(t require.TestingT, d deed, at string) {
	draft := contact.Draft{ExternalID: contact.Of(fmt.Sprint("law-", d.person))}
	if d.kind == channel.SMS {
		draft.Phone = contact.Of(at)
	} else {
		draft.Email = contact.Of(at)
	}
	if d.consent != "" {
		said := contact.Of(contact.Consent{Status: d.consent})
		draft.SMSConsent, draft.EmailConsent = said, said
	}
	drafts := []contact.Draft{draft}
	if d.what == "merge" {
		seen := []contact.MessengerID{{PageID: q.page.ID, PSID: fmt.Sprint("99", d.person)}}
		drafts = []contact.Draft{{Messenger: seen, SMSConsent: draft.SMSConsent}, {ExternalID: draft.ExternalID}, {ExternalID: draft.ExternalID, Messenger: seen}, draft}
	}
	for _, one := range drafts {
		_, _, err := q.contacts.Upsert(q.t.Context(), one)
		var f *fault.Error
		require.True(t, err == nil || errors.As(err, &f), "%v", err)
	}
}

// erase leaves what the person refused silent, even where only the CRM knew of it.
func (q *quietTown) erase(t require.TestingT, who *contact.Contact) {
	require.NoError(t, q.contacts.Erase(q.t.Context(), who.ID))
	for _, kind := range []channel.Kind{channel.SMS, channel.Email} {
		held, said := q.holds(who, kind)
		k := q.stands[string(kind)+held]
		if held != "" && said.Status == contact.Unsubscribed && !k[contact.ReasonStop] && !k[contact.ReasonUnsubscribe] {
			q.add(kind, held, contact.ReasonUnsubscribe)
		}
	}
}

// check asks the engine about everybody, and for both channels.
func (q *quietTown) check(t require.TestingT) {
	for _, kind := range []channel.Kind{channel.SMS, channel.Email} {
		for n := range 2 {
			is, err := q.contacts.IsSuppressed(q.t.Context(), kind, address(kind, n))
			require.NoError(t, err)
			require.Equal(t, len(q.stands[string(kind)+address(kind, n)]) > 0, is, "%s", address(kind, n))
		}
	}
	for n := range 3 {
		who := q.find(t, n)
		if who == nil {
			continue
		}
		reach, err := q.engine.Reach(q.t.Context(), who.ID, q.page.ID, "courses")
		require.NoError(t, err)
		for lane, kind := range map[channel.Lane]channel.Kind{channel.LaneSMS: channel.SMS, channel.LaneEmail: channel.Email} {
			held, said := q.holds(who, kind)
			silent := len(q.stands[string(kind)+held]) > 0
			want := held != "" && !silent && said.Status == contact.Subscribed
			require.Equal(t, want, reach[lane].Why() == "", "%s of person %d: %v", lane, n, reach[lane])
			if silent {
				require.Equal(t, route.Suppressed, reach[lane].Why())
			}
		}
	}
}

func (b *bundle) live(t require.TestingT, happened []deed) {
	q := &quietTown{b, map[string]map[string]bool{}}
	for _, d := range happened {
		q.do(t, d)
		b.advance(time.Second)
	}
	q.check(t)
	require.NoError(t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		for _, table := range []string{"contacts", "suppressions", "lifts"} {
			if err := tx.Exec("DELETE FROM " + table).Error; err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestSuppressedMeansSilent in every order of writing, merging, erasing and importing
// people again, of refusing and of lifting: what the engine may send to is exactly what
// nobody refused and somebody agreed to.
func TestSuppressedMeansSilent(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		b := setup(t, dbtest.SQLite(t), options{})
		rapid.Check(t, func(rt *rapid.T) { b.live(rt, deeds().Draw(rt, "deeds")) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		b := setup(t, dbtest.Postgres(t), options{})
		for seed := range 25 {
			b.live(t, deeds().Example(seed))
		}
	})
}

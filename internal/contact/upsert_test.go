package contact_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func text(v string) contact.Optional[string] { return contact.Of(v) }

func TestUpsertMakesThenChangesOneContact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		full := contact.Draft{ExternalID: text("crm-1"), FirstName: text(" Zoë "), LastName: text("O'Neil"), Email: text("Zoe@Exämple.COM"),
			Phone: text("(415) 555-2671"), Locale: text("en_GB"), TimeZone: text("Europe/London"),
			Attributes: map[string]any{"city": "Leeds", "age": 41.0, "tags": []any{"a", "b"}}, SMSConsent: yes(ago(time.Hour)),
			Messenger: b.on("psid-1")}
		made, created := b.upsert(full)
		require.True(t, created)
		require.Equal(t, "Zoë", made.FirstName)
		require.Equal(t, "zoe@xn--exmple-cua.com", made.Email)
		require.Equal(t, "+14155552671", made.Phone)
		require.Equal(t, "en-GB", made.Locale)
		require.Equal(t, b.box.Hash("email", made.Email), made.EmailHash)
		require.Equal(t, b.box.Hash("phone", made.Phone), made.PhoneHash)
		require.Equal(t, map[string]any{"city": "Leeds", "age": 41.0, "tags": []any{"a", "b"}}, made.Attributes.Map())
		require.Equal(t, "api", made.SMSConsent.Source)
		require.Equal(t, map[string]uuid.UUID{"psid-1": b.page}, b.psids(made.ID))

		b.pass(time.Hour)
		again, created := b.upsert(full)
		require.False(t, created)
		require.Equal(t, noon, again.UpdatedAt.UTC(), "nothing changed")

		next, created := b.upsert(contact.Draft{ExternalID: text("crm-1"), FirstName: contact.Null[string](), Phone: text("+447700900123"),
			Attributes: map[string]any{"city": nil, "plan": "gold"}})
		require.False(t, created)
		require.Equal(t, made.ID, next.ID)
		stored := b.get(made.ID)
		require.Empty(t, stored.FirstName)
		require.Equal(t, "O'Neil", stored.LastName, "left out stays")
		require.Equal(t, "+447700900123", stored.Phone)
		require.Equal(t, b.box.Hash("phone", "+447700900123"), stored.PhoneHash)
		require.Equal(t, map[string]any{"age": 41.0, "tags": []any{"a", "b"}, "plan": "gold"}, stored.Attributes.Map())
		require.Equal(t, contact.Subscribed, stored.SMSConsent.Status, "consent belongs to the channel, not the number")
		require.Equal(t, noon.Add(time.Hour), stored.UpdatedAt.UTC())
		require.Equal(t, 1, b.count("contacts"))
	})
}

func TestUpsertMatchesByExternalIDThenAddresses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{Email: text("ann@example.com")})
		bob, _ := b.upsert(contact.Draft{ExternalID: text("bob"), Phone: text("+14155552671")})
		anon, _ := b.upsert(contact.Draft{Messenger: b.on("p1")})

		got, created := b.upsert(contact.Draft{ExternalID: text("ann"), Email: text("ANN@example.com")})
		require.False(t, created)
		require.Equal(t, ann.ID, got.ID, "someone without an external id gets it")
		got, _ = b.upsert(contact.Draft{Phone: text("415-555-2671"), FirstName: text("Bob")})
		require.Equal(t, bob.ID, got.ID)
		got, _ = b.upsert(contact.Draft{Messenger: b.on("p1"), FirstName: text("Who")})
		require.Equal(t, anon.ID, got.ID)

		_, _, err := b.Upsert(t.Context(), contact.Draft{ExternalID: text("carl"), Email: text("ann@example.com"), Phone: text("+14155552671")})
		require.True(t, fault.Is(err, fault.Conflict))
		require.True(t, fault.HasCode(err, "address_taken"))
		require.Equal(t, []string{"/email address_taken", "/phone address_taken"}, pointers(t, err))
		require.NotContains(t, err.Error(), "ann@")
		_, _, err = b.Upsert(t.Context(), contact.Draft{FirstName: text("Nobody")})
		require.Equal(t, []string{" not_identified"}, pointers(t, err))
		require.Equal(t, 3, b.count("contacts"))
	})
}

func TestUpsertMergesTheAnonymousHolderOfAMessengerID(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{ExternalID: text("ann"), LastName: text("Lee"), Attributes: map[string]any{"a": "hers"}})
		anon, _ := b.upsert(contact.Draft{Messenger: b.on("p1"), FirstName: text("Ann"), LastName: text("?"), Attributes: map[string]any{"a": "x", "b": "new"}})
		got, created := b.upsert(contact.Draft{ExternalID: text("ann"), Messenger: b.on("p1")})
		require.False(t, created)
		require.Equal(t, ann.ID, got.ID)
		stored := b.get(ann.ID)
		require.Equal(t, "Ann Lee", stored.FirstName+" "+stored.LastName)
		require.Equal(t, map[string]any{"a": "hers", "b": "new"}, stored.Attributes.Map())
		require.Contains(t, b.psids(ann.ID), "p1")
		_, err := b.Get(t.Context(), anon.ID)
		require.True(t, fault.Is(err, fault.NotFound))

		_, _, err = b.Upsert(t.Context(), contact.Draft{ExternalID: text("ann"), Messenger: b.on("p2")})
		require.Equal(t, []string{"/messenger/0/psid page_taken"}, pointers(t, err))
		_, _, err = b.Upsert(t.Context(), contact.Draft{ExternalID: text("new"), Messenger: b.on("p1")})
		require.Equal(t, []string{"/messenger/0/psid address_taken"}, pointers(t, err))
	})
}

func TestUpsertReportsAllThatIsWrongAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		later := noon.Add(time.Hour)
		deep := any("x")
		for range 20 {
			deep = []any{deep}
		}
		_, _, err := b.Upsert(t.Context(), contact.Draft{ExternalID: text(strings.Repeat("x", 201)), FirstName: text("a\x00b"), Email: text("a@b"),
			Phone: text("123"), Locale: text("no such"), TimeZone: text("Local"), Attributes: map[string]any{"deep/x": deep},
			SMSConsent: contact.Of(contact.Consent{Status: "maybe"}), EmailConsent: yes(&later),
			Messenger: []contact.MessengerID{{PSID: "not one!"}}, Tokens: []contact.TokenDraft{{Topic: "t"}}})
		require.True(t, fault.Is(err, fault.Invalid))
		require.ElementsMatch(t, []string{"/external_id too_long", "/first_name bad_characters", "/email bad_email", "/phone bad_phone",
			"/locale bad_locale", "/time_zone bad_time_zone", "/attributes/deep~1x bad_attribute", "/consents/sms/status bad_consent",
			"/consents/email/at in_the_future", "/messenger/0/page_id required", "/messenger/0/psid bad_psid",
			"/tokens/0/token required", "/tokens/0/page_id required"}, pointers(t, err))

		other := uuid.Must(uuid.NewV7())
		_, _, err = b.Upsert(t.Context(), contact.Draft{ExternalID: text("x"), Attributes: map[string]any{"big": strings.Repeat("x", 17<<10)},
			Messenger: []contact.MessengerID{{PageID: other, PSID: "1"}}, Tokens: []contact.TokenDraft{{PageID: other, Topic: "none", Value: "v"}}})
		require.Equal(t, []string{"/attributes too_large", "/messenger/0/page_id page_not_found", "/tokens/0/page_id page_not_found", "/tokens/0/topic topic_not_found"}, pointers(t, err))
		require.Zero(t, b.count("contacts"))
	})
}

func TestAttributesAnyJSONSurvivesBothEngines(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		in := map[string]any{"lone": "x\ufffd<&>", "n": 12345678901234567.0, "o": map[string]any{"zz": true, "a": []any{1.5, nil}}, "ю": "я", "q\"": "\n"}
		c, _ := b.upsert(contact.Draft{ExternalID: text("x"), Attributes: in})
		require.Equal(t, in, b.get(c.ID).Attributes.Map())
		b.pass(time.Minute)
		same, _ := b.upsert(contact.Draft{ExternalID: text("x"), Attributes: in})
		require.Equal(t, noon, same.UpdatedAt.UTC())
	})
}

func TestCreateAndPatch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, err := b.Create(t.Context(), contact.Draft{ExternalID: text("ann"), Email: text("ann@example.com")})
		require.NoError(t, err)
		_, err = b.Create(t.Context(), contact.Draft{ExternalID: text("ann")})
		require.Equal(t, []string{"/external_id address_taken"}, pointers(t, err))
		bob, err := b.Create(t.Context(), contact.Draft{FirstName: text("Bob")})
		require.NoError(t, err)

		_, err = b.Patch(t.Context(), bob.ID, contact.Draft{Email: text("ann@example.com")})
		require.Equal(t, []string{"/email address_taken"}, pointers(t, err))
		got, err := b.Patch(t.Context(), ann.ID, contact.Draft{ExternalID: contact.Null[string](), Email: text("ann@example.org"), EmailConsent: yes(nil)})
		require.NoError(t, err)
		require.Empty(t, got.ExternalID)
		require.Equal(t, noon, got.EmailConsent.At.UTC())
		got, err = b.Patch(t.Context(), ann.ID, contact.Draft{EmailConsent: contact.Null[contact.Consent]()})
		require.NoError(t, err)
		require.Equal(t, contact.Consent{}, got.EmailConsent)
		require.Equal(t, contact.Consent{}, b.get(ann.ID).EmailConsent)
		_, err = b.Patch(t.Context(), uuid.Must(uuid.NewV7()), contact.Draft{})
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestUpsertManyAppliesDraftsInOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.upsert(contact.Draft{ExternalID: text("swap-a"), Email: text("a@example.com")})
		b.upsert(contact.Draft{ExternalID: text("swap-b"), Email: text("b@example.com")})
		old, _ := b.upsert(contact.Draft{Messenger: b.on("p9")})
		var got []contact.Result
		b.inTx(func(tx *db.Tx) (err error) {
			got, err = b.UpsertMany(t.Context(), tx, []contact.Draft{
				{ExternalID: text("n"), Email: text("n@example.com")},
				{Email: text("n@example.com"), FirstName: text("Nia")},
				{ExternalID: text("swap-a"), Email: contact.Null[string]()},
				{ExternalID: text("swap-b"), Email: text("a@example.com")},
				{ExternalID: text("swap-a"), Email: text("b@example.com")},
				{ExternalID: text("other"), Email: text("n@example.com")},
				{Messenger: b.on("p8")},
				{ExternalID: text("n"), Messenger: b.on("p8"), Tokens: []contact.TokenDraft{{PageID: b.page, Topic: "unsorted", Value: "tok"}}},
				{ExternalID: text("swap-a"), Messenger: b.on("p9")},
				{Phone: text("nonsense")},
			})
			return err
		})
		require.Equal(t, []bool{true, false, false, false, false, false, true, false, false, false}, created(got))
		require.Equal(t, got[0].ContactID, got[1].ContactID)
		require.Equal(t, got[0].ContactID, got[6].ContactID, "the anonymous one was merged")
		require.True(t, fault.Is(got[5].Err, fault.Conflict))
		require.True(t, fault.Is(got[9].Err, fault.Invalid))
		require.Equal(t, "Nia", b.get(got[0].ContactID).FirstName)
		require.Equal(t, "b@example.com", b.get(got[2].ContactID).Email)
		require.Equal(t, "a@example.com", b.get(got[3].ContactID).Email)
		require.Contains(t, b.psids(got[2].ContactID), "p9")
		_, err := b.Get(t.Context(), old.ID)
		require.True(t, fault.Is(err, fault.NotFound))
		require.Equal(t, []contact.Grant{{ContactID: got[0].ContactID, PageID: b.page, Topic: "unsorted", Value: "tok", GrantedAt: noon}}, b.grants)
		require.Equal(t, 3, b.count("contacts"))
	})
}

func created(all []contact.Result) (out []bool) {
	for _, r := range all {
		out = append(out, r.Created)
	}
	return out
}

func TestUpsertManyTakesAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	d, err := db.Open(t.Context(), db.Options{URL: dbtest.PostgresURL(t), Statements: func(string) { mu.Lock(); n++; mu.Unlock() }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	b := setup(t, d)
	statements := func(prefix string, size int, name string) int {
		drafts := make([]contact.Draft, size)
		for i := range drafts {
			drafts[i] = contact.Draft{ExternalID: text(fmt.Sprint(prefix, i)), FirstName: text(name), Messenger: b.on(fmt.Sprint(prefix, i))}
		}
		mu.Lock()
		n = 0
		mu.Unlock()
		b.inTx(func(tx *db.Tx) error { _, err := b.UpsertMany(t.Context(), tx, drafts); return err })
		return n
	}
	few, many := statements("a", 3, "x"), statements("b", 500, "x")
	require.Equal(t, few, many)
	require.LessOrEqual(t, many, 8)
	require.Equal(t, statements("a", 3, "y"), statements("b", 500, "y"))
}

func TestConcurrentUpsertsMakeOneContact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var wg sync.WaitGroup
		ids := make([]uuid.UUID, 50)
		errs := make([]error, 50)
		for i := range ids {
			wg.Go(func() {
				var c contact.Contact
				c, _, errs[i] = b.Upsert(t.Context(), contact.Draft{ExternalID: text("x"), Email: text("x@example.com"),
					Messenger: b.on("p1"), Attributes: map[string]any{fmt.Sprint("k", i): i}})
				ids[i] = c.ID
			})
		}
		wg.Wait()
		for i, err := range errs {
			require.NoError(t, err)
			require.Equal(t, ids[0], ids[i])
		}
		require.Equal(t, 1, b.count("contacts"))
		require.Len(t, b.get(ids[0]).Attributes.Map(), 50, "no write was lost")
	})
}

func TestConcurrentBatchesOverTheSamePeopleAllSucceed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				drafts := make([]contact.Draft, 100)
				for j, n := range r.Perm(len(drafts)) {
					drafts[j] = contact.Draft{Email: text(fmt.Sprintf("n%d@example.com", n)), FirstName: text(fmt.Sprint(i))}
				}
				errs[i] = d.Transact(t.Context(), func(tx *db.Tx) error { _, err := b.UpsertMany(t.Context(), tx, drafts); return err })
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, 100, b.count("contacts"))
	})
}

package contact_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

// draftOf draws a draft over so few people that they collide all the time.
func draftOf(pages []uuid.UUID) *rapid.Generator[contact.Draft] {
	return rapid.Custom(func(t *rapid.T) contact.Draft {
		maybe := func(label, form string) contact.Optional[string] {
			switch n := rapid.IntRange(0, 9).Draw(t, label); {
			case n < 4:
				return contact.Of(fmt.Sprintf(form, n))
			case n == 4:
				return contact.Null[string]()
			}
			return contact.Optional[string]{}
		}
		d := contact.Draft{ExternalID: maybe("external id", "crm-%d"), Email: maybe("email", "p%d@example.com"), Phone: maybe("phone", "+1202555010%d"), FirstName: maybe("name", "N%d")}
		if n := rapid.IntRange(0, 7).Draw(t, "psid"); n < 4 {
			d.Messenger = []contact.MessengerID{{PageID: pages[n%2], PSID: fmt.Sprint("m", n)}}
		}
		if n := rapid.IntRange(0, 7).Draw(t, "attribute"); n < 2 {
			d.Attributes = map[string]any{fmt.Sprint("k", n): n}
		}
		if rapid.IntRange(0, 3).Draw(t, "consent") == 0 {
			d.SMSConsent = rapid.SampledFrom([]contact.Optional[contact.Consent]{yes(ago(2)), no(ago(1)), yes(nil), contact.Null[contact.Consent]()}).Draw(t, "answer")
		}
		return d
	})
}

// state is everything about all contacts but their ids, in a fixed order.
func (b *bundle) state(t require.TestingT) []string {
	all, _, err := b.List(b.t.Context(), contact.Filter{}, uuid.Nil, 1000)
	require.NoError(t, err)
	var out []string
	for _, c := range all {
		require.Equal(t, c.Email == "", c.EmailHash == nil)
		if c.Phone != "" {
			require.Equal(t, b.box.Hash("phone", c.Phone), c.PhoneHash)
		}
		var psids []string
		for p := range b.psids(c.ID) {
			psids = append(psids, p)
		}
		slices.Sort(psids)
		out = append(out, fmt.Sprintf("%s|%s|%s|%s|%v|%s|%v", c.ExternalID, c.Email, c.Phone, c.FirstName, psids, c.Attributes, c.SMSConsent.Status))
	}
	slices.Sort(out)
	return out
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return string(fault.KindOf(err))
}

// TestABatchDoesWhatItsDraftsDoOneByOne holds for any drafts, in any order:
// batches are only faster.
func TestABatchDoesWhatItsDraftsDoOneByOne(t *testing.T) {
	t.Parallel()
	batch, single := setup(t, dbtest.SQLite(t)), setup(t, dbtest.SQLite(t))
	two := uuid.Must(uuid.NewV7())
	for _, b := range []*bundle{batch, single} {
		b.exec("UPDATE pages SET id = ?", uuid.UUID{1})
		b.exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '2', 'x', ?, ?, ?)", two, []byte("x"), noon, noon)
	}
	rapid.Check(t, func(t *rapid.T) {
		drafts := rapid.SliceOfN(draftOf([]uuid.UUID{{1}, two}), 1, 25).Draw(t, "drafts")
		cut := rapid.IntRange(0, len(drafts)).Draw(t, "cut")
		var want, got []string
		for _, d := range drafts {
			_, made, err := single.Upsert(single.t.Context(), d)
			want = append(want, fmt.Sprint(code(err), " ", made))
		}
		for _, part := range [][]contact.Draft{drafts[:cut], drafts[cut:]} {
			require.NoError(t, batch.d.Transact(batch.t.Context(), func(tx *db.Tx) error {
				results, err := batch.UpsertMany(batch.t.Context(), tx, part)
				for _, r := range results {
					got = append(got, fmt.Sprint(code(r.Err), " ", r.Created))
				}
				return err
			}))
		}
		require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
		require.Equal(t, strings.Join(single.state(t), "\n"), strings.Join(batch.state(t), "\n"))
		for _, b := range []*bundle{batch, single} {
			b.exec("DELETE FROM contacts")
		}
	})
}

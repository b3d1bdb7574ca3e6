package contact_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ann, _ := b.upsert(contact.Draft{ExternalID: text("CRM_1"), FirstName: text("Ann"), LastName: text("Lee"), Email: text("ann@example.com")})
		bob, _ := b.upsert(contact.Draft{ExternalID: text("CRMx1"), FirstName: text("Bob"), Phone: text("+14155552671")})
		eve, _ := b.upsert(contact.Draft{Messenger: b.on("p1")})
		for i, status := range []string{"available", "spent"} {
			owner := []uuid.UUID{eve.ID, bob.ID}[i]
			b.exec("INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at) VALUES (?, ?, ?, 'unsorted', ?, ?, ?, 'x', ?, ?, ?)",
				uuid.Must(uuid.NewV7()), owner, b.page, []byte{1}, []byte{byte(i)}, status, noon, noon.Add(time.Hour), noon)
		}
		list := func(f contact.Filter) (ids []uuid.UUID) {
			rows, _, err := b.List(t.Context(), f, uuid.Nil, 10)
			require.NoError(t, err)
			for _, c := range rows {
				ids = append(ids, c.ID)
			}
			return ids
		}
		all := []uuid.UUID{eve.ID, bob.ID, ann.ID}
		require.Equal(t, all, list(contact.Filter{}), "newest first")
		require.Equal(t, all[2:], list(contact.Filter{Email: "ANN@example.com"}))
		require.Equal(t, all[1:2], list(contact.Filter{Phone: "415-555-2671"}))
		require.Equal(t, all[2:], list(contact.Filter{ExternalID: "CRM_1"}))
		require.Equal(t, all[2:], list(contact.Filter{Query: "n le"}))
		require.Equal(t, all[2:], list(contact.Filter{Query: "crm_"}), "an underscore is only that")
		require.Equal(t, all[1:2], list(contact.Filter{Query: "55526"}))
		require.Equal(t, all[:1], list(contact.Filter{HasToken: "unsorted"}))
		require.Empty(t, list(contact.Filter{Email: "ann@example.com", Phone: "415-555-2671"}), "filters add up")
		require.Empty(t, list(contact.Filter{Phone: "nonsense"}))
		require.Empty(t, list(contact.Filter{Email: "nonsense", Phone: "415-555-2671"}))

		page, next, err := b.List(t.Context(), contact.Filter{}, uuid.Nil, 2)
		require.NoError(t, err)
		require.Len(t, page, 2)
		page, next, err = b.List(t.Context(), contact.Filter{}, next, 2)
		require.NoError(t, err)
		require.Equal(t, ann.ID, page[0].ID)
		require.Equal(t, uuid.Nil, next)
		none, err := b.Addresses(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

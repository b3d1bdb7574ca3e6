package contact_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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

// chaos is one worker doing at random what API, imports, webhooks and links do,
// all over the same few people.
type chaos struct {
	*bundle
	r *rand.Rand
}

func (c *chaos) person() contact.Draft {
	d := contact.Draft{FirstName: text(fmt.Sprint(c.r.IntN(5)))}
	for i, f := range []*contact.Optional[string]{&d.ExternalID, &d.Email, &d.Phone} {
		if c.r.IntN(2) == 0 {
			*f = text(fmt.Sprintf([]string{"crm-%d", "p%d@example.com", "+1202555010%d"}[i], c.r.IntN(6)))
		}
	}
	if c.r.IntN(2) == 0 || !d.ExternalID.Set && !d.Email.Set && !d.Phone.Set {
		d.Messenger = c.on(c.psid())
	}
	return d
}

func (c *chaos) psid() string { return fmt.Sprint("m", c.r.IntN(6)) }

func (c *chaos) anyone(ctx context.Context) uuid.UUID {
	all, _, err := c.List(ctx, contact.Filter{}, uuid.Nil, 20)
	if err != nil || len(all) == 0 {
		return uuid.Must(uuid.NewV7())
	}
	return all[c.r.IntN(len(all))].ID
}

func (c *chaos) step(ctx context.Context) error {
	id := c.anyone(ctx)
	switch c.r.IntN(7) {
	case 0:
		_, _, err := c.Upsert(ctx, c.person())
		return err
	case 1:
		_, err := c.Patch(ctx, id, c.person())
		return err
	case 2:
		return c.Erase(ctx, id)
	case 3:
		return c.d.Transact(ctx, func(tx *db.Tx) error {
			_, err := c.UpsertMany(ctx, tx, []contact.Draft{c.person(), c.person(), c.person()})
			return err
		})
	case 4:
		return c.d.Transact(ctx, func(tx *db.Tx) error {
			_, err := c.Bind(ctx, tx, id, c.page, c.psid())
			return err
		})
	case 5:
		return c.d.Transact(ctx, func(tx *db.Tx) error {
			return c.Suppress(ctx, tx, []contact.Silence{{Channel: channel.SMS, ContactID: id, Reason: contact.ReasonStop},
				{Channel: channel.Email, Address: "p1@example.com", Reason: contact.ReasonUnsubscribe}})
		})
	}
	return c.d.Transact(ctx, func(tx *db.Tx) error {
		a, b := c.psid(), c.psid()
		got, err := c.FindOrMake(ctx, tx, c.page, []string{a, b})
		if err == nil && (got[a] == uuid.Nil || got[b] == uuid.Nil) {
			return errors.New("a PSID has nobody")
		}
		return errors.Join(err, c.MoveWindow(ctx, tx, c.page, map[string]time.Time{a: noon, b: noon}))
	})
}

// TestNothingThatHappensAtOnceEndsInAnError: a clash is a conflict or somebody
// who is gone, never an internal error, and rules hold all the same.
func TestNothingThatHappensAtOnceEndsInAnError(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() {
				c := &chaos{b, rand.New(rand.NewPCG(7, uint64(i)))}
				for range 60 {
					err := c.step(t.Context())
					if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
						errs[i] = errors.Join(errs[i], err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		b.state(t)
	})
}

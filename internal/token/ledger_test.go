package token_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/queue"
	"beckon/internal/token"
)

func (b *bundle) reserve(t require.TestingT, claims ...token.Claim) map[int64]string {
	got, err := b.tryReserve(claims)
	require.NoError(t, err)
	return got
}

func (b *bundle) tryReserve(claims []token.Claim) (got map[int64]string, err error) {
	ctx := context.Background()
	err = b.d.Transact(ctx, func(tx *db.Tx) error {
		got, err = b.store.Reserve(ctx, tx, claims)
		return err
	})
	return got, err
}

func (b *bundle) settle(t require.TestingT, fates ...token.Fate) (n int) {
	ctx := context.Background()
	require.NoError(t, b.d.Transact(ctx, func(tx *db.Tx) (err error) {
		n, err = b.store.Settle(ctx, tx, fates)
		return err
	}))
	return n
}

func (b *bundle) expire(t require.TestingT) (n int) {
	ctx := context.Background()
	require.NoError(t, b.d.Transact(ctx, func(tx *db.Tx) (err error) {
		n, err = b.store.Expire(ctx, tx, b.now)
		return err
	}))
	return n
}

func TestReserveHandsOutTheValue(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := b.granted(t, 2)
		values := slices.Collect(maps.Keys(ids))
		got := b.reserve(t, token.Claim{1, ids[values[0]]}, token.Claim{2, ids[values[1]]}, token.Claim{3, uuid.New()})
		require.Equal(t, map[int64]string{1: values[0], 2: values[1]}, got)
		require.Equal(t, int64(1), *b.tokens(t)[ids[values[0]]].DeliveryID)
		require.Empty(t, b.reserve(t, token.Claim{4, ids[values[0]]}), "reserved by another")
		require.Empty(t, b.reserve(t))
	})
}

func TestDeliveryHoldsOneToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := slices.Collect(maps.Values(b.granted(t, 3)))
		require.Len(t, b.reserve(t, token.Claim{1, ids[0]}, token.Claim{1, ids[1]}, token.Claim{2, ids[0]}), 1)
		require.Empty(t, b.reserve(t, token.Claim{1, ids[2]}), "holds one already")
		require.Equal(t, 1, b.settle(t, token.Fate{ids[0], 1, token.Available}))
		require.Len(t, b.reserve(t, token.Claim{1, ids[2]}), 1)
	})
}

func TestExpiredTokenIsNotHandedOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for _, id := range b.granted(t, 1) {
			b.now = b.now.AddDate(1, 0, 0)
			require.Empty(t, b.reserve(t, token.Claim{1, id}))
			b.now = b.now.Add(-time.Microsecond)
			require.Len(t, b.reserve(t, token.Claim{1, id}), 1)
		}
	})
}

func TestOnlyTheHolderSettles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := slices.Collect(maps.Values(b.granted(t, 2)))
		b.reserve(t, token.Claim{1, ids[0]})
		require.Equal(t, 1, b.settle(t, token.Fate{ids[0], 1, token.Available}))
		b.reserve(t, token.Claim{2, ids[0]})
		require.Zero(t, b.settle(t, token.Fate{ids[0], 1, token.Available}), "a late fate of the delivery before")
		require.Zero(t, b.settle(t, token.Fate{ids[0], 0, token.Void}), "somebody is sending with it")
		require.Equal(t, 1, b.settle(t, token.Fate{ids[0], 2, token.Spent}))
		require.Zero(t, b.settle(t, token.Fate{ids[0], 2, token.Available}), "spent never goes back")
		require.Equal(t, 1, b.settle(t, token.Fate{TokenID: ids[1], To: token.Void}), "revoked")
		require.Zero(t, b.settle(t))
		for _, f := range []token.Fate{{ids[1], 0, token.Spent}, {ids[1], 1, token.Expired}, {ids[1], 1, token.Reserved}, {ids[1], 1, ""}} {
			require.Error(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				_, err := b.store.Settle(t.Context(), tx, []token.Fate{f})
				return err
			}))
		}
	})
}

// Fifty deliveries, some of them from two jobs at once, want fewer tokens than
// they are, each job in another order.
func TestReserveGivesEachTokenOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		const deliveries, tokens, jobs = 40, 15, 50
		ids := slices.Collect(maps.Values(b.granted(t, tokens)))
		got := make([]map[int64]string, jobs)
		errs := make([]error, jobs)
		var wg sync.WaitGroup
		for j := range jobs {
			var claims []token.Claim
			for k := range 5 {
				claims = append(claims, token.Claim{Delivery: int64((j+k*7)%deliveries + 1), TokenID: ids[(j*3+k*(j%4+1))%tokens]})
			}
			wg.Go(func() { got[j], errs[j] = b.tryReserve(claims) })
		}
		wg.Wait()
		byValue, byDelivery := map[string]int{}, map[int64]int{}
		for j := range jobs {
			if errs[j] != nil {
				require.NotEmpty(t, db.DuplicateOf(errs[j]), "only two jobs for one delivery may clash: %v", errs[j])
				continue
			}
			for delivery, value := range got[j] {
				byValue[value]++
				byDelivery[delivery]++
			}
		}
		for _, n := range slices.Concat(slices.Collect(maps.Values(byValue)), slices.Collect(maps.Values(byDelivery))) {
			require.Equal(t, 1, n)
		}
		held := 0
		for _, tk := range b.tokens(t) {
			if tk.Status == token.Reserved {
				held++
			}
		}
		require.Equal(t, len(byValue), held, "what was handed out is what is written down")
		require.NotZero(t, held)
	})
}

// model is the state machine as the domain says it.
type model struct {
	status  token.Status
	holder  int64
	expires time.Time
}

func (m *model) reserve(c token.Claim, now time.Time, all map[uuid.UUID]*model) bool {
	for _, o := range all {
		if o.status == token.Reserved && o.holder == c.Delivery {
			return false
		}
	}
	if m.status != token.Available || !m.expires.After(now) {
		return false
	}
	m.status, m.holder = token.Reserved, c.Delivery
	return true
}

func (m *model) settle(f token.Fate) {
	if m.status == token.Reserved && m.holder == f.Delivery || m.status == token.Available && f.To == token.Void {
		m.status = f.To
	}
}

func TestAnySequenceKeepsTheLaws(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		start := b.now.Truncate(time.Microsecond)
		rapid.Check(t, func(rt *rapid.T) {
			b.exec(t, "DELETE FROM tokens")
			b.now = start
			all := map[uuid.UUID]*model{}
			for _, id := range b.granted(t, 4) {
				all[id] = &model{token.Available, 0, start.AddDate(1, 0, 0)}
			}
			anyToken := rapid.SampledFrom(slices.SortedFunc(maps.Keys(all), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }))
			delivery := rapid.Int64Range(1, 3)
			over := map[uuid.UUID]token.Status{}
			rt.Repeat(map[string]func(*rapid.T){
				"reserve": func(rt *rapid.T) {
					c := token.Claim{Delivery: delivery.Draw(rt, "delivery"), TokenID: anyToken.Draw(rt, "token")}
					require.Equal(rt, all[c.TokenID].reserve(c, b.now, all), len(b.reserve(rt, c)) == 1)
				},
				"settle": func(rt *rapid.T) {
					f := token.Fate{anyToken.Draw(rt, "token"), delivery.Draw(rt, "delivery"), rapid.SampledFrom([]token.Status{token.Spent, token.Available, token.Void}).Draw(rt, "to")}
					b.settle(rt, f)
					all[f.TokenID].settle(f)
				},
				"wait": func(rt *rapid.T) {
					b.now = b.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(rt, "days")) * 24 * time.Hour)
					b.expire(rt)
					for _, m := range all {
						if m.status == token.Available && !m.expires.After(b.now) {
							m.status = token.Expired
						}
					}
				},
				"": func(rt *rapid.T) { b.holds(t, rt, all, over) },
			})
		})
	})
}

// holds compares what is stored with the model, and checks that what is over
// stays over.
func (b *bundle) holds(t *testing.T, rt *rapid.T, all map[uuid.UUID]*model, over map[uuid.UUID]token.Status) {
	t.Helper()
	stored := b.tokens(t)
	require.Len(rt, stored, len(all))
	for id, m := range all {
		got := stored[id].Status
		if m.status == token.Available && !m.expires.After(b.now) {
			require.Equal(rt, token.Expired, got)
			continue
		}
		require.Equal(rt, m.status, got)
		if was, ok := over[id]; ok {
			require.Equal(rt, was, got)
		}
		if got == token.Spent || got == token.Void || got == token.Expired {
			over[id] = got
		}
	}
}

func TestExpiryJobWritesDownAllThatIsOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ids := slices.Collect(maps.Values(b.granted(t, 1203)))
		b.reserve(t, token.Claim{1, ids[0]})
		q := queue.New(d, slog.New(slog.DiscardHandler))
		token.NewService(b.store, token.Options{}).Register(q)
		require.NoError(t, q.Open())
		run := func() {
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				return q.Insert(t.Context(), tx, queue.Order{Args: token.Expiry{}})
			}))
			require.NoError(t, q.Drain(t.Context(), time.Now()))
		}
		count := func(status string) (n int) {
			require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM tokens WHERE status = ?", status).Scan(&n).Error)
			return n
		}
		run()
		require.Zero(t, count("expired"))
		b.now = b.now.AddDate(1, 0, 0)
		run()
		require.Equal(t, 1202, count("expired"))
		require.Equal(t, 1, count("reserved"), "it is being sent")
	})
}

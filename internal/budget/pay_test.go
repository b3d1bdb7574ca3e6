package budget_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/budget"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/fault"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// bundle is a store with campaigns that are nothing but a budget.
type bundle struct {
	*budget.Store
	t    testing.TB
	d    *db.DB
	page uuid.UUID
}

func setup(t testing.TB, d *db.DB) *bundle {
	t.Helper()
	b := &bundle{budget.NewStore(d, func() time.Time { return noon }), t, d, uuid.New()}
	b.exec("INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, '1', 'p', ?, ?, ?)", b.page, []byte{1}, noon, noon)
	b.exec("INSERT INTO topics (slug, title, created_at, updated_at) VALUES ('courses', 'New courses', ?, ?)", noon, noon)
	return b
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return tx.Exec(sql, args...).Error })
}

func (b *bundle) tx(work func(*db.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), work))
}

// campaign makes a running one with a budget as it is written; "" is none.
func (b *bundle) campaign(written string) uuid.UUID {
	b.t.Helper()
	id := uuid.New()
	b.exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
		VALUES (?, 'c', ?, 'courses', '{}', '[]', '{}', 'running', ?, ?)`, id, b.page, noon, noon)
	b.tx(func(tx *db.Tx) (err error) {
		kept := ""
		if written != "" {
			if kept, err = b.Read(tx, written); err != nil {
				return err
			}
		}
		return b.Set(tx, id, kept)
	})
	return id
}

func (b *bundle) batch(campaign uuid.UUID) uuid.UUID {
	b.t.Helper()
	id := uuid.New()
	b.exec("INSERT INTO batches (id, campaign_id, lane, first_id, last_id, created_at) VALUES (?, ?, 'sms', 1, 9, ?)", id, campaign, noon)
	return id
}

func (b *bundle) prices(money string, countries map[string]string) {
	b.t.Helper()
	p, err := budget.ReadPrices(money, nil, countries)
	require.NoError(b.t, err)
	_, err = b.SetPrices(b.t.Context(), p)
	require.NoError(b.t, err)
}

// texts are as long as the numbers say, all to Britain.
func texts(segments ...int) (out []channel.Text) {
	for _, n := range segments {
		out = append(out, channel.Text{To: "+447700900123", Segments: n})
	}
	return out
}

func (b *bundle) pay(campaign, batch uuid.UUID, all []channel.Text) (out []channel.Payment) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) (err error) {
		out, err = b.Pay(tx, campaign, batch, all)
		return err
	})
	return out
}

func words(all []channel.Payment) (out []channel.Paid) {
	for _, p := range all {
		out = append(out, p.Paid)
	}
	return out
}

func (b *bundle) refund(campaign uuid.UUID, all ...channel.Payment) {
	b.t.Helper()
	b.tx(func(tx *db.Tx) error { return b.Refund(tx, campaign, all) })
}

func (b *bundle) spent(campaign uuid.UUID) budget.Spent {
	b.t.Helper()
	s, err := b.Spent(b.t.Context(), campaign)
	require.NoError(b.t, err)
	return s
}

func (b *bundle) reached() int {
	b.t.Helper()
	list, err := event.NewStore(b.d, func() time.Time { return noon.Add(time.Hour) }).List(b.t.Context(), uuid.Nil, 100, event.Filter{Type: event.BudgetReached})
	require.NoError(b.t, err)
	return len(list)
}

func TestTheFirstTextThatIsTooMuchEndsThePaying(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.campaign(`{"sms_segments": 5}`)
		batch := b.batch(c)
		paid := b.pay(c, batch, texts(2, 2, 2, 1))
		require.Equal(t, []channel.Paid{channel.PaidFor, channel.PaidFor, channel.NotYet, channel.NotYet}, words(paid))
		require.Nil(t, b.spent(c).ReachedAt, "some of it may come back")
		b.refund(c, paid[0])
		require.Equal(t, []channel.Paid{channel.PaidFor, channel.PaidFor}, words(b.pay(c, batch, texts(2, 1))))
		require.Equal(t, int64(5), b.spent(c).Segments)
		require.Equal(t, []channel.Paid{channel.NotYet}, words(b.pay(c, batch, texts(1))))
		require.Equal(t, noon, b.spent(c).ReachedAt.UTC())
		b.refund(c, paid[1])
		require.Equal(t, []channel.Paid{channel.NotYet}, words(b.pay(c, batch, texts(1))), "once reached it stays so")
		require.Equal(t, 1, b.reached())
		b.tx(func(tx *db.Tx) error { return b.Set(tx, c, `{"sms_segments":4,"when_reached":"wait"}`) })
		require.Equal(t, []channel.Paid{channel.PaidFor, channel.NotYet}, words(b.pay(c, batch, texts(1, 1))), "what was spent counts on")
	})
}

// As long as another batch has something on its way, of the campaign or of its
// escalation, nothing is decided.
func TestABudgetIsNotReachedWhileSomethingMayComeBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.campaign(`{"sms_segments": 2}`)
		child := b.campaign("")
		b.exec("UPDATE campaigns SET escalation_of = ? WHERE id = ?", c, child)
		first, second := b.batch(child), b.batch(c)
		b.pay(c, first, texts(2))
		require.Equal(t, []channel.Paid{channel.NotYet}, words(b.pay(c, second, texts(1))))
		require.Nil(t, b.spent(c).ReachedAt)
		b.tx(func(tx *db.Tx) error { return b.Handed(tx, first) })
		b.pay(c, second, texts(1))
		require.NotNil(t, b.spent(c).ReachedAt)
	})
}

func TestWithoutALimitEverythingIsCountedAndNothingStopped(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		c := b.campaign("")
		batch := b.batch(c)
		b.pay(c, batch, texts(3))
		b.prices("EUR", map[string]string{"GB": "0.04"})
		paid := b.pay(c, batch, append(texts(2), channel.Text{To: "+14155550123", Segments: 1}))
		s := b.spent(c)
		require.Equal(t, []any{int64(6), int64(4), "0.08", "EUR"}, []any{s.Segments, s.Unpriced, s.Amount.String(), s.Currency})
		b.refund(c, paid...)
		s = b.spent(c)
		require.Equal(t, []any{int64(3), int64(3), "0.00"}, []any{s.Segments, s.Unpriced, s.Amount.String()})

		b.pay(c, batch, texts(1))
		b.prices("USD", map[string]string{"GB": "0.05"}) // no budget in money: nobody minds
		b.pay(c, batch, texts(1))
		s = b.spent(c)
		require.Equal(t, []any{int64(5), int64(4), "0.04", "EUR"}, []any{s.Segments, s.Unpriced, s.Amount.String(), s.Currency}, "two kinds of money are never added")
		require.Zero(t, b.spent(uuid.New()))
		require.Equal(t, []channel.Paid{channel.PaidFor}, words(b.pay(uuid.New(), batch, texts(1))), "nobody asked that it be counted")
	})
}

func TestABudgetInMoneySendsNothingThatHasNoPrice(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.prices("EUR", map[string]string{"GB": "0.04", "IE": "0"})
		c := b.campaign(`{"sms_amount": "0.12"}`)
		batch := b.batch(c)
		all := append(texts(1), channel.Text{To: "+14155550123", Segments: 1}, channel.Text{To: "+353851234567", Segments: 9})
		require.Equal(t, []channel.Paid{channel.PaidFor, channel.Unpriced, channel.PaidFor}, words(b.pay(c, batch, all)), "free is a price")
		require.Equal(t, []channel.Paid{channel.PaidFor, channel.NotYet}, words(b.pay(c, batch, texts(2, 1))), "to the last cent")

		p, err := budget.ReadPrices("USD", nil, nil)
		require.NoError(t, err)
		_, err = b.SetPrices(t.Context(), p)
		require.True(t, fault.HasCode(err, "currency_in_use"), err)
		b.exec("UPDATE campaigns SET state = 'finished'")
		_, err = b.SetPrices(t.Context(), p)
		require.NoError(t, err)
	})
}

// A budget in money that is set later cannot know what was spent in another
// currency before.
func TestANewCurrencyBeginsAtNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.prices("EUR", map[string]string{"GB": "0.04"})
		c := b.campaign("")
		batch := b.batch(c)
		before := b.pay(c, batch, texts(1, 1))
		b.prices("USD", map[string]string{"GB": "0.05"})
		b.tx(func(tx *db.Tx) error {
			return b.Set(tx, c, `{"sms_amount":"1.00","currency":"USD","when_reached":"wait"}`)
		})
		b.pay(c, batch, texts(1))
		b.refund(c, before[0])
		s := b.spent(c)
		require.Equal(t, []any{int64(2), int64(1), "0.05", "USD"}, []any{s.Segments, s.Unpriced, s.Amount.String(), s.Currency})
	})
}

func TestMistakesOfABudgetAreNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.prices("EUR", nil)
		for written, want := range map[string]string{
			`{}`:                                  "/budget required",
			`[]`:                                  "/budget bad_budget",
			`{"cents":1}`:                         "/budget bad_budget",
			`{"sms_segments":0}`:                  "/budget/sms_segments out_of_range",
			`{"sms_segments":1000000001}`:         "/budget/sms_segments out_of_range",
			`{"sms_amount":"1,5"}`:                "/budget/sms_amount bad_amount",
			`{"sms_amount":"0.00"}`:               "/budget/sms_amount out_of_range",
			`{"sms_amount":"1","currency":"USD"}`: "/budget/currency other_currency",
			`{"sms_segments":1,"currency":"EUR"}`: "/budget/currency needs_amount",
			`{"sms_segments":1,"when_reached":"stop"}`: "/budget/when_reached not_allowed",
		} {
			b.tx(func(tx *db.Tx) error {
				_, err := b.Read(tx, written)
				require.True(t, fault.Is(err, fault.Invalid), written)
				var f *fault.Error
				require.ErrorAs(t, err, &f)
				require.Equal(t, want, f.Fields[0].Pointer+" "+f.Fields[0].Code, written)
				return nil
			})
		}
		b.tx(func(tx *db.Tx) error {
			kept, err := b.Read(tx, `{"sms_amount":"25.00"}`)
			require.JSONEq(t, `{"sms_amount":"25.00","currency":"EUR","when_reached":"fall_through"}`, kept)
			return err
		})
	})
}

// In whatever order texts are paid for and given back, what is on its way or gone
// never comes to more than the budget, and the count is exact.
func TestNoOrderOfPayingExceedsABudget(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.prices("EUR", map[string]string{"GB": "0.03", "US": "0.07"})
		rapid.Check(t, func(rt *rapid.T) {
			most, money := rapid.Int64Range(1, 30).Draw(rt, "segments"), rapid.Int64Range(1, 200).Draw(rt, "cents")
			c := b.campaign(fmt.Sprintf(`{"sms_segments":%d,"sms_amount":"%d.%02d"}`, most, money/100, money%100))
			batches := []uuid.UUID{b.batch(c), b.batch(c)}
			var out []channel.Payment
			var segments, amount int64
			for range rapid.IntRange(1, 8).Draw(rt, "steps") {
				if len(out) > 0 && rapid.Bool().Draw(rt, "refund") {
					n := rapid.IntRange(0, len(out)-1).Draw(rt, "which")
					b.refund(c, out[n])
					segments, amount = segments-int64(out[n].Segments), amount-out[n].Amount
					out = append(out[:n], out[n+1:]...)
					continue
				}
				var all []channel.Text
				for _, n := range rapid.SliceOfN(rapid.IntRange(1, 12), 1, 6).Draw(rt, "texts") {
					all = append(all, channel.Text{To: rapid.SampledFrom([]string{"+447700900123", "+14155550123"}).Draw(rt, "to"), Segments: n})
				}
				for _, p := range b.pay(c, rapid.SampledFrom(batches).Draw(rt, "batch"), all) {
					if p.Paid == channel.PaidFor {
						out, segments, amount = append(out, p), segments+int64(p.Segments), amount+p.Amount
					}
				}
				require.LessOrEqual(rt, segments, most)
				require.LessOrEqual(rt, amount, money*10_000)
				s := b.spent(c)
				require.Equal(rt, []int64{segments, amount}, []int64{s.Segments, int64(s.Amount)})
			}
		})
	})
}

func TestAnAmountTooLargeToCountIsTooMuch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.prices("EUR", map[string]string{"GB": "1000"})
		c := b.campaign(`{"sms_amount": "1000000000"}`)
		require.Equal(t, []channel.Paid{channel.NotYet}, words(b.pay(c, b.batch(c), texts(math.MaxInt64))))
	})
}

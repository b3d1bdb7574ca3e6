package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/route"
	"beckon/internal/simulator"
)

// readers is a bundle with n people who get e-mail and nothing else.
func readers(t *testing.T, d *db.DB, n int) (*bundle, []made) {
	t.Helper()
	b := setup(t, d, options{size: dispatch.Sizes{Page: 500, Batch: 500, Parallel: 4}})
	people := make([]made, n)
	for i := range people {
		people[i] = b.make(human{email: "new"})
	}
	return b, people
}

func byMail(p *campaign.Patch) { p.Route = &[]channel.Lane{channel.LaneEmail, channel.LaneSMS} }

// rows are a campaign's deliveries, by contact.
func (b *bundle) rows(c campaign.Campaign) map[string]delivery.Delivery {
	b.t.Helper()
	list, err := b.ledger.List(b.t.Context(), delivery.Filter{Campaign: c.ID, Limit: 1000})
	require.NoError(b.t, err)
	out := map[string]delivery.Delivery{}
	for _, d := range list {
		out[d.ContactID.String()] = d
	}
	return out
}

// TestThreeBadAddressesOfFiveHundredCostOnlyThemselves has SendGrid refuse every
// request that holds one of three people.
func TestThreeBadAddressesOfFiveHundredCostOnlyThemselves(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, people := readers(t, d, 500)
		bad := map[int]bool{0: true, 250: true, 499: true}
		for i := range bad {
			b.sim.Refuse(simulator.SendGrid, people[i].email, "invalid")
		}
		c := b.draft(byMail)
		r := b.sendOut(c)
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 497, delivery.Failed: 3}, r.LinkBack.States)
		rows, taken := b.rows(c), b.sim.AcceptedBy(simulator.SendGrid)
		require.Len(t, taken, 497)
		for i, who := range people {
			got := rows[who.id.String()]
			if !bad[i] {
				require.Equal(t, 1, taken[who.email], "person %d", i)
				continue
			}
			require.Equal(t, []string{"failed", "gone"}, []string{string(got.State), got.Reason}, "person %d", i)
			_, attempts := b.of(c, who)
			require.Equal(t, []string{"gone", "400", "not an e-mail address"}, []string{string(attempts[0].Outcome), attempts[0].Code, attempts[0].Detail})
			reach, err := b.engine.Reach(t.Context(), who.id, b.page.ID, "courses")
			require.NoError(t, err)
			require.Equal(t, route.Suppressed, reach[channel.LaneEmail].Why())
		}
		b.sendOut(b.draft(byMail))
		require.Len(t, b.sim.AcceptedBy(simulator.SendGrid), 497, "nor is it tried another time")
	})
}

// TestALostAnswerToFiveHundredIsSettledByEventsAndNothingIsResent loses the
// answer to everything. SendGrid's events then tell of each mail.
func TestALostAnswerToFiveHundredIsSettledByEventsAndNothingIsResent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, people := readers(t, d, 500)
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{LostAnswerRate: 1})
		c := b.draft(byMail)
		r := b.sendOut(c)
		require.Equal(t, map[delivery.State]int{delivery.Unknown: 500}, r.LinkBack.States)
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{})
		b.advance(time.Hour)
		b.reconcile()
		b.drain()
		require.Equal(t, 500, b.report(c).Settling, "SendGrid cannot be asked, so nobody guesses")

		var receipts []delivery.Receipt
		var words []dispatch.Word
		for i, who := range people {
			mails := b.sim.Mail(who.email)
			require.Len(t, mails, 1)
			id, ok := b.marks.Parse(mails[0].CustomArgs["bk_delivery"])
			require.True(t, ok)
			switch {
			case i < 3:
				words = append(words, dispatch.Word{Delivery: id, Address: who.email, Result: channel.Result{Outcome: channel.Gone, Code: "bounce/5.1.1", ProviderID: mails[0].MessageID + ".recvd"}})
			case i < 400:
				receipts = append(receipts, delivery.Receipt{Delivery: id, Channel: channel.Email, Kind: channel.EventAccepted, ProviderID: mails[0].MessageID + ".recvd", At: b.now()},
					delivery.Receipt{Delivery: id, Channel: channel.Email, Kind: channel.EventDelivered, ProviderID: mails[0].MessageID + ".recvd", At: b.now()})
			default:
				receipts = append(receipts, delivery.Receipt{Delivery: id, Channel: channel.Email, Kind: channel.EventAccepted, ProviderID: mails[0].MessageID + ".recvd", At: b.now()})
			}
		}
		for range 2 {
			b.tx(func(tx *db.Tx) error { return b.ledger.Mark(tx, receipts) })
			require.NoError(t, b.engine.Late(t.Context(), channel.Email, words))
			b.drain()
		}
		require.Equal(t, map[delivery.State]int{delivery.Delivered: 397, delivery.Accepted: 100, delivery.Failed: 3}, b.report(c).LinkBack.States)
		for to, n := range b.sim.AcceptedBy(simulator.SendGrid) {
			require.Equal(t, 1, n, to)
		}
	})
}

// TestAnAddressThatDidNotWorkIsCountedWhoeverTells has the sender itself say so,
// and callbacks: each campaign is one miss, and the person goes on to the next lane.
func TestAnAddressThatDidNotWorkIsCountedWhoeverTells(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
			if s.Kind() == channel.Email {
				return fullMailbox{s}
			}
			return s
		}})
		who := b.make(human{email: "new", phone: "new"})
		suppressed := func() bool {
			is, err := b.contacts.IsSuppressed(t.Context(), channel.Email, who.email)
			require.NoError(t, err)
			return is
		}
		for n := range 3 {
			require.False(t, suppressed(), "after %d campaigns", n)
			c := b.draft(byMail)
			b.sendOut(c)
			row, attempts := b.of(c, who)
			require.Equal(t, channel.LaneSMS, row.Lane)
			require.Equal(t, channel.Refused, attempts[0].Outcome)
			if n > 0 {
				continue
			}
			b.tx(func(tx *db.Tx) error { // what a callback says of the same message
				return b.contacts.Miss(t.Context(), tx, []contact.Missed{{Channel: channel.Email, Address: who.email, Delivery: row.ID, At: b.now()}})
			})
		}
		require.True(t, suppressed())
		require.Len(t, b.sim.Texts(who.phone), 3)
	})
}

// fullMailbox takes no mail for anybody.
type fullMailbox struct{ channel.Sender }

func (fullMailbox) Send(_ context.Context, batch channel.Batch) []channel.Result {
	out := make([]channel.Result, len(batch.Messages))
	for i := range out {
		out[i] = channel.Result{Outcome: channel.Refused, Soft: true, Code: "4.2.2"}
	}
	return out
}

// TestALateWordIsAboutTheAddressItWentTo has a person change their e-mail address
// between a mail and its bounce.
func TestALateWordIsAboutTheAddressItWentTo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, people := readers(t, d, 1)
		c := b.draft(byMail)
		b.sendOut(c)
		row, _ := b.of(c, people[0])
		_, err := b.contacts.Patch(t.Context(), people[0].id, contact.Draft{Email: contact.Of("new@example.com")})
		require.NoError(t, err)
		require.NoError(t, b.engine.Late(t.Context(), channel.Email, []dispatch.Word{{Delivery: row.ID, Address: people[0].email, Result: channel.Result{Outcome: channel.OptedOut, Refusal: channel.ByComplaint}}}))
		for address, want := range map[string]bool{people[0].email: true, "new@example.com": false} {
			is, err := b.contacts.IsSuppressed(t.Context(), channel.Email, address)
			require.NoError(t, err)
			require.Equal(t, want, is)
		}
		rows, _, err := b.contacts.Suppressions(t.Context(), contact.SuppressionFilter{Channel: channel.Email}, uuid.Nil, 5)
		require.NoError(t, err)
		require.Equal(t, contact.ReasonComplaint, rows[0].Reason)
	})
}

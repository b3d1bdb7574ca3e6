package dispatch

import (
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
)

// budgetLook is how soon a batch that waits for its campaign's budget to be raised
// looks again; roomLook the same while it is not sure yet that it is reached.
const (
	budgetLook = 10 * time.Second
	roomLook   = time.Second
)

// codeNoPrice is why a text is not sent whose price a budget cannot be charged.
const codeNoPrice = "no_price"

// pay takes what the texts of a chunk cost out of the campaign's budget, in the
// transaction that claims them: before any of them is handed over. Those for
// which there is not enough go back and are decided again, when it is known
// whether the budget is reached.
func (r *run) pay(tx *db.Tx, s *step) ([]delivery.Move, error) {
	if r.batch.Lane != channel.LaneSMS || len(s.going) == 0 {
		return nil, nil
	}
	l := r.compose(s.going)
	texts := make([]channel.Text, len(l.batch.Messages))
	for i, m := range l.batch.Messages {
		texts[i] = channel.Text{To: m.To, Segments: r.engine.unitsOf(r.batch.Lane, m)}
	}
	payments, err := r.engine.Purse.Pay(tx, r.def.Payer, r.batch.ID, texts)
	if err != nil {
		return nil, err
	}
	back := r.sort(s, &l, payments)
	s.letters = &l
	if len(s.going) == 0 {
		s.wait = roomLook
	}
	return back, nil
}

// sort keeps what is paid for, and what can be sent to nobody.
func (r *run) sort(s *step, l *letters, payments []channel.Payment) (back []delivery.Move) {
	byID := make(map[int64]channel.Payment, len(payments))
	paid := l.batch.Messages[:0]
	for i, m := range l.batch.Messages {
		byID[m.Delivery] = payments[i]
		switch payments[i].Paid {
		case channel.PaidFor:
			paid = append(paid, m)
		case channel.Unpriced:
			l.refused[m.Delivery] = channel.Result{Outcome: channel.Refused, Code: codeNoPrice, Detail: "the budget is in money, and the prices name none for this country"}
		}
	}
	l.batch.Messages = paid
	kept := s.going[:0]
	for _, g := range s.going {
		p := byID[g.ID]
		if p.Paid == channel.NotYet {
			back = append(back, delivery.Move{Delivery: g.ID, Lane: r.batch.Lane, Attempts: g.Attempt - 1})
			continue
		}
		g.paid = p
		kept = append(kept, g)
	}
	s.going = kept
	return back
}

// untaken are the payments for texts that a provider definitely did not take, each
// once: only what moved in the ledger counts. What is unknown stays paid for, and
// so does what failed after it had been taken.
func untaken(outcomes []settled, moved map[int64]bool) (out []channel.Payment) {
	for _, o := range outcomes {
		taken := o.result.Outcome == channel.Accepted || o.result.Outcome == channel.Unknown
		if !taken && o.paid.Segments > 0 && moved[o.Delivery] {
			out = append(out, o.paid)
		}
	}
	return out
}

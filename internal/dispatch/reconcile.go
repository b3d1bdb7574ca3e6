package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
)

// ReconcileJob asks providers for messages of which it is not known whether they
// were taken.
type ReconcileJob struct{}

// Kind names the job.
func (ReconcileJob) Kind() string { return "dispatch.reconcile" }

const (
	reconcileEvery = time.Minute
	huntAtOnce     = 100 // messages asked for in one go
)

// handleReconcile lets providers be asked, where there are any that can be.
func (e *Engine) handleReconcile() {
	if len(e.finders()) == 0 {
		return
	}
	queue.Keep(e.Queue, reconcileEvery, ReconcileJob{}, e.Reconcile)
}

// finders are the lanes whose messages can be asked for.
func (e *Engine) finders() map[channel.Lane]channel.Finder {
	out := map[channel.Lane]channel.Finder{}
	for _, lane := range campaign.Lanes() {
		if f, ok := e.Senders[lane.Kind()].(channel.Finder); ok {
			out[lane] = f
		}
	}
	return out
}

// Reconcile looks for unknown deliveries at the providers that can be asked,
// each some minutes after its try, then after a longer time, and once more. What
// is found counts as if a callback had told it; what is not found stays unknown:
// nothing is ever sent because of it.
func (e *Engine) Reconcile(ctx context.Context) error {
	end := e.Now().Add(workFor)
	for lane, finder := range e.finders() {
		for more := true; more && e.Now().Before(end); {
			var err error
			if more, err = e.hunt(ctx, lane, finder); err != nil {
				return fmt.Errorf("look for unknown deliveries: %w", err)
			}
		}
	}
	return nil
}

// hunt makes one go. More says that another may be made at once.
func (e *Engine) hunt(ctx context.Context, lane channel.Lane, finder channel.Finder) (more bool, err error) {
	var hunts []delivery.Hunt
	err = e.db.Transact(ctx, func(tx *db.Tx) (err error) {
		hunts, err = e.Ledger.Hunts(tx, lane, huntAtOnce)
		return err
	})
	if err != nil || len(hunts) == 0 {
		return false, err
	}
	findings := e.find(ctx, finder, hunts)
	if err := e.believe(ctx, lane.Kind(), hunts, findings); err != nil {
		return false, err
	}
	slow := false
	for _, f := range findings {
		slow = slow || f.Found == channel.SlowDown
	}
	e.logHunt(ctx, lane, findings)
	return len(hunts) == huntAtOnce && !slow, nil
}

// find asks for those that there is somebody to ask about.
func (e *Engine) find(ctx context.Context, finder channel.Finder, hunts []delivery.Hunt) map[int64]channel.Finding {
	var sought []channel.Sought
	for _, h := range hunts {
		if h.To != "" {
			sought = append(sought, channel.Sought{Delivery: h.Delivery, To: h.To, Since: h.Started, Link: e.Link(h.Delivery)})
		}
	}
	out := make(map[int64]channel.Finding, len(sought))
	if len(sought) == 0 {
		return out
	}
	for i, f := range finder.Find(ctx, sought) {
		out[sought[i].Delivery] = f
	}
	return out
}

// believe acts on findings and writes the look-ups down last: cut off in
// between, they are made again.
func (e *Engine) believe(ctx context.Context, kind channel.Kind, hunts []delivery.Hunt, findings map[int64]channel.Finding) error {
	var receipts []delivery.Receipt
	var words []Word
	for _, h := range hunts {
		switch f := findings[h.Delivery]; f.Found {
		case channel.Taken:
			receipts = append(receipts, delivery.Receipt{Delivery: h.Delivery, Channel: kind, Kind: f.Kind, ProviderID: f.ProviderID, At: e.Now()})
		case channel.Failed:
			words = append(words, Word{Delivery: h.Delivery, Address: h.To, Result: f.Why})
		}
	}
	if err := e.Late(ctx, kind, words); err != nil {
		if errors.Is(err, ErrInFlight) { // sent again meanwhile: that look-up is of no use any more, the others are made again
			return nil
		}
		return err
	}
	return e.db.Transact(ctx, func(tx *db.Tx) error {
		if err := e.Ledger.Mark(tx, receipts); err != nil {
			return err
		}
		return e.Ledger.Looked(tx, hunts, func(h delivery.Hunt) bool {
			f := findings[h.Delivery].Found
			return f != channel.CannotSay && f != channel.SlowDown
		})
	})
}

func (e *Engine) logHunt(ctx context.Context, lane channel.Lane, findings map[int64]channel.Finding) {
	count := map[channel.Found]int{}
	for _, f := range findings {
		count[f.Found]++
	}
	args := []any{"lane", lane}
	for _, f := range []channel.Found{channel.Taken, channel.Failed, channel.NotThere, channel.CannotSay, channel.SlowDown} {
		if count[f] > 0 {
			args = append(args, string(f), count[f])
		}
	}
	e.Log.InfoContext(ctx, "unknown deliveries looked up", args...)
}

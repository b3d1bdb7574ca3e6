package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/token"
)

// told is one call that a provider got, and the truth about it.
type told struct {
	delivery int64
	lane     channel.Lane
	to       string
	token    string
	answer   channel.Outcome
	taken    bool // with Unknown: whether the provider took it after all
	at       time.Time
}

// world is providers that answer as chance has it, and remember every call.
type world struct {
	mu    sync.Mutex
	seed  uint64
	first int64 // number of the campaign's deliveries, so that a run can be repeated
	dies  int   // the call in which the node dies; 0 is none
	calls []told
	now   func() time.Time
}

// fate is the answer to the n-th call about a delivery: the same whenever it is asked.
func (w *world) fate(id int64, lane channel.Lane, n int) (channel.Outcome, bool) {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, w.seed, id-w.first, lane, n)
	x := h.Sum64()
	all := []channel.Outcome{channel.Accepted, channel.Accepted, channel.Unknown, channel.TryLater, channel.Refused, channel.Gone, channel.TokenDead, channel.OptedOut}
	return all[x%uint64(len(all))], x>>32%2 == 0
}

// scripted is one channel of the world.
type scripted struct {
	channel.Sender
	world *world
}

var errKilled = errors.New("kill -9")

func (s scripted) Send(_ context.Context, b channel.Batch) []channel.Result {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]channel.Result, len(b.Messages))
	for i, m := range b.Messages {
		n := 0
		for _, c := range w.calls {
			if c.delivery == m.Delivery {
				n++
			}
		}
		answer, taken := w.fate(m.Delivery, b.Lane, n)
		w.dies--
		if w.dies == 0 {
			w.calls = append(w.calls, told{m.Delivery, b.Lane, m.To, m.Token, channel.Unknown, taken, w.now()})
			panic(errKilled)
		}
		w.calls = append(w.calls, told{m.Delivery, b.Lane, m.To, m.Token, answer, taken, w.now()})
		out[i] = channel.Result{Outcome: answer, Code: "x", ProviderID: "id"}
	}
	return out
}

// trial is one random run: a campaign, the providers, and what was seen so far.
type trial struct {
	*bundle
	rt      *rapid.T
	world   *world
	c       campaign.Campaign
	crowd   []made
	last    map[int64]delivery.Delivery
	refused map[int64]map[channel.Lane]bool // by a callback
}

// drained starts a node that has died again, and works until nothing is due or
// the node dies once more. Callbacks may come in between.
func (x *trial) drained() {
	x.tx(func(tx *db.Tx) error {
		return tx.Exec("UPDATE river_job SET state = 'available' WHERE state = 'running'").Error
	})
	x.resumed()
	_ = x.died()
}

func (x *trial) died() (yes bool) {
	defer func() {
		if r := recover(); r != nil {
			err, ok := r.(error)
			yes = ok && errors.Is(err, errKilled)
			if !yes {
				panic(r)
			}
		}
	}()
	require.NoError(x.rt, x.queue.Drain(x.t.Context(), x.now()))
	return false
}

// proof picks a call that the provider has taken, whatever it answered.
func (x *trial) proof() (told, bool) {
	var taken []told
	for _, c := range x.world.calls {
		if c.answer == channel.Accepted || c.answer == channel.Unknown && c.taken {
			taken = append(taken, c)
		}
	}
	if len(taken) == 0 {
		return told{}, false
	}
	return rapid.SampledFrom(taken).Draw(x.rt, "about"), true
}

// callback tells the ledger something true, at any time and any number of times.
func (x *trial) callback() {
	c, ok := x.proof()
	if !ok {
		return
	}
	kind := c.lane.Kind()
	what := rapid.SampledFrom([]channel.EventKind{channel.EventAccepted, channel.EventDelivered, channel.EventRead, channel.EventFailed}).Draw(x.rt, "event")
	for range rapid.IntRange(1, 2).Draw(x.rt, "times") {
		switch {
		case what != channel.EventFailed:
			r := delivery.Receipt{Delivery: c.delivery, Channel: kind, Kind: what, ProviderID: "id", At: x.now()}
			x.tx(func(tx *db.Tx) error { return x.ledger.Mark(tx, []delivery.Receipt{r, r}) })
		case kind == channel.Messenger: // has no such callback, but watermarks
			x.tx(func(tx *db.Tx) error {
				return x.ledger.MarkUpTo(tx, x.page.ID, []delivery.Watermark{{PSID: c.to, At: x.now(), Read: true}})
			})
		default:
			word := dispatch.Word{Delivery: c.delivery, Result: channel.Result{Outcome: channel.Gone, Code: "y"}}
			err := x.engine.Late(x.t.Context(), kind, []dispatch.Word{word, word})
			if errors.Is(err, dispatch.ErrInFlight) {
				continue // it will be told again
			}
			require.NoError(x.rt, err)
			if x.refused[c.delivery] == nil {
				x.refused[c.delivery] = map[channel.Lane]bool{}
			}
			x.refused[c.delivery][c.lane] = true
		}
	}
}

func (x *trial) step() {
	ctx, id := x.t.Context(), x.c.ID
	switch rapid.IntRange(0, 8).Draw(x.rt, "step") {
	case 0, 1:
		x.drained()
	case 2, 3:
		x.callback()
	case 4:
		x.advance(time.Duration(rapid.IntRange(1, 120).Draw(x.rt, "seconds")) * time.Second)
	case 5:
		x.world.dies = rapid.IntRange(1, 5).Draw(x.rt, "dies")
		x.drained()
	case 6:
		_, _ = x.campaigns.Pause(ctx, id) // from some states it cannot be
	case 7:
		_, _ = x.campaigns.Resume(ctx, id)
	case 8: // recurring tokens have rested
		x.advance(token.Rest)
	}
	x.forward()
}

var order = map[delivery.State]int{delivery.Pending: 0, delivery.Held: 0, delivery.Sending: 1, delivery.Unknown: 2, delivery.Accepted: 3, delivery.Delivered: 4,
	delivery.Failed: 5, delivery.Unreachable: 5, delivery.Cancelled: 5, delivery.Expired: 5}

// forward checks that no delivery has moved back: only a definite refusal puts
// one on the start again, further down its route.
func (x *trial) forward() {
	x.report(x.c) // checks the partition
	list, err := x.ledger.List(x.t.Context(), delivery.Filter{Campaign: x.c.ID, Limit: 1000})
	require.NoError(x.rt, err)
	for _, now := range list {
		was, seen := x.last[now.ID]
		x.last[now.ID] = now
		if !seen {
			continue
		}
		place := func(d delivery.Delivery) []int { return []int{d.RouteFrom, d.Attempt, order[d.State]} }
		require.GreaterOrEqual(x.rt, slices.Compare(place(now), place(was)), 0, "%s after %s", now.State, was.State)
		require.Equal(x.rt, was.ContactID, now.ContactID)
	}
}

// oneVoice checks every call against those before it.
func (x *trial) oneVoice() {
	open, over, spent := map[int64]channel.Lane{}, map[int64]map[channel.Lane]bool{}, map[string]bool{}
	for _, c := range x.world.calls {
		if lane, isOpen := open[c.delivery]; isOpen {
			require.True(x.rt, x.refused[c.delivery][lane], "a second message on %s while the one on %s was not refused", c.lane, lane)
		}
		require.False(x.rt, over[c.delivery][c.lane], "lane %s a second time after a refusal", c.lane)
		if c.lane == channel.OneTime {
			require.False(x.rt, spent[c.token], "a token went out twice")
		}
		delete(open, c.delivery)
		switch c.answer {
		case channel.Accepted, channel.Unknown:
			open[c.delivery] = c.lane
			spent[c.token] = c.token != ""
		case channel.TryLater:
		default:
			if over[c.delivery] == nil {
				over[c.delivery] = map[channel.Lane]bool{}
			}
			over[c.delivery][c.lane] = true
		}
	}
}

// settled checks the end: nobody is forgotten, and no token is left reserved.
func (x *trial) settled() {
	require.Len(x.rt, x.last, len(x.crowd), "one delivery for each contact")
	called := map[int64]bool{}
	for _, c := range x.world.calls {
		called[c.delivery] = true
	}
	for _, row := range x.last {
		switch row.State {
		case delivery.Pending, delivery.Held, delivery.Sending:
			require.Fail(x.rt, "a delivery was forgotten", "%s", row.State)
		case delivery.Accepted, delivery.Delivered:
			require.True(x.rt, called[row.ID])
		}
	}
	for _, who := range x.crowd {
		require.Zero(x.rt, x.tokenStates(who)[token.Reserved])
	}
	require.Zero(x.rt, x.held())
}

// held counts the recurring tokens that a delivery holds.
func (b *bundle) held() (n int) {
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM recurring_tokens WHERE held_by IS NOT NULL").Row().Scan(&n))
	return n
}

// thrift checks that texts which may have been taken, of one segment each, are no
// more than the budget and all counted, whatever became of the node.
func (x *trial) thrift(most int64) {
	paid := int64(0)
	for _, c := range x.world.calls {
		if c.lane == channel.LaneSMS && (c.answer == channel.Accepted || c.answer == channel.Unknown) {
			paid++
		}
	}
	spent := x.spent(x.c).Segments
	require.LessOrEqual(x.rt, paid, spent)
	require.LessOrEqual(x.rt, spent, most)
}

// rests checks that no recurring token is used again before its time, whichever
// campaign wants it and whatever became of the node.
func (x *trial) rests() {
	last := map[string]time.Time{}
	for _, c := range x.world.calls {
		if c.lane != channel.Recurring || c.answer != channel.Accepted && c.answer != channel.Unknown {
			continue
		}
		if at, used := last[c.token]; used {
			require.GreaterOrEqual(x.rt, c.at.Sub(at), token.Rest, "a recurring token was used again too soon")
		}
		last[c.token] = c.at
	}
}

// TestTheRulesHoldInAnyOrderOfEvents drives campaigns through random answers,
// deaths of the node, pauses and callbacks in any order and number.
func TestTheRulesHoldInAnyOrderOfEvents(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := &world{}
		b := setup(t, d, options{size: dispatch.Sizes{Page: 5, Batch: 4, Parallel: 2}, wrap: func(s channel.Sender) channel.Sender { return scripted{s, w} }})
		w.now = b.now
		b.template(channel.TemplateApproved)
		rapid.Check(t, func(rt *rapid.T) {
			b.sim.Reset()
			b.tx(func(tx *db.Tx) error { return tx.Exec("DELETE FROM contacts").Error })
			w.seed, w.dies, w.calls = rapid.Uint64().Draw(rt, "seed"), 0, nil
			x := &trial{bundle: b, rt: rt, world: w, last: map[int64]delivery.Delivery{}, refused: map[int64]map[channel.Lane]bool{}}
			for _, h := range rapid.SliceOfN(rapid.Custom(drawHuman), 1, 8).Draw(rt, "crowd") {
				x.crowd = append(x.crowd, b.make(h))
			}
			require.NoError(rt, d.Read(t.Context()).Raw("SELECT next FROM counters WHERE name = 'delivery'").Row().Scan(&w.first))
			most := rapid.Int64Range(1, 6).Draw(rt, "segments")
			x.c = b.draft(func(p *campaign.Patch) {
				allLanes(p)
				p.Budget = json.RawMessage(fmt.Sprintf(`{"sms_segments": %d}`, most))
			})
			b.start(x.c)
			rival := b.draft(func(p *campaign.Patch) { p.Route = &[]channel.Lane{channel.Recurring} })
			b.start(rival)
			for range rapid.IntRange(1, 20).Draw(rt, "steps") {
				x.step()
			}
			_, _ = b.campaigns.Resume(t.Context(), x.c.ID)
			for range 20 {
				x.drained()
				x.forward()
				b.advance(time.Minute)
			}
			require.Equal(rt, campaign.Finished, b.state(x.c))
			require.Equal(rt, campaign.Finished, b.state(rival))
			x.oneVoice()
			x.thrift(most)
			x.rests()
			x.settled()
		})
	})
}

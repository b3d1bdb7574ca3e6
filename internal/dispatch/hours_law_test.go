package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// sundial notes at what time of their day people are written to, and refuses
// some messages, so that they fall through to the next lane.
type sundial struct {
	channel.Sender
	now  func() time.Time
	seen *notes
}

type notes struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	said []spoken
}

type spoken struct {
	delivery int64
	lane     channel.Lane
	at       time.Time
	validFor time.Duration
}

func (s sundial) Send(_ context.Context, b channel.Batch) []channel.Result {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	out := make([]channel.Result, len(b.Messages))
	for i, m := range b.Messages {
		s.seen.said = append(s.seen.said, spoken{m.Delivery, b.Lane, s.now(), m.ValidUntil.Sub(s.now())})
		switch s.seen.rnd.IntN(4) {
		case 0:
			out[i] = channel.Result{Outcome: channel.Refused, Code: "no"}
		case 1:
			out[i] = channel.Result{Outcome: channel.TryLater, RetryAfter: time.Duration(s.seen.rnd.IntN(200)) * time.Minute}
		default:
			out[i] = channel.Result{Outcome: channel.Accepted, ProviderID: fmt.Sprint(b.Lane, m.Delivery)}
		}
	}
	return out
}

// TestNobodyIsEverWrittenToOutsideTheirHours whatever is refused or put off, and
// however the clock goes on; and everybody's story ends.
func TestNobodyIsEverWrittenToOutsideTheirHours(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/London", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland", "America/Los_Angeles", "Australia/Lord_Howe"}
	open := map[channel.Lane][2]int{channel.Window: {20, 24}, channel.LaneSMS: {9, 12}, channel.LaneEmail: {22, 6}} // hours of the day
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var b *bundle
		seen := &notes{rnd: rand.New(rand.NewPCG(seed, 1))}
		b = setup(t, d, options{wrap: func(s channel.Sender) channel.Sender {
			return sundial{s, func() time.Time { return b.now() }, seen}
		}})
		b.clock.Store(monday.UnixMicro())
		people := map[uuid.UUID]string{} // and their zones
		for i := range 60 {
			h := human{zone: zones[i%len(zones)], window: i%2 == 0, email: "new"}
			if i%3 > 0 {
				h.phone = "new"
			}
			people[b.make(h).id] = h.zone
		}
		end := monday.Add(5 * 24 * time.Hour)
		hours := 3
		c := b.draft(func(p *campaign.Patch) {
			p.AllowedHours = json.RawMessage(`{"window":{"from":"20:00","to":"24:00"},"sms":{"from":"09:00","to":"12:00"},"email":{"from":"22:00","to":"06:00"}}`)
			p.EndsAt, p.EscalateAfterHours = &end, &hours
		})
		b.start(c)
		for b.now().Before(end.Add(time.Hour)) {
			b.drain()
			b.advance(time.Duration(1+seen.rnd.IntN(90)) * time.Minute)
		}
		b.drain()
		r := b.report(c)
		require.Equal(t, 60, r.Audience)
		for _, state := range []delivery.State{delivery.Pending, delivery.Held, delivery.Sending} {
			require.Zero(t, r.Messenger.States[state]+r.LinkBack.States[state]+r.Escalated.States[state], state)
		}
		require.Equal(t, campaign.Finished, b.state(c))

		home := map[int64]*time.Location{}
		for who, name := range people {
			zone, err := time.LoadLocation(name)
			require.NoError(t, err)
			for _, of := range []campaign.Campaign{c, b.escalation(c)} {
				list, err := b.ledger.List(t.Context(), delivery.Filter{Campaign: of.ID, Contact: who, Limit: 5})
				require.NoError(t, err)
				for _, d := range list {
					home[d.ID] = zone
				}
			}
		}
		lanes := map[channel.Lane]bool{}
		for _, n := range seen.said {
			lanes[n.lane] = true
			local, span := n.at.In(home[n.delivery]), open[n.lane]
			inside := local.Hour() >= span[0] && local.Hour() < span[1]
			if span[1] < span[0] {
				inside = local.Hour() >= span[0] || local.Hour() < span[1]
			}
			require.True(t, inside, "%s at %s", n.lane, local)
			require.False(t, n.at.After(end), "after the deadline")
			if n.lane == channel.LaneSMS {
				closes := time.Date(local.Year(), local.Month(), local.Day(), span[1], 0, 0, 0, local.Location())
				require.False(t, n.at.Add(n.validFor).After(closes), "the provider gives up in time")
				require.GreaterOrEqual(t, n.validFor, campaign.LeastValidity)
			}
		}
		require.Len(t, lanes, 3)
		require.NotZero(t, r.Escalated.Total)
	})
}

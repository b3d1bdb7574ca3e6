package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

func TestOneBadEventDoesNotStopTheRest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("bad_among_good")
		require.Equal(t, time.Minute, b.window(ann))
		require.Equal(t, map[string]int{"courses": 1}, b.grants(b.holder(eve)))
		require.Equal(t, 1, b.count("tokens"))
		got := b.callbacks()[0]
		require.NotNil(t, got.AppliedAt)
		require.Equal(t, 3, got.Events)
		require.Equal(t, "Events that cannot be applied: 1.\nunreadable_event: Cannot read entry 1.\nunreadable_event: Cannot read entry 2, event 0.", got.Problem)
	})
}

func TestAProblemTellsNothingOfThePeople(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("bad_among_good")
		b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", b.marks.Code(1), "GONE", b.marks.Code(2))))
		b.accept(channel.SMS, twilio(1, nil))
		b.accept(channel.Messenger, meta(`{"object":"page","entry":[`+strings.Repeat(`"Hello from ann@example.com",`, 200)+`"x"]}`))
		b.accept(channel.Messenger, meta(`+447700900001 is no JSON`))
		b.accept(channel.Messenger, meta(`{"object":"instagram","entry":[]}`))
		b.drain()
		for _, cb := range b.callbacks() {
			require.NotNil(t, cb.AppliedAt)
			require.LessOrEqual(t, len(cb.Problem), 1000)
			for _, private := range []string{"2468013579", "otn-", "@", "+44", "Hello", "message"} {
				require.NotContains(t, cb.Problem, private)
			}
		}
	})
}

// TestABadEventAloneIsGivenUp keeps a job that could never succeed from
// running for weeks.
func TestABadEventAloneIsGivenUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("optin", "PSID", "not a psid!", "PAYLOAD", "courses", "TOKEN", "otn-1")
		require.Equal(t, "Events that cannot be applied: 1.", b.callbacks()[0].Problem)
		require.Equal(t, 1, b.count("river_job WHERE state = 'completed'"))
	})
}

// TestWhatFailsForNowIsNotLost lets one Page's look-up fail at first: its
// events wait for the next run, those of the other are applied at once.
func TestWhatFailsForNowIsNotLost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		down, find := errors.New("down"), b.PageByGraph
		b.PageByGraph = func(ctx context.Context, ids []string) (map[string]uuid.UUID, error) {
			if len(ids) > 1 || ids[0] == "5002" {
				return nil, down
			}
			return find(ctx, ids)
		}
		b.accept(channel.Messenger, meta(b.read("evening")))
		require.ErrorIs(t, b.queue.Drain(t.Context(), b.now()), down)
		require.Equal(t, 5*time.Minute, b.window(ann))
		require.Nil(t, b.address(b.elsewhere, eve).LastActionAt)
		require.Nil(t, b.callbacks()[0].AppliedAt)

		b.PageByGraph = find
		b.advance(time.Minute)
		b.drain()
		require.NotNil(t, b.address(b.elsewhere, eve).LastActionAt)
		require.Equal(t, map[string]int{"courses": 1}, b.grants(b.holder(ben)))
		require.NotNil(t, b.callbacks()[0].AppliedAt)
		require.Empty(t, b.callbacks()[0].Problem)
	})
}

func TestACancelledRunIsNoVerdict(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	ctx, cancel := context.WithCancel(t.Context())
	find := b.PageByGraph
	b.PageByGraph = func(context.Context, []string) (map[string]uuid.UUID, error) {
		cancel()
		return nil, fault.New(fault.Invalid, "odd", "Cut off in the middle.")
	}
	b.accept(channel.Messenger, meta(b.read("evening")))
	require.ErrorIs(t, b.queue.Drain(ctx, b.now()), context.Canceled)
	require.Nil(t, b.callbacks()[0].AppliedAt)

	b.PageByGraph = find
	b.again()
	require.NotNil(t, b.callbacks()[0].AppliedAt)
	require.Equal(t, map[string]int{"courses": 1}, b.grants(b.holder(ben)))
}

func TestApplyingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		texted, mailed := b.sent(b.known("crm-1", ""), channel.LaneSMS, delivery.Unknown), b.sent(b.known("crm-2", ""), channel.LaneEmail, delivery.Accepted)
		b.accept(channel.SMS, twilio(texted, status("sent", "")))
		b.accept(channel.SMS, twilio(texted, status("delivered", "")))
		b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", b.marks.Code(mailed), "GONE", b.marks.Code(99))))
		b.accept(channel.Messenger, meta(b.read("bad_among_good")))
		b.drain()
		require.Equal(t, delivery.Delivered, b.get(texted).State)
		require.Equal(t, delivery.Delivered, b.get(mailed).State)
		world := b.world()
		b.again()
		require.Equal(t, world, b.world())
	})
}

// TestManyAtOnce works callbacks about the same new people side by side, as
// several nodes do.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for i := range 30 {
			b.accept(channel.Messenger, meta(b.read("evening", "m_e1", fmt.Sprintf("m_%d", i), "otn-evening-1", fmt.Sprintf("otn-%d", i%10))))
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = b.queue.Drain(t.Context(), b.now()) }) // one that lost a race runs again
		}
		wg.Wait()
		b.advance(time.Minute)
		b.drain()
		require.Zero(t, b.count("callbacks WHERE applied_at IS NULL OR problem <> ''"))
		require.Equal(t, 3, b.count("contacts"))
		require.Equal(t, map[string]int{"courses": 10}, b.grants(b.holder(ben)))
		require.Equal(t, 5*time.Minute, b.window(ann))
	})
}

func TestFailuresOfTextsAndMailsAreTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.accept(channel.SMS, twilio(5, status("delivered", "")))
		b.accept(channel.SMS, twilio(6, status("undelivered", "30005")))
		b.drain()
		b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", b.marks.Code(7), "GONE", b.marks.Code(8))))
		b.drain()
		require.Len(t, b.told, 2, "and nothing else")
		require.Len(t, b.told[0], 1)
		require.Equal(t, int64(6), b.told[0][0].Delivery)
		require.Equal(t, channel.Gone, b.told[0][0].Outcome)
		require.Equal(t, "30005", b.told[0][0].Code)
		require.Len(t, b.told[1], 1, "the one that names no delivery is passed over")
		require.Equal(t, int64(8), b.told[1][0].Delivery)
		require.Equal(t, "bounce/5.1.1", b.told[1][0].Code)
	})
}

func TestAWordThatComesTooEarlyIsHeardAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		good := b.sent(b.known("crm-1", ""), channel.LaneEmail, delivery.Accepted)
		b.late = func([]channel.Event) error { return queue.Later(2 * time.Second) }
		b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", b.marks.Code(good), "GONE", b.marks.Code(8))))
		b.drain()
		require.Len(t, b.told, 1)
		require.Nil(t, b.callbacks()[0].AppliedAt)
		require.Equal(t, delivery.Delivered, b.get(good).State, "the others do not wait")
		world := b.world()

		b.advance(time.Second)
		b.drain()
		require.Len(t, b.told, 1, "not before its time")
		b.late = nil
		b.advance(time.Second)
		b.drain()
		require.Len(t, b.told, 2)
		require.NotNil(t, b.callbacks()[0].AppliedAt)
		require.Equal(t, world, b.world())
	})
}

// TestOneWordThatCannotBeHeardDoesNotStopTheOthers has the engine choke on one
// delivery of several.
func TestOneWordThatCannotBeHeardDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var heard []int64
		b.late = func(words []channel.Event) error {
			for _, w := range words {
				if w.Delivery == 2 {
					return fault.New(fault.Invalid, "odd", "Cannot be.")
				}
			}
			heard = append(heard, words[0].Delivery)
			return nil
		}
		bounce := `{"event":"bounce","bk_delivery":"%s","timestamp":1795348700}`
		b.accept(channel.Email, b.sendgrid("["+fmt.Sprintf(bounce+","+bounce+","+bounce, b.marks.Code(1), b.marks.Code(2), b.marks.Code(3))+"]"))
		b.drain()
		require.Equal(t, []int64{1, 3}, heard)
		require.Equal(t, "Events that cannot be applied: 1.", b.callbacks()[0].Problem)
	})
}

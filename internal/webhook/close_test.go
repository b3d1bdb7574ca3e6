package webhook_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/queue"
)

// TestWhatPeopleWroteIsNotKept looks at everything that is stored after callbacks
// of all channels were applied, together and alone.
func TestWhatPeopleWroteIsNotKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.KeepBodies = false
		b.take("message")
		b.take("bad_among_good")
		b.crowd(t.Context(), texts(3))
		b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", b.marks.Code(7), "GONE", b.marks.Code(8))))
		b.drain()
		require.Equal(t, 6, b.count("callbacks WHERE applied_at IS NOT NULL AND events > 0"))
		require.Zero(t, b.count("callbacks WHERE length(body) > 0"))
		b.accept(channel.Messenger, meta(b.read("message")))
		require.Equal(t, 6, b.count("callbacks"), "it is known again all the same")
	})
}

func TestABodyStaysUntilItIsApplied(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.KeepBodies = false
		late := b.sent(b.known("crm-1", ""), channel.LaneSMS, delivery.Accepted)
		b.late = func([]channel.Event) error { return queue.Later(time.Minute) }
		b.accept(channel.SMS, twilio(late, status("undelivered", "30005")))
		b.drain()
		require.Equal(t, 1, b.count("callbacks WHERE length(body) > 0 AND applied_at IS NULL"))
		b.late = nil
		b.advance(time.Minute)
		b.drain()
		require.Len(t, b.told, 2)
		require.Zero(t, b.count("callbacks WHERE length(body) > 0"))
	})
}

func TestBodiesAreKeptWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("message")
		require.Equal(t, b.read("message"), string(b.callbacks()[0].Body))
	})
}

// oddities understands nothing of what Messenger says.
type oddities struct{ channel.Receiver }

func (oddities) Events(channel.Callback) ([]channel.Event, error) {
	return []channel.Event{
		{Kind: channel.EventOther, Page: "5001", Raw: []byte(`{"gift":{"id":"1"}}`)},
		{Kind: channel.EventMessage, Page: "5001", PSID: ann, Text: "Hello"},
		{Kind: channel.EventOther, Page: "5001", Raw: []byte(`{"poke":{}}`)},
		{Kind: channel.EventOther, Page: "5001"},
		{Kind: channel.EventOther, Page: "5001", Raw: make([]byte, 64<<10)},
	}, nil
}

func TestWhatIsNotUnderstoodIsCountedAndKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.KeepBodies = false
		b.take("message")
		b.Receivers[channel.Messenger] = oddities{b.Receivers[channel.Messenger]}
		b.advance(time.Second)
		b.take("reaction")
		require.JSONEq(t, `[{"gift":{"id":"1"}},{"poke":{}}]`, string(b.callbacks()[1].Body))
		require.Contains(t, b.log.String(), "not understood")
		b.advance(time.Second)
		b.accept(channel.Messenger, meta(b.read("evening")))
		tally, err := b.Tally(t.Context(), noon)
		require.NoError(t, err)
		require.Equal(t, int64(4), tally.Unknown)
		require.Equal(t, int64(6), tally.Events)
		require.Equal(t, int64(3), tally.Callbacks)
		require.Equal(t, int64(1), tally.Waiting)
		require.WithinDuration(t, b.now(), *tally.Oldest, 0)
		tally, err = b.Tally(t.Context(), b.now())
		require.NoError(t, err)
		require.Zero(t, tally.Unknown, "only what came since")
	})
}

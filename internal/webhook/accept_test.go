package webhook_test

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/webhook"
)

// genuine is a good callback of each channel.
func (b *bundle) genuine() map[channel.Kind]channel.Callback {
	return map[channel.Kind]channel.Callback{
		channel.Messenger: meta(b.read("message")),
		channel.SMS:       twilio(4, status("delivered", "")),
		channel.Email:     b.sendgrid(b.read("sendgrid", "GOOD", "1", "GONE", "2")),
	}
}

func TestAcceptRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for kind, cb := range b.genuine() {
			for name, spoil := range map[string]func(*channel.Callback){
				"no signature":     func(c *channel.Callback) { c.Header = nil },
				"empty signature":  func(c *channel.Callback) { c.Header = map[string]string{"X-Hub-Signature-256": ""} },
				"signed otherwise": func(c *channel.Callback) { c.Header = spoiled(c.Header) },
				"one byte changed": func(c *channel.Callback) { c.Body[len(c.Body)/2] ^= 1 },
				"one byte less":    func(c *channel.Callback) { c.Body = c.Body[:len(c.Body)-1] },
			} {
				bad := channel.Callback{URL: cb.URL, Header: maps.Clone(cb.Header), Body: append([]byte(nil), cb.Body...)}
				spoil(&bad)
				err := b.Accept(t.Context(), kind, bad)
				require.True(t, fault.Is(err, fault.Forbidden) && fault.HasCode(err, "bad_signature"), "%s, %s: %v", kind, name, err)
			}
		}
		require.Zero(t, b.count("callbacks"))
		require.Zero(t, b.count("river_job"))
	})
}

// spoiled changes one character in the middle of each header.
func spoiled(header map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range header {
		c := []byte(v)
		if c[len(c)/2]++; v[len(v)/2] == '9' || v[len(v)/2] == 'z' || v[len(v)/2] == 'Z' {
			c[len(c)/2] = '1'
		}
		out[k] = string(c)
	}
	return out
}

func TestAcceptRefusesAChannelThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	delete(b.Receivers, channel.SMS)
	err := b.Accept(t.Context(), channel.SMS, twilio(1, status("delivered", "")))
	require.True(t, fault.Is(err, fault.NotFound) && fault.HasCode(err, "channel_absent"))
}

func TestAcceptStoresTheBytesAndOneJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		body := b.read("message")
		b.accept(channel.Messenger, meta(body))
		got := b.callbacks()
		require.Len(t, got, 1)
		require.Equal(t, body, string(got[0].Body))
		require.Nil(t, got[0].AppliedAt)
		require.Equal(t, 1, b.count("river_job"))
		require.Zero(t, b.count("messenger_addresses"), "nothing is done before the answer")
	})
}

// TestAcceptStoresRowAndJobTogether takes the queue's table away: without a
// job there must be no row either, so that the provider comes again.
func TestAcceptStoresRowAndJobTogether(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		rename := func(from, to string) {
			b.tx(func(tx *db.Tx) error { return tx.Exec("ALTER TABLE " + from + " RENAME TO " + to).Error })
		}
		cb := meta(b.read("message"))
		rename("river_job", "river_job_away")
		require.Error(t, b.Accept(t.Context(), channel.Messenger, cb))
		require.Zero(t, b.count("callbacks"))
		rename("river_job_away", "river_job")
		b.accept(channel.Messenger, cb)
		require.Equal(t, 1, b.count("callbacks"))
		require.Equal(t, 1, b.count("river_job"))
	})
}

func TestTheSameCallbackManyTimesAtOnceIsStoredOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		cb := meta(b.read("message"))
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = b.Accept(t.Context(), channel.Messenger, cb) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 1, b.count("callbacks"))
		require.Equal(t, 1, b.count("river_job"))
	})
}

func TestTheSameBodyAboutAnotherDeliveryIsAnother(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.accept(channel.SMS, twilio(1, status("delivered", "")))
	b.accept(channel.SMS, twilio(2, status("delivered", "")))
	require.Equal(t, 2, b.count("callbacks"))
}

func TestPurgeForgetsOnlyWhatWasAppliedLongAgo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("message")
		b.accept(channel.Messenger, meta(b.read("reaction"))) // never applied
		b.advance(31 * 24 * time.Hour)
		b.insert(1500, b.now().Add(-40*24*time.Hour))
		b.insert(3, b.now())
		require.NoError(t, b.Purge(t.Context(), b.now().Add(-30*24*time.Hour)))
		require.Equal(t, 4, b.count("callbacks"))
		require.Equal(t, 1, b.count("callbacks WHERE applied_at IS NULL"))
		leaves, err := d.Leaves(t.Context(), "callbacks")
		require.NoError(t, err)
		if d.Engine() == "postgres" {
			require.Len(t, leaves, 2, "today's, and the one that holds what was never applied")
			require.Equal(t, "callbacks_p"+noon.Format("20060102"), leaves[0].Leaf)
		}
	})
}

// A callback is known again on the day it came. On PostgreSQL it is stored and
// applied again on another day, and that must change nothing (rule 8).
func TestTheSameCallbackOnAnotherDayChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.take("message")
		before := b.world()
		b.advance(24 * time.Hour)
		b.take("message")
		want := map[string]int{"sqlite": 1, "postgres": 2}[d.Engine()]
		require.Equal(t, want, b.count("callbacks WHERE applied_at IS NOT NULL"))
		require.Equal(t, before, b.world())
	})
}

// Room for callbacks is made ahead, and when nobody did, as they come.
func TestThereIsAlwaysRoomForCallbacks(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	b := setup(t, d)
	names := func() (out []string) {
		leaves, err := d.Leaves(t.Context(), "callbacks")
		require.NoError(t, err)
		for _, l := range leaves {
			out = append(out, strings.TrimPrefix(l.Leaf, "callbacks_p"))
		}
		return out
	}
	require.Empty(t, names())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { b.accept(channel.SMS, twilio(int64(i+1), status("delivered", ""))) })
	}
	wg.Wait()
	require.Equal(t, 8, b.count("callbacks"))
	require.Equal(t, []string{noon.Format("20060102")}, names())
	require.NoError(t, d.GrowCallbacks(t.Context(), noon, 3))
	require.NoError(t, d.GrowCallbacks(t.Context(), noon, 3))
	require.Len(t, names(), 4)
	require.Equal(t, noon.AddDate(0, 0, 3).Format("20060102"), names()[3])
}

// insert stores callbacks that came and were applied at the given time.
func (b *bundle) insert(n int, at time.Time) {
	require.NoError(b.t, b.d.GrowCallbacks(b.t.Context(), at, 0))
	b.tx(func(tx *db.Tx) error {
		rows := make([][]any, n)
		for i := range rows {
			id := db.IDAt(at)
			rows[i] = []any{id.String(), "messenger", id[:], []byte("{}"), at, at}
		}
		return tx.Copy("callbacks", []string{"id", "channel", "hash", "body", "received_at", "applied_at"}, rows)
	})
}

func TestAJobWithoutItsCallbackOrChannelRunsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.accept(channel.SMS, twilio(1, status("delivered", "")))
	receiver := b.Receivers[channel.SMS]
	delete(b.Receivers, channel.SMS)
	require.True(t, fault.HasCode(b.queue.Drain(t.Context(), b.now()), "channel_absent"))
	b.Receivers[channel.SMS] = receiver
	b.advance(time.Minute)
	b.drain()
	require.NotNil(t, b.callbacks()[0].AppliedAt)
	require.Equal(t, "webhook.apply", webhook.ApplyJob{}.Kind())
}

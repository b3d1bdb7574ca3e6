package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/webhook"
)

// texted is what Twilio posts when somebody texts us.
func texted(sid, words string) channel.Callback {
	form := url.Values{"MessageSid": {sid}, "From": {"+447700900001"}, "To": {"+447700900009"}, "Body": {words}}
	cb := channel.Callback{URL: public + sms.InboundPath, Body: []byte(form.Encode())}
	mac := hmac.New(sha1.New, []byte(authToken))
	_, _ = io.WriteString(mac, cb.URL)
	for _, k := range slices.Sorted(maps.Keys(form)) {
		_, _ = io.WriteString(mac, k+form.Get(k))
	}
	cb.Header = map[string]string{"X-Twilio-Signature": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	return cb
}

// listener keeps what it hears, unless it fails.
type listener struct {
	fails int
	heard []channel.EventKind
}

func (l *listener) Hear(_ context.Context, _ *db.Tx, h channel.Heard) error {
	if l.fails > 0 {
		l.fails--
		return errors.New("not now")
	}
	for _, ev := range h.Events {
		l.heard = append(l.heard, ev.Kind)
	}
	return nil
}

func TestARefusalIsAppliedBeforeItIsAnsweredAndTheRestLater(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, l := setup(t, d), &listener{}
		b.LinkBack = []webhook.Listener{l}
		events, err := b.Heed(t.Context(), channel.SMS, texted("SM1", "STOP"))
		require.NoError(t, err)
		require.Equal(t, channel.EventStop, events[0].Kind)
		require.Equal(t, []channel.EventKind{channel.EventStop}, l.heard)
		_, err = b.Heed(t.Context(), channel.SMS, texted("SM2", "Hello"))
		require.NoError(t, err)
		require.Len(t, l.heard, 1)
		b.drain()
		require.Equal(t, []channel.EventKind{channel.EventStop, channel.EventMessage}, l.heard, "each once")
		require.Zero(t, b.count("callbacks WHERE applied_at IS NULL"))
	})
}

// It was stored when the node died that was to answer: it comes again.
func TestARefusalThatWasStoredBeforeIsAppliedWhenItComesAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, l := setup(t, d), &listener{}
		b.LinkBack = []webhook.Listener{l}
		b.accept(channel.SMS, texted("SM1", "STOP"))
		require.Empty(t, l.heard)
		for range 2 {
			_, err := b.Heed(t.Context(), channel.SMS, texted("SM1", "STOP"))
			require.NoError(t, err)
			require.Len(t, l.heard, 1)
		}
	})
}

func TestARefusalThatCannotBeAppliedAtOnceIsLeftToItsJob(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, l := setup(t, d), &listener{fails: 1}
		b.LinkBack = []webhook.Listener{l}
		_, err := b.Heed(t.Context(), channel.SMS, texted("SM1", "STOP"))
		require.NoError(t, err, "it is stored: Twilio need not come again")
		require.Empty(t, l.heard)
		require.Contains(t, b.log.String(), "a refusal is not applied yet")
		b.drain()
		require.Len(t, l.heard, 1)
	})
}

func TestWhatIsNotSignedIsNotHeeded(t *testing.T) {
	t.Parallel()
	b, l := setup(t, dbtest.SQLite(t)), &listener{}
	b.LinkBack = []webhook.Listener{l}
	cb := texted("SM1", "STOP")
	cb.Body = fmt.Appendf(cb.Body, "&a=b")
	_, err := b.Heed(t.Context(), channel.SMS, cb)
	require.Error(t, err)
	require.Empty(t, l.heard)
	require.Zero(t, b.count("callbacks"))
}

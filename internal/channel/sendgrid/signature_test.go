package sendgrid_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
)

// published is a callback with its signature, as SendGrid's own libraries test
// themselves with it.
type published struct {
	Name, From, Key, Timestamp, Signature, Body string
	Events                                      []string
}

func (p published) callback() channel.Callback {
	return channel.Callback{Header: map[string]string{signature: p.Signature, stamp: p.Timestamp}, Body: []byte(p.Body)}
}

func vectors(t *testing.T) (right, wrong []published) {
	t.Helper()
	var all struct{ Right, Wrong []published }
	require.NoError(t, json.Unmarshal([]byte(fixture(t, "signatures.json")), &all))
	require.NotEmpty(t, all.Right)
	require.NotEmpty(t, all.Wrong)
	return all.Right, all.Wrong
}

func TestEveryPublishedSignatureIsJudgedRightAndRead(t *testing.T) {
	t.Parallel()
	right, wrong := vectors(t)
	for _, p := range wrong {
		r, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: p.Key})
		require.NoError(t, err, p.Name)
		require.Error(t, r.Verify(p.callback()), p.Name)
	}
	for _, p := range right {
		r, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: p.Key})
		require.NoError(t, err, p.Name)
		require.NoError(t, r.Verify(p.callback()), p.Name)
		events, err := r.Events(p.callback())
		require.NoError(t, err, p.Name)
		var got []string
		for _, e := range events {
			got = append(got, told(e))
		}
		require.Equal(t, p.Events, got, p.Name)
	}
}

// TestAPublishedSignatureWithOneByteChangedIsRefused changes every byte of the
// body, the time and the signature, one at a time, and cuts and adds one.
func TestAPublishedSignatureWithOneByteChangedIsRefused(t *testing.T) {
	t.Parallel()
	right, _ := vectors(t)
	for _, p := range right {
		r, err := sendgrid.NewReceiver(sendgrid.Settings{WebhookKey: p.Key})
		require.NoError(t, err)
		for name, field := range map[string]*string{"body": &p.Body, "timestamp": &p.Timestamp, "signature": &p.Signature} {
			good := *field
			for i := range good {
				for _, changed := range []byte{good[i] + 1, good[i] ^ 0x20} {
					*field = good[:i] + string(rune(changed)) + good[i+1:]
					require.Error(t, r.Verify(p.callback()), "%s: byte %d of the %s", p.Name, i, name)
				}
			}
			for _, bad := range []string{good[1:], good[:len(good)-1], good + "\n", " " + good, good + good, ""} {
				*field = bad
				require.Error(t, r.Verify(p.callback()), "%s: %s %.20q", p.Name, name, bad)
			}
			*field = good
		}
		require.NoError(t, r.Verify(p.callback()), "nothing is left changed")
	}
}

package webhook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/fault"
)

// bodiesOf are the webhook bodies under testdata, about one delivery.
func (b *bundle) bodiesOf(id int64) (out []string) {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	require.NoError(b.t, err)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(b.t, err)
		out = append(out, strings.NewReplacer("PSID", ann, "CODE", b.codes.Code(id), "MARK", b.marks.Code(id), "PAYLOAD", "courses", "TOKEN", "otn-1").Replace(string(body)))
	}
	return out
}

// FuzzForged holds that nothing is kept of a body whose signature is not that of
// the app, whatever both look like.
func FuzzForged(f *testing.F) {
	b := setup(f, dbtest.SQLite(f))
	for _, body := range b.bodiesOf(1) {
		good := meta(body).Header["X-Hub-Signature-256"]
		f.Add([]byte(body), good)
		f.Add([]byte(body+" "), good)
		f.Add([]byte(body), "sha256="+strings.Repeat("0", 64))
		f.Add([]byte(body), strings.TrimPrefix(good, "sha256="))
		f.Add([]byte(body), good+"00")
		f.Add([]byte(body), "")
	}
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		b.t = t
		if strings.EqualFold(signature, meta(string(body)).Header["X-Hub-Signature-256"]) {
			return
		}
		err := b.Accept(t.Context(), channel.Messenger, channel.Callback{Header: map[string]string{"X-Hub-Signature-256": signature}, Body: body})
		require.True(t, fault.Is(err, fault.Forbidden), "%v", err)
		require.Zero(t, b.count("callbacks"))
		require.Zero(t, b.count("river_job"))
	})
}

// FuzzApply holds that a signed body is applied, whatever is in it: nothing is
// left to be tried for ever, and nothing lies in the future.
func FuzzApply(f *testing.F) {
	b := setup(f, dbtest.SQLite(f))
	id := b.sent(b.known("crm-1", ann), channel.Window, delivery.Accepted)
	for _, body := range b.bodiesOf(id) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b.t = t
		b.accept(channel.Messenger, meta(string(body)))
		b.drain()
		require.Zero(t, b.count("callbacks WHERE applied_at IS NULL"))
		require.Zero(t, b.count("river_job WHERE state NOT IN ('completed')"))
		require.Zero(t, b.count("messenger_addresses WHERE last_action_at > ?", b.now()))
		require.Zero(t, b.count("tokens WHERE granted_at > ?", b.now()))
		require.Zero(t, b.count("deliveries WHERE delivered_at > ? OR read_at > ? OR replied_at > ?", b.now(), b.now(), b.now()))
	})
}

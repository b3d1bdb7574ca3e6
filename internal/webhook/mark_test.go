package webhook_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/link"
)

// foreign are marks that stand for the same number and are not ours: those of
// another installation, and what somebody makes up who knows the number.
func (b *bundle) foreign(id int64) map[string]string {
	own := b.marks.Code(id)
	return map[string]string{
		"of another installation": link.NewCoder([]byte("the key of staging"), link.PurposeMark).Code(id),
		"a code of a link":        b.codes.Code(id),
		"the bare number":         fmt.Sprint(id),
		"cut off":                 own[:len(own)-1],
		"longer":                  own + "0",
		"in front":                "bk:" + own,
		"empty":                   "",
	}
}

// mailed is SendGrid's word that a message was taken, arrived, and bounced.
func (b *bundle) mailed(mark string) {
	b.t.Helper()
	b.accept(channel.Email, b.sendgrid(b.read("sendgrid", "GOOD", mark, "GONE", mark)))
	b.drain()
}

func TestAnEchoOfAnotherInstallationSettlesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.sent(b.known("crm-1", ann), channel.Window, delivery.Unknown)
		world := b.world()
		for _, mark := range b.foreign(id) {
			b.take("echo", "MARK", mark)
		}
		require.Equal(t, world, b.world())
		b.nothingIsWrong()
		b.take("echo", "MARK", b.marks.Code(id))
		require.Equal(t, delivery.Accepted, b.get(id).State)
	})
}

func TestMailEventsOfAnotherInstallationSettleNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.sent(b.known("crm-1", ""), channel.LaneEmail, delivery.Unknown)
		world := b.world()
		for _, mark := range b.foreign(id) {
			b.mailed(mark)
		}
		require.Equal(t, world, b.world())
		require.Empty(t, b.told, "nor is the engine told that it failed")
		b.nothingIsWrong()
		b.mailed(b.marks.Code(id))
		require.Equal(t, delivery.Delivered, b.get(id).State)
		require.Len(t, b.told, 1)
		require.Equal(t, id, b.told[0][0].Delivery)
	})
}

// nothingIsWrong holds when every callback was applied, with no event given up.
func (b *bundle) nothingIsWrong() {
	b.t.Helper()
	for _, cb := range b.callbacks() {
		require.NotNil(b.t, cb.AppliedAt)
		require.NotContains(b.t, cb.Problem, "cannot be applied")
	}
	require.NotContains(b.t, b.log.String(), "level=ERROR")
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// Who stands on SendGrid's lists when the program starts is left alone from then
// on, and doctor says that the lists were gone through.
func TestSendGridsListsAreTakenOverAtTheStart(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := newWorld(t, database, nil)
		people := crowd{email: 4}
		w.sim.Suppress("bounces", simulator.Suppressed{Email: address(1), Created: time.Now().Add(-48 * time.Hour)})
		w.sim.Suppress("unsubscribes", simulator.Suppressed{Email: address(3), Created: time.Now().Add(-48 * time.Hour)})
		w.serve(t)
		w.open(t)
		eventually(t, func(c *assert.CollectT) {
			_, found, _ := examined(t, w.environ)
			require.Contains(c, found[fine]["SendGrid's lists"], "invalid_emails (")
		})
		_, found, raw := examined(t, w.environ)
		require.Contains(t, found[fine]["SendGrid's lists"], "Taken over: unsubscribes (")
		require.Contains(t, found[fine]["SendGrid's lists"], "1 entries, 1 new); spam_reports (")
		w.imported(t, people.file(w))
		require.NotContains(t, raw, "@hidden")
		campaign := w.campaign(t, "email")
		eventually(t, func(c *assert.CollectT) { require.Equal(c, 2, w.report(c, campaign).count("delivered")) })
		require.Equal(t, map[string]int{address(0): 1, address(2): 1}, w.sentTo())
	})
}

func TestDoctorSaysWhyAListIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, onSQLite(t), nil)
	w.sim.SetSendGridAccount(simulator.SendGridAccount{Scopes: []string{"mail.send"}})
	w.serve(t)
	w.open(t)
	eventually(t, func(c *assert.CollectT) {
		_, found, _ := examined(t, w.environ)
		require.Contains(c, found[todo]["SendGrid's lists"], "invalid_emails: the answer is 403")
	})
	_, found, _ := examined(t, func() []string { return append(w.environ(), "SENDGRID_SYNC=false") })
	require.Contains(t, found[note]["SendGrid's lists"], "not taken over")
	require.NotContains(t, found[todo], "SendGrid's lists")
}

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/dispatch"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

// unknowns counts what a report says of deliveries in doubt.
type unknowns struct {
	Unknown struct {
		Settling  int
		ToResolve int `json:"to_resolve"`
	}
}

func (w *world) unknowns(t require.TestingT, campaign string) [2]int {
	u := ask[unknowns](t, w, 200, "GET", "/v1/campaigns/"+campaign+"/report", nil).Unknown
	return [2]int{u.Settling, u.ToResolve}
}

// later makes what is unknown older, and has the providers asked.
func (a *app) later(t *testing.T, d time.Duration) {
	t.Helper()
	require.NoError(t, a.db.Transact(t.Context(), func(tx *db.Tx) error {
		var rows []struct {
			ID     int64
			SentAt time.Time
		}
		if err := tx.Raw("SELECT id, sent_at FROM deliveries WHERE state = 'unknown'").Scan(&rows).Error; err != nil {
			return err
		}
		for _, r := range rows {
			if err := tx.Exec("UPDATE deliveries SET sent_at = ? WHERE id = ?", r.SentAt.Add(-d), r.ID).Error; err != nil {
				return err
			}
			if err := tx.Exec("UPDATE attempts SET started_at = ? WHERE delivery_id = ?", r.SentAt.Add(-d), r.ID).Error; err != nil {
				return err
			}
		}
		return a.queue.Insert(t.Context(), tx, queue.Order{Args: dispatch.ReconcileJob{}})
	}))
}

// Twilio takes every text, answers none and calls nothing back: its list says
// what became of them.
func TestFlowALookUpSettlesWhatTwilioNeverToldOf(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, a := servingApp(t, database, func(c *simulator.Config) { c.Receipts.Off = true })
		people := crowd{sms: 12}
		w.imported(t, people.file(w))
		w.imported(t, file{csv, "external_id,email,consents.email.status\ns0,fallen0@hidden.example.com,subscribed\n"})
		w.sim.Refuse(simulator.Twilio, phone(0), "30006")
		w.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
		id := w.campaign(t, "sms", "email")
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, [2]int{12, 0}, w.unknowns(c, id))
			require.Equal(c, "finished", w.report(c, id).State)
		})
		a.later(t, 3*time.Minute)
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, [2]int{0, 0}, w.unknowns(c, id))
			r := w.report(c, id)
			require.Equal(c, 11, r.Lanes["sms"].States["delivered"], r.progress())
			require.Equal(c, 1, r.Lanes["email"].States["accepted"], r.progress(), "a landline: on to the next lane")
		})
		for to, n := range w.sentTo() {
			require.Equal(t, 1, n, to)
		}
		require.Len(t, w.sentTo(), 13)
	})
}

// What a provider cannot be asked for is left to a person.
func TestFlowAPersonResolvesWhatStaysUnknown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, a := servingApp(t, database, func(c *simulator.Config) { c.Receipts.Off = true })
		people := crowd{email: 3}
		w.imported(t, people.file(w))
		w.sim.SetFaults(simulator.SendGrid, simulator.Faults{LostAnswerRate: 1})
		id := w.campaign(t, "email")
		eventually(t, func(c *assert.CollectT) {
			require.Equal(c, [2]int{3, 0}, w.unknowns(c, id))
			require.Equal(c, "finished", w.report(c, id).State)
		})
		w.sim.SetFaults(simulator.SendGrid, simulator.Faults{})
		first := fmt.Sprintf("/v1/deliveries/%d/resolve", w.deliveries(t, id)[0].ID)
		require.Equal(t, "still_settling", ask[problem](t, w, 409, "POST", first, map[string]any{"action": "resend"}).Code)
		a.later(t, 25*time.Hour)
		require.Equal(t, [2]int{0, 3}, w.unknowns(t, id))
		ask[any](t, w, 200, "POST", first, map[string]any{"action": "resend"})
		eventually(t, func(c *assert.CollectT) { require.Equal(c, 1, w.report(c, id).count("accepted")) })
		all := ask[struct{ Resolved, Left int }](t, w, 200, "POST", "/v1/campaigns/"+id+"/resolve", map[string]any{"action": "give_up"})
		require.Equal(t, [2]int{2, 0}, [2]int{all.Resolved, all.Left})
		require.Equal(t, 2, w.report(t, id).count("failed"))
		require.Equal(t, [2]int{0, 0}, w.unknowns(t, id))
	})
}

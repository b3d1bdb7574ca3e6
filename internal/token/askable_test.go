package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/audience"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/token"
)

// inAudience reports whether the desk's contact is one of those who may be asked.
func (k *desk) inAudience(t *testing.T, rules string) bool {
	t.Helper()
	a, err := audience.Parse(json.RawMessage(rules))
	require.NoError(t, err)
	where, args := a.Where("c", audience.Moment{Now: k.now, Guard: token.DefaultGuard})
	var found []uuid.UUID
	require.NoError(t, k.d.Read(t.Context()).Raw("SELECT c.id FROM contacts c WHERE c.id = ? AND ("+where+")", append([]any{k.contact}, args...)...).Scan(&found).Error)
	return len(found) == 1
}

// The audience of those who may be asked holds exactly the people whom asking
// would not refuse.
func TestTheAudienceToAskIsWhoMayBeAsked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, change := range map[string]func(t *testing.T, k *desk){
			"nothing is in the way": func(*testing.T, *desk) {},
			"the margin": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = ?", k.now.Truncate(time.Microsecond).Add(-24*time.Hour+5*time.Minute))
			},
			"just before the margin": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = ?", k.now.Truncate(time.Microsecond).Add(-24*time.Hour+5*time.Minute+time.Microsecond))
			},
			"never wrote": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = NULL")
			},
			"blocked": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET blocked_at = ?", k.now)
			},
			"held": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "UPDATE messenger_addresses SET held_until = ?", k.now.Add(time.Hour))
			},
			"said stop": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "INSERT INTO stops (page_id, contact_id, stopped, at) VALUES (?, ?, TRUE, ?)", k.page, k.ask.ContactID, k.now)
			},
			"line stopped": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "INSERT INTO lines (sender, free_at, stopped_at, stop_code, updated_at) VALUES (?, 0, ?, '190', ?)", "messenger:"+k.page.String(), k.now, k.now)
			},
			"off": func(t *testing.T, k *desk) {
				t.Helper()
				k.exec(t, "INSERT INTO capabilities (page_id, name, state, how, known_at) VALUES (?, 'one_time', 'off', 'operator', ?)", k.page, k.now)
			},
			"asked":   func(t *testing.T, k *desk) { t.Helper(); k.answered(t, channel.Result{Outcome: channel.Accepted}) },
			"unknown": func(t *testing.T, k *desk) { t.Helper(); k.answered(t, channel.Result{Outcome: channel.Unknown}) },
			"refused": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.Refused, Code: "100"})
			},
			"asked by others": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.Refused, Code: "613/1893016"})
			},
			"may not ask": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.StopTheLine, Code: "10/1404170"})
			},
			"rests": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.TryLater, Code: "9/2018352"})
			},
			"rested": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.TryLater, Code: "9/2018352"})
				k.now = k.now.Add(time.Minute)
			},
			"asked long ago": func(t *testing.T, k *desk) {
				t.Helper()
				k.answered(t, channel.Result{Outcome: channel.Accepted})
				k.now = k.now.Add(token.DefaultGuard)
				k.exec(t, "UPDATE messenger_addresses SET last_action_at = ?", k.now)
			},
		} {
			k := fresh(t, d)
			change(t, k)
			found := k.inAudience(t, `{"field":"may_be_asked","op":"eq","value":"courses"}`)
			k.m.answer = channel.Result{Outcome: channel.Accepted}
			_, err := k.service.Ask(t.Context(), k.ask)
			require.Equal(t, err == nil, found, "%s: %v", name, err)
		}
	})
}

// fresh is a desk over a database that may have been used.
func fresh(t *testing.T, d *db.DB) *desk {
	t.Helper()
	for _, table := range []string{"opt_in_requests", "tokens", "messenger_addresses", "contacts", "lines", "page_asking", "capabilities", "pages"} {
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("DELETE FROM " + table).Error }))
	}
	require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec("DELETE FROM topics WHERE slug = 'courses'").Error }))
	return inWindow(t, d)
}

// answered asks once, to have that answer.
func (k *desk) answered(t *testing.T, r channel.Result) {
	t.Helper()
	k.m.answer = r
	_, err := k.service.Ask(t.Context(), k.ask)
	require.NoError(t, err)
}

// Who gave the permission already is asked only to stack.
func TestWhoHoldsATokenIsInTheAudienceToStackOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := inWindow(t, d)
		k.granted(t, 1)
		require.False(t, k.inAudience(t, `{"field":"may_be_asked","op":"eq","value":"courses"}`))
		require.True(t, k.inAudience(t, `{"field":"may_be_asked","op":"eq","value":"courses","stack":true}`))
	})
}

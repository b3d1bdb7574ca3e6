package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db/dbtest"
)

// Everything a campaign needs works behind PgBouncer in transaction mode, from
// the empty database to the last receipt, with both roles on it.
func TestACampaignRunsBehindAPooler(t *testing.T) {
	t.Parallel()
	pooled := "BECKON_DATABASE_URL=" + dbtest.Pooler(t, dbtest.EmptyPostgresURL(t))
	w, people := newWorld(t, pooled, nil), crowd{window: 40, oneTime: 40, sms: 40, email: 40, nobody: 10}
	w.settings = append(w.settings, "BECKON_DATABASE_POOLER=transaction")
	front := w.serve(t, "BECKON_ROLE=api")
	back := []*node{w.serve(t, "BECKON_ROLE=worker"), w.serve(t)}
	w.leadTo(front.address)
	w.open(t)
	require.Equal(t, people.size(), w.imported(t, people.file(w)).Created)
	w.chat(t, people)
	campaign := w.campaign(t, "window", "one_time", "sms", "email")
	eventually(t, func(c *assert.CollectT) {
		r := w.report(c, campaign)
		require.Equal(c, "finished", r.State)
		require.Equal(c, people.size()-people.nobody, r.count("delivered"), r.progress())
	})
	require.Equal(t, w.addressed(t, campaign, "delivered"), w.sentTo())
	for _, n := range append(back, front) {
		n.stop(t)
	}
	for _, line := range w.logs.lines(t, "") {
		require.NotContains(t, []any{"WARN", "ERROR"}, line["level"], line)
	}
	require.NotContains(t, strings.ToLower(w.logs.String()), "prepared statement")
}

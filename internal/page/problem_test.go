package page_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/page"
)

func TestProblemsNameWhatMustBeDone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { v := now.Add(d); return &v }
	type change func(*page.Page)
	for name, c := range map[string]struct {
		change change
		code   string
		must   bool
		says   string
	}{
		"refused token":        {func(p *page.Page) { p.TokenHealth = page.TokenRefused }, "token_refused", true, "PATCH"},
		"other page":           {func(p *page.Page) { p.Health.TokenTrouble = page.OtherPage }, "token_of_other_page", true, "another Page"},
		"other app":            {func(p *page.Page) { p.Health.TokenTrouble = page.OtherApp }, "token_of_other_app", true, "META_APP_ID"},
		"ends soon":            {func(p *page.Page) { p.Health.TokenExpiresAt = at(6 * 24 * time.Hour) }, "token_expires", true, "2026-11-28T09:00:00Z"},
		"access ends soon":     {func(p *page.Page) { p.Health.DataAccessEndsAt = at(time.Hour) }, "data_access_ends", true, "logs in"},
		"scopes":               {func(p *page.Page) { p.Health.ScopesMissing = "a,b" }, "scopes_missing", true, "a, b"},
		"needed field":         {func(p *page.Page) { p.Health.FieldsMissing = "messages,standby" }, "fields_missing", true, "messages."},
		"useful field":         {func(p *page.Page) { p.Health.FieldsMissing = "standby" }, "fields_missing_useful", false, "standby"},
		"no button":            {func(p *page.Page) { p.Health.GetStarted = page.GetStartedMissing }, "get_started_missing", true, "Get Started"},
		"quiet":                {func(p *page.Page) { p.Health.QuietSince = at(-time.Hour) }, "quiet", true, "24 hours"},
		"not checked":          {func(p *page.Page) { p.Health.CheckCode = "200" }, "check_failed", true, "answered 200"},
		"no answer":            {func(p *page.Page) { p.Health.CheckCode = page.NoAnswer }, "check_failed", true, "did not answer"},
		"wrong secret":         {func(p *page.Page) { p.Health.CheckCode = "100" }, "check_failed", true, "META_APP_SECRET"},
		"blocked":              {func(p *page.Page) { p.Health.Policy, p.Health.PolicyReason = channel.StatusBlock, "spam" }, "blocked", true, "(spam)"},
		"warned":               {func(p *page.Page) { p.Health.Policy, p.Health.PolicyAt = channel.StatusWarning, at(-time.Hour) }, "policy_warning", false, "warned"},
		"limits":               {func(p *page.Page) { p.Health.Load = 80 }, "usage_high", false, "80 percent"},
		"ends, not yet":        {func(p *page.Page) { p.Health.TokenExpiresAt = at(8 * 24 * time.Hour) }, "", false, ""},
		"warned long ago":      {func(p *page.Page) { p.Health.Policy, p.Health.PolicyAt = channel.StatusWarning, at(-31*24*time.Hour) }, "", false, ""},
		"blocked no more":      {func(p *page.Page) { p.Health.Policy = channel.StatusUnblock }, "", false, ""},
		"well":                 {func(*page.Page) {}, "", false, ""},
		"some room left":       {func(p *page.Page) { p.Health.Load = 79 }, "", false, ""},
		"nothing known so far": {func(p *page.Page) { p.TokenHealth = page.TokenUnknown }, "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := page.Page{TokenHealth: page.TokenWorks, QuietHours: 24}
			c.change(&p)
			got := p.Problems(now)
			if c.code == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, []any{c.code, c.must}, []any{got[0].Code, got[0].Must})
			require.Contains(t, got[0].Detail, c.says)
		})
	}
}

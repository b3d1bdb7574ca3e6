package api

import (
	"os"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/page"
)

// TestEveryProblemOfAPageIsDescribed holds the codes together: those that pages
// have, and those that the specification lists.
func TestEveryProblemOfAPageIsDescribed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	ill := page.Page{TokenHealth: page.TokenRefused, Health: page.Health{Policy: channel.StatusBlock, TokenTrouble: page.OtherPage, TokenExpiresAt: &now,
		DataAccessEndsAt: &now, ScopesMissing: "a", FieldsMissing: "messages", GetStarted: page.GetStartedMissing, QuietSince: &now, CheckCode: "1", Load: 99}}
	other := page.Page{Health: page.Health{Policy: channel.StatusWarning, PolicyAt: &now, TokenTrouble: page.OtherApp, FieldsMissing: "standby"}}
	codes := map[any]bool{}
	for _, p := range []page.Page{ill, other} {
		for _, problem := range p.Problems(now) {
			codes[problem.Code] = true
		}
	}
	text, err := os.ReadFile("../../openapi.yaml")
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	listed := map[any]bool{}
	for _, code := range spec.Components.Schemas["PageProblem"].Value.Properties["code"].Value.Enum {
		listed[code] = true
	}
	require.Equal(t, codes, listed)
}

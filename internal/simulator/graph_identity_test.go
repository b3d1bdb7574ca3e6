package simulator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheAppAsksWhoAUserIs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.AppID = "100100" })
	b.sim.Identify("77", testPage, "psid-1")
	b.sim.Identify("77", "1002", "psid-9")
	ask := func(user, token, proofOf string) reply {
		req := b.request(t, http.MethodGet, "/graph/v25.0/"+user+"/ids_for_pages?appsecret_proof="+proof(testSecret, proofOf), "")
		req.Header.Set("Authorization", "Bearer "+token)
		return b.do(t, req)
	}
	app := "100100|" + testSecret
	require.JSONEq(t, `{"data":[{"id":"psid-1","page":{"id":"1001","name":"Page 1001"}},{"id":"psid-9","page":{"id":"1002","name":"Page 1002"}}]}`, ask("77", app, app).body)
	require.JSONEq(t, `{"data":[]}`, ask("78", app, app).body)
	require.Equal(t, "190", ask("77", testToken, testToken).code(t))
	require.Equal(t, "100", ask("77", app, testToken).code(t))
}

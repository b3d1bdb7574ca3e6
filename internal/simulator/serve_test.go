package simulator

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServeServesUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.sim.Serve(ctx, ln) }()
	b.url = "http://" + ln.Addr().String()
	require.Equal(t, http.StatusOK, b.get(t, "/counts").status)
	cancel()
	require.NoError(t, <-done)
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err)
}

func TestServeTellsOfADeadListener(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.ErrorContains(t, New(Config{}).Serve(t.Context(), ln), "simulator: serve")
}

func TestZeroConfigChecksNoCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { *c = Config{Pages: map[string]string{testPage: testToken}} })
	for p, send := range b.sends(t) {
		req := send()
		if p != Graph { // a Page is known by its token alone
			req.Header.Del("Authorization")
		}
		require.Less(t, b.do(t, req).status, 300, p)
	}
	require.NotEmpty(t, b.sim.SendGridPublicKey())
	require.Empty(t, b.sim.CallbackURL())
}

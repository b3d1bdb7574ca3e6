package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/wire"
)

func TestDoReadsAnAnswerOrSaysWhatKindOfNoItIs(t *testing.T) {
	t.Parallel()
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	for _, c := range []struct {
		name   string
		header map[string]string
		status int
		body   string
		want   wire.Refusal // zero: silence
		well   bool
	}{
		{name: "well", status: 200, body: `{"a":7}`, well: true},
		{name: "a page", status: 200, body: "<html>"},
		{name: "refused", status: 401, body: `{"code":20003,"message":"of +15550001"}`, want: wire.Refusal{Status: 401, Code: 20003}},
		{name: "refused by a proxy", status: 502, body: "<html>", want: wire.Refusal{Status: 502}},
		{name: "later", status: 429, header: map[string]string{"Retry-After": "40"}, want: wire.Refusal{Status: 429, After: 40 * time.Second}},
		{name: "later, at a time", status: 429, header: map[string]string{"X-RateLimit-Reset": soon}, want: wire.Refusal{Status: 429, After: time.Hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(srv.Close)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			require.NoError(t, err)
			var out struct{ A int }
			err = wire.Do(srv.Client(), req, &out)
			if c.well {
				require.NoError(t, err)
				require.Equal(t, 7, out.A)
				return
			}
			require.Equal(t, c.want.Status, wire.Refused(err))
			if c.want.Status == 0 {
				require.ErrorIs(t, err, wire.ErrSilent)
				return
			}
			var got *wire.Refusal
			require.ErrorAs(t, err, &got)
			require.Equal(t, c.want.Code, got.Code)
			require.InDelta(t, c.want.After.Seconds(), got.After.Seconds(), 2)
			require.NotContains(t, err.Error(), "15550001")
		})
	}
}

func TestDoNamesNoAddressWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/people/ann@example.com", nil)
	require.NoError(t, err)
	err = wire.Do(http.DefaultClient, req, nil)
	require.ErrorIs(t, err, wire.ErrSilent)
	require.NotContains(t, err.Error(), "ann@")
}

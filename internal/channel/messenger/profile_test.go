package messenger_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
)

func TestAProfileIsReadAsFarAsItIsShown(t *testing.T) {
	t.Parallel()
	offset := -(9*time.Hour + 30*time.Minute)
	for answer, want := range map[string]channel.Profile{
		`{"first_name":"Anna","last_name":"Ek","locale":"en_GB","timezone":-9.5,"id":"1"}`: {FirstName: "Anna", LastName: "Ek", Locale: "en_GB", Offset: &offset},
		`{"first_name":"Anna"}`: {FirstName: "Anna"},
		`{"timezone":99}`:       {},
		`{}`:                    {},
	} {
		client, last := answering(t, http.StatusOK, answer)
		got, r := client.Profile(t.Context(), somePage, person, false)
		require.Equal(t, channel.Accepted, r.Outcome)
		require.Equal(t, want, got)
		require.Equal(t, want == channel.Profile{}, got.Empty())
		require.Equal(t, "GET /v25.0/"+person, last.path)
		require.Regexp(t, `^appsecret_proof=[0-9a-f]{64}&fields=first_name%2Clast_name%2Clocale%2Ctimezone$`, last.query)
		require.Equal(t, "Bearer "+pageToken, last.authorization)
		_, _ = client.Profile(t.Context(), somePage, person, true)
		require.Regexp(t, `&fields=first_name%2Clast_name$`, last.query)
	}
	client, _ := answering(t, http.StatusBadRequest, `{"error":{"code":100,"error_subcode":2018218}}`)
	_, r := client.Profile(t.Context(), somePage, person, false)
	require.Equal(t, "100/2018218", r.Code)
}

package messenger_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/fault"
)

// signedBy writes a signed request as Facebook does.
func signedBy(secret, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + text
}

const deletion = `{"algorithm":"HMAC-SHA256","issued_at":1795338000,"expires":1795341600,"user_id":"218471"}`

func TestASignedRequestIsRead(t *testing.T) {
	t.Parallel()
	r := messenger.NewReceiver(settings(""))
	want := messenger.SignedRequest{UserID: "218471", IssuedAt: 1795338000}
	good := signedBy(appSecret, deletion)
	signature, payload, _ := strings.Cut(good, ".")
	for name, text := range map[string]string{
		"as it comes":             good,
		"with a padded signature": signature + "=." + payload,
		"an id as a number":       signedBy(appSecret, `{"algorithm":"hmac-sha256","issued_at":1795338000,"user_id":218471}`),
		"with much beside":        signedBy(appSecret, `{"algorithm":"HMAC-SHA256","issued_at":1795338000,"user_id":"218471","user":{"country":"gb"},"x":[1]}`),
		"the time as a string":    signedBy(appSecret, `{"algorithm":"HMAC-SHA256","issued_at":"1795338000","user_id":"218471"}`),
	} {
		got, err := r.ParseSignedRequest(text)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestWhatIsNoSignedRequest(t *testing.T) {
	t.Parallel()
	r := messenger.NewReceiver(settings(""))
	good := signedBy(appSecret, deletion)
	for name, c := range map[string]struct {
		text string
		kind fault.Kind
	}{
		"nothing":           {"", fault.Forbidden},
		"no dot":            {strings.ReplaceAll(good, ".", ""), fault.Forbidden},
		"no signature":      {good[strings.Index(good, "."):], fault.Forbidden},
		"another's":         {signedBy("another secret", deletion), fault.Forbidden},
		"cut off":           {good[:len(good)-4], fault.Forbidden},
		"too long":          {signedBy(appSecret, deletion+strings.Repeat(" ", 16<<10)), fault.Forbidden},
		"another algorithm": {signedBy(appSecret, `{"algorithm":"none","user_id":"218471"}`), fault.Malformed},
		"nobody":            {signedBy(appSecret, `{"algorithm":"HMAC-SHA256"}`), fault.Malformed},
		"no JSON":           {signedBy(appSecret, `user_id=218471`), fault.Malformed},
		"an odd person":     {signedBy(appSecret, `{"algorithm":"HMAC-SHA256","user_id":{"id":"218471"}}`), fault.Malformed},
	} {
		got, err := r.ParseSignedRequest(c.text)
		require.True(t, fault.Is(err, c.kind), "%s: %v", name, err)
		require.Zero(t, got, name)
		require.NotContains(t, err.Error(), "218471")
	}
	none := messenger.NewReceiver(messenger.Settings{})
	_, err := none.ParseSignedRequest(signedBy("", deletion))
	require.True(t, fault.Is(err, fault.Forbidden), "without a secret nothing is genuine: %v", err)
}

func FuzzSignedRequest(f *testing.F) {
	for _, seed := range []string{"", ".", "a.b", signedBy(appSecret, deletion), signedBy("x", deletion), signedBy(appSecret, `{"user_id":1e999}`), signedBy(appSecret, "null")} {
		f.Add(seed)
	}
	r := messenger.NewReceiver(settings(""))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := r.ParseSignedRequest(text)
		_, payload, _ := strings.Cut(text, ".")
		raw, _ := base64.RawURLEncoding.DecodeString(payload)
		genuine := signedBy(appSecret, string(raw)) == text
		switch {
		case err == nil:
			require.NotEmpty(t, got.UserID)
			mac := hmac.New(sha256.New, []byte(appSecret))
			mac.Write([]byte(payload))
			given, _, _ := strings.Cut(text, ".")
			require.Equal(t, strings.TrimRight(given, "="), base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), "nothing is read that is not signed")
		case genuine && len(text) < 16<<10:
			require.True(t, fault.Is(err, fault.Malformed), "%v", err)
		default:
			require.Zero(t, got)
		}
		// What is signed is read, or refused for its form: whatever it is.
		_, err = r.ParseSignedRequest(signedBy(appSecret, text))
		require.True(t, err == nil || fault.Is(err, fault.Malformed) || len(text) > 4<<10, "%v", err)
	})
}

func TestPSIDsOfAPersonAreAskedForByTheApp(t *testing.T) {
	t.Parallel()
	client, last := answering(t, http.StatusOK, `{}`)
	_, r := client.PSIDs(t.Context(), "218471")
	require.Equal(t, channel.Refused, r.Outcome, "without the app's id nobody can ask")
	require.Empty(t, last.path)

	for name, c := range map[string]struct {
		status  int
		answer  string
		want    map[string]string
		outcome channel.Outcome
	}{
		"two pages":     {200, `{"data":[{"id":"111","page":{"name":"A","id":"1001"}},{"id":222,"page":{"id":1002}}]}`, map[string]string{"1001": "111", "1002": "222"}, channel.Accepted},
		"none":          {200, `{"data":[]}`, map[string]string{}, channel.Accepted},
		"not allowed":   {400, `{"error":{"code":100,"error_subcode":33}}`, map[string]string{}, channel.Refused},
		"down":          {500, ``, map[string]string{}, channel.Unknown},
		"asked to slow": {400, `{"error":{"code":4}}`, map[string]string{}, channel.TryLater},
	} {
		var seen *http.Request
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.answer))
		}))
		t.Cleanup(srv.Close)
		set := settings(srv.URL)
		set.AppID = "77"
		client, err := messenger.New(set, nil)
		require.NoError(t, err)
		got, r := client.PSIDs(t.Context(), "218471")
		require.Equal(t, c.outcome, r.Outcome, name)
		require.Equal(t, c.want, got, name)
		require.Equal(t, "/v25.0/218471/ids_for_pages", seen.URL.Path)
		require.Equal(t, "Bearer 77|"+appSecret, seen.Header.Get("Authorization"))
		require.Equal(t, proofOf("77|"+appSecret), seen.URL.Query().Get("appsecret_proof"))
	}
}

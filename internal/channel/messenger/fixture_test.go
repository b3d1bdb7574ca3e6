package messenger_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
)

const (
	person    = "24680135791113"
	pageID    = "1357924680"
	pageToken = "EAAGpageTokenForTests"
	appSecret = "0123456789abcdef-app-secret"
)

func settings(url string) messenger.Settings {
	return messenger.Settings{GraphURL: url, GraphVersion: "v25.0", AppSecret: appSecret, VerifyToken: "let-me-in"}
}

func newClient(tb testing.TB, url string) *messenger.Client {
	tb.Helper()
	c, err := messenger.New(settings(url), nil)
	require.NoError(tb, err)
	return c
}

func fixture(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return string(b)
}

// mark is the mark of a delivery in these tests.
func mark(delivery int64) string { return "mark" + strconv.FormatInt(delivery, 10) }

// window makes n messages inside the window, numbered from 1.
func window(n int) channel.Batch {
	b := channel.Batch{Lane: channel.Window, Page: channel.Page{GraphID: pageID, AccessToken: pageToken}}
	for i := range n {
		b.Messages = append(b.Messages, channel.Message{
			Delivery: int64(i + 1), Mark: mark(int64(i + 1)), To: person, Body: []byte(`{"text":"They are back in stock."}`),
		})
	}
	return b
}

func oneTime() channel.Batch {
	b := window(1)
	b.Lane = channel.OneTime
	b.Messages[0].Token = "7799553311"
	return b
}

func on(lane channel.Lane, m channel.Message) channel.Batch {
	b := window(0)
	b.Lane, b.Messages = lane, []channel.Message{m}
	return b
}

// graph accepts every message but the one delivery.
func graph(refused int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Message struct {
				Metadata string `json:"metadata"`
			} `json:"message"`
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &call)
		if call.Message.Metadata == "bk:"+mark(refused) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"no","code":100,"error_subcode":2018001}}`)
			return
		}
		_, _ = io.WriteString(w, `{"recipient_id":"`+person+`","message_id":"m_`+call.Message.Metadata+`"}`)
	})
}

func signed(body string) channel.Callback {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(body))
	return channel.Callback{
		URL:    "https://beckon.example/webhooks/messenger",
		Header: map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))},
		Body:   []byte(body),
	}
}

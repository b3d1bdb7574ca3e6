package sendgrid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sendgrid/sendgrid-go/helpers/mail"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/fault"
)

func outcomes(results []channel.Result) []channel.Outcome {
	all := make([]channel.Outcome, 0, len(results))
	for _, r := range results {
		all = append(all, r.Outcome)
	}
	return all
}

func marks(m mail.SGMailV3) []string {
	all := make([]string, 0, len(m.Personalizations))
	for _, p := range m.Personalizations {
		all = append(all, p.CustomArgs["bk_delivery"])
	}
	return all
}

func TestSendWritesOneRequestForAll(t *testing.T) {
	t.Parallel()
	server := &desk{}
	results := server.start(t).Send(t.Context(), mails(2))
	require.Equal(t, channel.Result{Outcome: channel.Accepted, ProviderID: "msg1"}, results[1])
	require.Len(t, server.raw, 1)
	require.JSONEq(t, `{
		"from": {"email": "news@shop.example", "name": "The Shop"},
		"subject": "Back in stock, %%b0t%%",
		"content": [
			{"type": "text/plain", "value": "Dear %%b0t%%, come back: %%b1%%"},
			{"type": "text/html", "value": "<p>Dear %%b0h%%, <a href=\"%%b1%%\">come back</a></p>"}],
		"tracking_settings": {
			"click_tracking": {"enable": false, "enable_text": false}, "open_tracking": {"enable": false}, "subscription_tracking": {"enable": false}},
		"personalizations": [
			{"to": [{"email": "person1@example.com"}], "custom_args": {"bk_delivery": "mark1"},
			 "substitutions": {"%%b0h%%": "Ann &amp; Bo", "%%b0t%%": "Ann & Bo", "%%b1%%": "https://go.example/l/000000"},
			 "headers": {"Message-ID": "<mark1@shop.example>", "List-Unsubscribe": "<https://go.example/u/000000>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}},
			{"to": [{"email": "person2@example.com"}], "custom_args": {"bk_delivery": "mark2"},
			 "substitutions": {"%%b0h%%": "Ann &amp; Bo", "%%b0t%%": "Ann & Bo", "%%b1%%": "https://go.example/l/000001"},
			 "headers": {"Message-ID": "<mark2@shop.example>", "List-Unsubscribe": "<https://go.example/u/000001>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}]
	}`, server.raw[0])
	require.Equal(t, "Bearer "+apiKey, server.header.Get("Authorization"))
	require.Equal(t, "application/json", server.header.Get("Content-Type"))
}

func TestSendLeavesOutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := channel.Batch{Mail: channel.Mail{Subject: "s", Text: "t"}, Messages: []channel.Message{{Delivery: 1, To: "a@example.com"}}}
	require.Equal(t, channel.Accepted, server.start(t).Send(t.Context(), b)[0].Outcome)
	require.Len(t, server.requests[0].Content, 1)
	for _, absent := range []string{"headers", "substitutions", "text/html"} {
		require.NotContains(t, server.raw[0], absent)
	}
}

func TestSendGoesOnWithoutTheRecipientsRefused(t *testing.T) {
	t.Parallel()
	first := true
	server := &desk{refuse: func(mail.SGMailV3) (int, string) {
		if first {
			first = false
			return 400, fixture(t, "wrong_recipients.json") // the second and the fourth
		}
		return 0, ""
	}}
	results := server.start(t).Send(t.Context(), mails(5))
	require.Equal(t, []channel.Outcome{channel.Accepted, channel.Gone, channel.Accepted, channel.Refused, channel.Accepted}, outcomes(results))
	require.Equal(t, "msg2", results[4].ProviderID)
	require.Len(t, server.requests, 2)
	require.Equal(t, []string{"mark1", "mark3", "mark5"}, marks(server.requests[1]))
}

func TestSendReadsPlacesInBrackets(t *testing.T) {
	t.Parallel()
	server := &desk{refuse: func(m mail.SGMailV3) (int, string) {
		if len(m.Personalizations) == 1 {
			return 0, ""
		}
		return 400, `{"errors":[{"field":"personalizations[0].to[0].email"},{"field":"personalizations.x.to"},{"field":null}]}`
	}}
	require.Equal(t, []channel.Outcome{channel.Gone, channel.Accepted}, outcomes(server.start(t).Send(t.Context(), mails(2))))
}

func TestSendOfNobodyLeft(t *testing.T) {
	t.Parallel()
	server := &desk{refuse: func(mail.SGMailV3) (int, string) {
		return 400, `{"errors":[{"field":"personalizations.0.to.0.email"}]}`
	}}
	results := server.start(t).Send(t.Context(), mails(3))
	require.Equal(t, []channel.Outcome{channel.Gone, channel.Gone, channel.Gone}, outcomes(results))
	require.Len(t, server.requests, 3)
}

func TestSendDoesNotAskForEver(t *testing.T) {
	t.Parallel()
	server := &desk{refuse: func(mail.SGMailV3) (int, string) {
		return 400, `{"errors":[{"field":"personalizations.0.to.0.email"}]}`
	}}
	results := server.start(t).Send(t.Context(), mails(50))
	require.Len(t, server.requests, 20)
	require.Equal(t, channel.Gone, results[19].Outcome)
	require.Equal(t, channel.TryLater, results[20].Outcome)
}

func TestSendHalvesARequestTooLarge(t *testing.T) {
	t.Parallel()
	server := &desk{refuse: func(m mail.SGMailV3) (int, string) {
		if len(m.Personalizations) > 2 {
			return 413, fixture(t, "too_large.html")
		}
		return 0, ""
	}}
	results := server.start(t).Send(t.Context(), mails(7))
	for i, r := range results {
		require.Equal(t, channel.Accepted, r.Outcome, "message %d", i)
	}
	require.NotEqual(t, results[0].ProviderID, results[6].ProviderID)
}

func TestSendSplitsAtItsLargestBatch(t *testing.T) {
	t.Parallel()
	server := &desk{}
	results := server.start(t).Send(t.Context(), mails(1001))
	require.Len(t, server.requests, 3)
	require.Len(t, server.requests[0].Personalizations, 500)
	require.Equal(t, "msg3", results[1000].ProviderID)
}

func TestSendWritesOutWhatDoesNotFitIntoSubstitutions(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(3)
	long := strings.Repeat("é", 5000)
	b.Messages[1].Fill = []string{long, "%%b1%% Bo", "https://go.example/l/x"}
	results := server.start(t).Send(t.Context(), b)
	require.Equal(t, []channel.Outcome{channel.Accepted, channel.Accepted, channel.Accepted}, outcomes(results))
	require.Equal(t, []string{"mark1", "mark3"}, marks(server.requests[0]))
	alone := server.requests[1]
	require.Equal(t, []string{"mark2"}, marks(alone))
	require.Empty(t, alone.Personalizations[0].Substitutions)
	require.NotEmpty(t, alone.Personalizations[0].Headers)
	require.Equal(t, "Back in stock, %%b1%% Bo", alone.Subject, "a value is not read for holes again")
	require.Equal(t, `<p>Dear `+long+`, <a href="https://go.example/l/x">come back</a></p>`, alone.Content[1].Value)
}

// SendGrid would fill a hole that stands in a value, up to four times over.
func TestSendWritesOutValuesThatLookLikeHoles(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(2)
	b.Messages[0].Fill = []string{"Ann", "%%b1%%", "https://go.example/l/x"}
	require.Equal(t, []channel.Outcome{channel.Accepted, channel.Accepted}, outcomes(server.start(t).Send(t.Context(), b)))
	require.Equal(t, "Dear %%b1%%, come back: https://go.example/l/x", server.requests[0].Content[0].Value)
	require.Equal(t, []string{"mark2"}, marks(server.requests[1]))
}

func TestSendRefusesHeadersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(5)
	b.Messages[0].Unsubscribe = "https://go.example/u/1>\r\nBcc: all@example.com"
	b.Messages[1].Unsubscribe = "https://bücher.example/u/1"
	b.Messages[2].Unsubscribe = "https://go.example/u/" + strings.Repeat("1", 980)
	b.Messages[3].Mark = "a\x00b"
	results := server.start(t).Send(t.Context(), b)
	require.Equal(t, []channel.Outcome{channel.Refused, channel.Refused, channel.Refused, channel.Refused, channel.Accepted}, outcomes(results))
	require.Equal(t, []string{"mark5"}, marks(server.requests[0]))
}

func TestSendNamesTheCampaignAndNobodyInStatistics(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(2)
	b.Campaign = "0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e07"
	server.start(t).Send(t.Context(), b)
	got := server.requests[0]
	require.Equal(t, []string{b.Campaign}, got.Categories)
	require.Empty(t, got.CustomArgs)
	for i, p := range got.Personalizations {
		require.Equal(t, map[string]string{"bk_delivery": mark(int64(i + 1))}, p.CustomArgs, "SendGrid keeps these for ever too")
		require.Equal(t, b.Campaign+":campaign:beckon:shop.example", p.Headers["Feedback-ID"])
	}
}

// TestSendOfFiveHundredWithThreeBadOnes has SendGrid name one at a time, and then
// all in one answer.
func TestSendOfFiveHundredWithThreeBadOnes(t *testing.T) {
	t.Parallel()
	bad := map[string]bool{"mark1": true, "mark250": true, "mark500": true}
	for most, requests := range map[int]int{1: 4, 3: 2} {
		server := &desk{refuse: func(m mail.SGMailV3) (int, string) {
			var errs []string
			for i, p := range m.Personalizations {
				if bad[p.CustomArgs["bk_delivery"]] && len(errs) < most {
					errs = append(errs, fmt.Sprintf(`{"message":"Does not contain a valid address.","field":"personalizations.%d.to.0.email","help":null}`, i))
				}
			}
			if len(errs) == 0 {
				return 0, ""
			}
			return 400, `{"errors":[` + strings.Join(errs, ",") + `]}`
		}}
		results := server.start(t).Send(t.Context(), mails(500))
		require.Len(t, server.requests, requests)
		taken := map[string]int{}
		for _, m := range marks(server.requests[requests-1]) {
			taken[m]++
		}
		require.Len(t, taken, 497)
		for i, r := range results {
			want := channel.Accepted
			if bad[mark(int64(i+1))] {
				want = channel.Gone
				require.Equal(t, "not an e-mail address", r.Detail)
			} else {
				require.Equal(t, 1, taken[mark(int64(i+1))])
			}
			require.Equal(t, want, r.Outcome, "message %d", i)
		}
	}
}

func TestSendRefusesValuesThatDoNotFitTheHoles(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(3)
	b.Messages[1].Fill = b.Messages[1].Fill[:2]
	results := server.start(t).Send(t.Context(), b)
	require.Equal(t, []channel.Outcome{channel.Accepted, channel.Refused, channel.Accepted}, outcomes(results))
	require.Equal(t, []string{"mark1", "mark3"}, marks(server.requests[0]))
}

func TestSendStopsCallingOnceTheSenderIsStopped(t *testing.T) {
	t.Parallel()
	server := &desk{refuse: func(mail.SGMailV3) (int, string) { return 401, fixture(t, "bad_key.json") }}
	results := server.start(t).Send(t.Context(), mails(1000))
	require.Len(t, server.requests, 1)
	require.Equal(t, channel.StopTheLine, results[499].Outcome)
	require.Equal(t, channel.TryLater, results[500].Outcome)
}

func TestSendStopsBetweenRequestsWhenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := &desk{refuse: func(mail.SGMailV3) (int, string) { cancel(); return 0, "" }}
	results := server.start(t).Send(ctx, mails(1000))
	require.Len(t, server.requests, 1)
	require.NotEqual(t, channel.TryLater, results[0].Outcome, "written: taken or unknown")
	require.Equal(t, channel.TryLater, results[999].Outcome)
}

func TestSendAsksForATurnBeforeEachRequest(t *testing.T) {
	t.Parallel()
	server := &desk{}
	b := mails(1200)
	b.Messages[700].Fill = []string{strings.Repeat("é", 5000), "Bo", "https://go.example/l/x"}
	var asked []int
	b.Turn = func(_ context.Context, i int) bool {
		asked = append(asked, i)
		return i < 1001
	}
	results := server.start(t).Send(t.Context(), b)
	require.Equal(t, []int{0, 500, 700, 1001}, asked, "in the order of the first messages")
	require.Len(t, server.requests, 3)
	require.Equal(t, channel.Accepted, results[1000].Outcome)
	require.Equal(t, channel.TryLater, results[1001].Outcome)
}

func TestSendKeepsEveryValueWhole(t *testing.T) {
	t.Parallel()
	server := &desk{}
	client := server.start(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := mails(1)
		b.Mail.HTML = rapid.StringN(1, -1, -1).Draw(rt, "html")
		b.Messages[0].Fill = []string{rapid.String().Draw(rt, "a"), rapid.String().Draw(rt, "b"), rapid.String().Draw(rt, "c")}
		require.Equal(rt, channel.Accepted, client.Send(t.Context(), b)[0].Outcome)
		got := server.requests[len(server.requests)-1]
		require.Equal(rt, b.Mail.HTML, got.Content[1].Value)
		for i, hole := range b.Mail.Holes {
			require.Equal(rt, b.Messages[0].Fill[i], got.Personalizations[0].Substitutions[hole])
		}
	})
}

func TestNewRefusesUnusableSettings(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*sendgrid.Settings){
		"no address":      func(s *sendgrid.Settings) { s.APIURL = "" },
		"no scheme":       func(s *sendgrid.Settings) { s.APIURL = "api.sendgrid.com" },
		"no key":          func(s *sendgrid.Settings) { s.Key = "" },
		"key with spaces": func(s *sendgrid.Settings) { s.Key += "\n" },
		"no sender":       func(s *sendgrid.Settings) { s.From = "" },
		"sender unlike":   func(s *sendgrid.Settings) { s.From = "the shop" },
	} {
		s := settings("https://sendgrid.example")
		spoil(&s)
		_, err := sendgrid.New(s, nil)
		require.True(t, fault.Is(err, fault.Invalid), name)
		require.NotContains(t, err.Error(), apiKey)
	}
}

// What one request of 500 costs to write, with the types of the SDK.
func BenchmarkRequest(b *testing.B) {
	server := &desk{}
	require.Equal(b, channel.Accepted, server.start(b).Send(b.Context(), mails(500))[0].Outcome)
	request := server.requests[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Message-Id", "m1")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	client := newClient(b, srv.URL)
	batch := mails(500)
	b.ReportAllocs()
	var sent int
	for b.Loop() {
		for _, r := range client.Send(b.Context(), batch) {
			if r.Outcome != channel.Accepted {
				b.Fatal(r.Detail)
			}
		}
		sent += len(batch.Messages)
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "messages/s")
}

package sms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
)

const linkOfOne = "https://go.example/x7Kp2Q"

var _ channel.Finder = (*sms.Client)(nil)

func sought() channel.Sought {
	return channel.Sought{Delivery: 1, To: phone, Since: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Link: linkOfOne}
}

// lists answers calls with the pages given, in order, and keeps the queries.
func lists(t *testing.T, pages ...string) (string, func() []url.Values) {
	t.Helper()
	asked := make(chan url.Values, 100)
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); r.Method != http.MethodGet || r.URL.Path != "/proxy/2010-04-01/Accounts/"+account+"/Messages.json" || user != account || password != authToken {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		asked <- r.URL.Query()
		_, _ = io.WriteString(w, pages[min(int(n.Add(1)), len(pages))-1])
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/proxy", func() (out []url.Values) {
		for len(asked) > 0 {
			out = append(out, <-asked)
		}
		return out
	}
}

// one is a list with one message of the wanted link, some of its fields changed.
func one(t *testing.T, change map[string]any) string {
	t.Helper()
	var page map[string]any
	require.NoError(t, json.Unmarshal([]byte(fixture(t, "list.json")), &page))
	message := page["messages"].([]any)[1].(map[string]any)
	for k, v := range change {
		if k == "next_page_uri" {
			page[k] = v
			continue
		}
		message[k] = v
	}
	text, err := json.Marshal(page)
	require.NoError(t, err)
	return string(text)
}

func TestFindAsksByNumberAndDay(t *testing.T) {
	t.Parallel()
	at, asked := lists(t, fixture(t, "list.json"))
	got := newClient(t, at).Find(t.Context(), []channel.Sought{sought()})
	require.Equal(t, []channel.Finding{{Found: channel.Taken, ProviderID: "SMded05904ccb347238880ca9264e8fe1c", Kind: channel.EventAccepted}}, got)
	require.Equal(t, []url.Values{{"To": {phone}, "DateSent>": {"2026-11-22T00:00:00Z"}, "PageSize": {"50"}}}, asked())

	s := sought()
	s.Since = time.Date(2026, 11, 22, 0, 5, 0, 0, time.FixedZone("", 0))
	newClient(t, at).Find(t.Context(), []channel.Sought{s})
	require.Equal(t, "2026-11-21T00:00:00Z", asked()[0].Get("DateSent>"), "Twilio's clock may be behind ours, on the day before")
}

func TestFindReadsWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	const sid = "SMded05904ccb347238880ca9264e8fe1c"
	taken := func(k channel.EventKind) channel.Finding {
		return channel.Finding{Found: channel.Taken, ProviderID: sid, Kind: k}
	}
	failed := func(o channel.Outcome, code string) channel.Finding {
		why := channel.Result{Outcome: o, Code: code, ProviderID: sid, Detail: "found in Twilio's list", Soft: o == channel.Refused && (code == "30003" || code == "30004")}
		return channel.Finding{Found: channel.Failed, ProviderID: sid, Why: why}
	}
	for name, c := range map[string]struct {
		change map[string]any
		want   channel.Finding
	}{
		"queued":               {map[string]any{"status": "queued", "date_sent": nil}, taken(channel.EventAccepted)},
		"delivered":            {map[string]any{"status": "delivered"}, taken(channel.EventDelivered)},
		"read":                 {map[string]any{"status": "read"}, taken(channel.EventRead)},
		"a status new to us":   {map[string]any{"status": "teleported"}, taken(channel.EventAccepted)},
		"a landline":           {map[string]any{"status": "undelivered", "error_code": 30006}, failed(channel.Gone, "30006")},
		"opted out":            {map[string]any{"status": "failed", "error_code": 21610}, failed(channel.OptedOut, "21610")},
		"blocked":              {map[string]any{"status": "undelivered", "error_code": 30004}, failed(channel.Refused, "30004")},
		"stopped toll-free":    {map[string]any{"status": "undelivered", "error_code": 30004, "from": "+18885550123"}, failed(channel.OptedOut, "30004")},
		"failed without words": {map[string]any{"status": "failed"}, failed(channel.Refused, "")},
		"another link":         {map[string]any{"body": "Back in stock: https://go.example/other1"}, channel.Finding{Found: channel.NotThere}},
		"a redacted text":      {map[string]any{"body": nil}, channel.Finding{Found: channel.NotThere}},
		"an earlier try":       {map[string]any{"date_created": "Sun, 22 Nov 2026 11:49:00 +0000"}, channel.Finding{Found: channel.NotThere}},
		"a clock behind ours":  {map[string]any{"date_created": "Sun, 22 Nov 2026 11:51:00 +0000"}, taken(channel.EventAccepted)},
	} {
		at, _ := lists(t, one(t, c.change))
		require.Equal(t, []channel.Finding{c.want}, newClient(t, at).Find(t.Context(), []channel.Sought{sought()}), name)
	}
	at, _ := lists(t, fixture(t, "list.json"))
	require.Equal(t, channel.NotThere, newClient(t, at).Find(t.Context(), []channel.Sought{{To: phone, Since: sought().Since}})[0].Found, "without a link nothing can be told apart")
}

func TestFindReadsOnAndTakesWhatGotFurthest(t *testing.T) {
	t.Parallel()
	next := "/2010-04-01/Accounts/" + account + "/Messages.json?To=%2B14155550123&PageSize=50&Page=1&PageToken=PASM77"
	at, asked := lists(t,
		one(t, map[string]any{"status": "undelivered", "error_code": 30003, "next_page_uri": next}),
		one(t, map[string]any{"status": "delivered", "sid": "SM2"}))
	got := newClient(t, at).Find(t.Context(), []channel.Sought{sought()})
	require.Equal(t, channel.Finding{Found: channel.Taken, ProviderID: "SM2", Kind: channel.EventDelivered}, got[0])
	queries := asked()
	require.Len(t, queries, 2)
	require.Equal(t, "1 PASM77", queries[1].Get("Page")+" "+queries[1].Get("PageToken"))

	at, asked = lists(t, one(t, map[string]any{"body": "something else", "next_page_uri": next}))
	require.Equal(t, channel.NotThere, newClient(t, at).Find(t.Context(), []channel.Sought{sought()})[0].Found)
	require.Len(t, asked(), 4, "a list without an end is not read for ever")
}

func TestFindCannotSayWithoutAUsableAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   channel.Found
	}{
		"broken":           {503, fixture(t, "broken.html"), channel.CannotSay},
		"unreadable":       {200, `{"messages":[`, channel.CannotSay},
		"moved":            {302, `{}`, channel.CannotSay},
		"too many":         {429, fixture(t, "too_many.json"), channel.SlowDown},
		"too many in HTML": {429, fixture(t, "broken.html"), channel.SlowDown},
		"bad credentials":  {401, fixture(t, "bad_credentials.json"), channel.SlowDown},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		require.Equal(t, c.want, newClient(t, srv.URL).Find(t.Context(), []channel.Sought{sought()})[0].Found, name)
		srv.Close()
		require.Equal(t, channel.CannotSay, newClient(t, srv.URL).Find(t.Context(), []channel.Sought{sought()})[0].Found, "nobody there")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	at, asked := lists(t, fixture(t, "list.json"))
	require.Equal(t, channel.CannotSay, newClient(t, at).Find(ended, []channel.Sought{sought()})[0].Found)
	require.Empty(t, asked())
}

func TestFindStopsAskingWhenToldToSlowDown(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 8 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		link := "https://go.example/" + strings.TrimPrefix(r.URL.Query().Get("To"), "+")
		_, _ = fmt.Fprintf(w, `{"messages":[{"sid":"SM1","body":%q,"status":"sent","date_created":"Sun, 22 Nov 2026 12:00:01 +0000"}]}`, link)
	}))
	defer srv.Close()
	all := make([]channel.Sought, 100)
	for i := range all {
		all[i] = sought()
		all[i].To = fmt.Sprintf("+1415555%04d", i)
		all[i].Link = "https://go.example/" + all[i].To[1:]
	}
	count := map[channel.Found]int{}
	for _, f := range newClient(t, srv.URL).Find(t.Context(), all) {
		count[f.Found]++
	}
	require.Equal(t, map[channel.Found]int{channel.Taken: 8, channel.SlowDown: 92}, count)
	require.LessOrEqual(t, calls.Load(), int32(12))
}

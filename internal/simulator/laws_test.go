package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// direct serves a request with no network in between.
func direct(s *Simulator, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header = header
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}

func sendDirect(s *Simulator, body string) int {
	return direct(s, http.MethodPost, "/graph/v25.0/me/messages", body, http.Header{"Authorization": {"Bearer " + testToken}}).Code
}

// TestPeopleRulesHoldOverAnyHistory drives people at random and keeps a plain
// model beside them: who may be written to follows from window, block and token
// alone, and what was accepted is exactly what was counted and received.
func TestPeopleRulesHoldOverAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := &clock{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
		s := New(Config{Pages: map[string]string{testPage: testToken}, Clock: at.Now})
		type state struct {
			last    time.Time
			blocked bool
		}
		people := map[string]*state{}
		tokens := map[string]string{} // unused → holder
		accepted := map[string]int{}
		psids := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"act": func(t *rapid.T) {
				psid := psids.Draw(t, "psid")
				require.ErrorIs(t, s.Say(context.Background(), testPage, psid, "hi"), errNoCallbackURL)
				blocked := people[psid] != nil && people[psid].blocked
				people[psid] = &state{at.Now(), blocked}
			},
			"block": func(t *rapid.T) {
				psid, blocked := psids.Draw(t, "psid"), rapid.Bool().Draw(t, "blocked")
				s.setBlocked(testPage, psid, blocked)
				if people[psid] == nil {
					people[psid] = &state{}
				}
				people[psid].blocked = blocked
			},
			"grant": func(t *rapid.T) {
				psid := psids.Draw(t, "psid")
				tokens[s.GrantToken(testPage, psid)] = psid
				if people[psid] == nil {
					people[psid] = &state{}
				}
			},
			"wait": func(t *rapid.T) {
				at.add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
			},
			"send": func(t *rapid.T) {
				psid := psids.Draw(t, "psid")
				p := people[psid]
				may := p != nil && !p.blocked && at.Now().Sub(p.last) <= 24*time.Hour
				require.Equal(t, may, sendDirect(s, toPSID(psid, `{"text":"x"}`)) == http.StatusOK)
				if may {
					accepted[psid]++
				}
			},
			"spend": func(t *rapid.T) {
				token := "otn-" + testPage + "-" + psids.Draw(t, "psid") + "-" + strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "n"))
				psid, unused := tokens[token]
				may := unused && !people[psid].blocked
				require.Equal(t, may, sendDirect(s, toToken(token)) == http.StatusOK)
				if may {
					delete(tokens, token)
					accepted[psid]++
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, accepted, s.AcceptedBy(Graph))
				for psid, n := range accepted {
					require.Len(t, s.Received(testPage, psid), n)
				}
			},
		})
	})
}

func TestFaultsNeverMiscount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0, 0.5)
		s := New(Config{Pages: map[string]string{testPage: testToken}, Seed: rapid.Uint64().Draw(t, "seed")})
		s.AddPeople(testPage, 1)
		s.SetFaults(Graph, Faults{
			ThrottleRate: rate.Draw(t, "throttle"), ServerErrorRate: rate.Draw(t, "server"),
			FalseErrorRate: rate.Draw(t, "false"), RefuseRate: rate.Draw(t, "refuse"),
		})
		ok := 0
		for range 50 {
			if sendDirect(s, toPSID("psid-1", `{"text":"x"}`)) == http.StatusOK {
				ok++
			}
		}
		c := s.Counts()[Graph]
		refused := int64(0)
		for _, n := range c.Refused {
			refused += n
		}
		require.Equal(t, int64(50), c.Requests)
		require.Equal(t, c.Requests, c.Accepted+refused, "every send is either accepted or refused")
		require.LessOrEqual(t, int64(ok), c.Accepted)
		require.Len(t, s.Received(testPage, "psid-1"), int(c.Accepted))
	})
}

func TestRenderingFillsEveryHole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringMatching(`[a-zé<&]{0,8}`), 1, 12).Draw(t, "values")
		p := personalization{To: []mailAddress{{Email: "a@example.org"}}, Substitutions: map[string]string{}}
		var holes, want strings.Builder
		for i, v := range values {
			hole := "%%b0h" + strconv.Itoa(i) + "%%"
			p.Substitutions[hole] = v
			holes.WriteString(hole + "|")
			want.WriteString(v + "|")
		}
		r := mailRequest{From: &mailAddress{}, Subject: holes.String(), Content: []mailContent{
			{"text/plain", holes.String()}, {"text/html", holes.String()},
		}}
		m := r.render(&p)
		require.Equal(t, []string{want.String(), want.String(), want.String()}, []string{m.Subject, m.Text, m.HTML})
	})
}

func TestSegmentsNeverShrinkAsATextGrows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abc €{ç🎉é")), 0, 400, -1).Draw(t, "text")
		more := text + rapid.SampledFrom([]string{"a", "€", "ç", "🎉"}).Draw(t, "more")
		require.GreaterOrEqual(t, segments(more), segments(text))
		require.GreaterOrEqual(t, segments(text), 1)
	})
}

func TestTwilioAndSendGridCountUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := New(Config{})
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				text := "Body=x&From=%2B15005550006&To=%2B1415555010" + strconv.Itoa(i%4)
				direct(s, http.MethodPost, "/twilio/2010-04-01/Accounts/AC/Messages.json", text, form)
				direct(s, http.MethodPost, "/sendgrid/v3/mail/send", mailTo("a@example.org", "b@example.org"), http.Header{})
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{40: 4}, s.Counts()[Twilio].Distribution)
	require.Equal(t, map[int]int{160: 2}, s.Counts()[SendGrid].Distribution)
	require.Len(t, s.Texts("+14155550100"), 40)
	require.Len(t, s.Mail("a@example.org"), 160)
}

func TestRepeatedReceiptsAreTheSameEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.SetFaults(SendGrid, Faults{DuplicateCallbacks: 1})
	b.sim.SetFaults(Twilio, Faults{DuplicateCallbacks: 1})
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, mailTo("ann@example.org", "ann@example.org")).status)
	drain(t, b.sim)
	times := map[string]int{}
	for _, e := range mailEvents(t, b) {
		times[e["sg_event_id"].(string)]++
	}
	require.Len(t, times, 4, "two mails to one person are told apart")
	for _, n := range times {
		require.Equal(t, 2, n)
	}
	require.Equal(t, http.StatusCreated, b.twilio(t, url.Values{"StatusCallback": {b.bot.URL + "/s"}}).status)
	drain(t, b.sim)
	require.Len(t, b.bot.take(), 4)
}

func TestMailEventsShareBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var to []string
	for i := range 400 {
		to = append(to, "p"+strconv.Itoa(i)+"@example.org")
	}
	require.Equal(t, http.StatusAccepted, b.sendgrid(t, mailTo(to...)).status)
	drain(t, b.sim)
	calls := b.bot.take()
	require.Len(t, calls, 2)
	for _, c := range calls {
		require.True(t, bytes.HasSuffix(c.body, []byte("}]\r\n")))
		require.Contains(t, string(c.body), "},\r\n{")
		require.Less(t, len(c.body), 768<<10)
		var events []json.RawMessage
		require.NoError(t, json.Unmarshal(c.body, &events))
		require.LessOrEqual(t, len(events), maxMailEvents)
	}
}

func TestLogNamesNobody(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := setup(t, func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	b.sim.AddPeople(testPage, 1)
	b.bot.answer(http.StatusInternalServerError)
	b.graph(t, toPSID("psid-1", `{"text":"private"}`))
	b.twilio(t, url.Values{"StatusCallback": {b.bot.URL + "/status/private"}, "Body": {"private"}})
	b.sendgrid(t, mailTo("private@example.org"))
	err := b.sim.Drain(t.Context())
	for _, text := range []string{log.String(), err.Error()} {
		require.NotEmpty(t, text)
		for _, secret := range []string{"private", "psid-1", "+1415", testAuth, testSecret, testToken, testKey} {
			require.NotContains(t, text, secret)
		}
	}
}

func TestGraphErrorsHaveTheirFullForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var answer struct {
		Error struct {
			Message      string `json:"message"`
			Type         string `json:"type"`
			Code         int    `json:"code"`
			ErrorSubcode *int   `json:"error_subcode"`
			IsTransient  bool   `json:"is_transient"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(b.graph(t, toPSID("nobody", `{"text":"x"}`)).body), &answer))
	require.Equal(t, "(#100) No matching user found", answer.Error.Message)
	require.Equal(t, "OAuthException", answer.Error.Type)
	require.Equal(t, 2018001, *answer.Error.ErrorSubcode)
	require.False(t, answer.Error.IsTransient)

	answer.Error.ErrorSubcode = nil
	b.sim.SetFaults(Graph, Faults{ServerErrorRate: 1})
	require.NoError(t, json.Unmarshal([]byte(b.graph(t, "{}").body), &answer))
	require.Nil(t, answer.Error.ErrorSubcode, "left out, not zero")
	require.True(t, answer.Error.IsTransient)
}

func TestPathsFitTheirTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		template, path string
		want           map[string]string
	}{
		{"/a/{Sid}.json", "/a/AC1.json", map[string]string{"Sid": "AC1"}},
		{"/a/{Sid}/b.json", "/a/AC1/b.json", map[string]string{"Sid": "AC1"}},
		{"/a/b.json", "/a/b.json", map[string]string{}},
		{"/a/{Sid}.json", "/a/AC1.xml", nil},
		{"/a/{Sid}.json", "/a/AC1/b.json", nil},
		{"/a/x-{Sid}", "/a/y-1", nil},
		{"/a/b", "/a/c", nil},
	} {
		got, ok := fits(c.template, c.path)
		require.Equal(t, c.want != nil, ok, c.path)
		require.Equal(t, c.want, got, c.path)
	}
}

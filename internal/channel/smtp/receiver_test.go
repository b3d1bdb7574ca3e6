package smtp_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
	"beckon/internal/fault"
)

// heard is what a report tells.
func heard(tb testing.TB, r *smtp.Receiver, body []byte) channel.Event {
	tb.Helper()
	events, err := r.Events(channel.Callback{Body: body})
	require.NoError(tb, err)
	require.Len(tb, events, 1)
	return events[0]
}

// TestReportsAreUnderstood has reports as the large servers write them.
func TestReportsAreUnderstood(t *testing.T) {
	t.Parallel()
	failed := func(outcome channel.Outcome, soft bool, code string) channel.Event {
		return channel.Event{Kind: channel.EventFailed, Outcome: outcome, Soft: soft, Code: code, Address: person1}
	}
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(ev channel.Event, after time.Duration) channel.Event { ev.At = noon.Add(after); return ev }
	unnamed := func(ev channel.Event) channel.Event { ev.Address = ""; return ev }
	stop := func(reason string) channel.Event {
		return channel.Event{Kind: channel.EventStop, Reason: reason, Address: person1}
	}
	for name, want := range map[string]channel.Event{
		"dsn_unknown_user.eml":   at(failed(channel.Gone, false, "bounce/550/5.1.1"), 5*time.Second),
		"dsn_gmail_full.eml":     at(failed(channel.Refused, true, "bounce/552/5.2.2"), 5*time.Second),
		"dsn_exchange.eml":       at(failed(channel.Gone, false, "bounce/550/5.1.10"), 7*time.Second),
		"dsn_delayed.eml":        {Kind: channel.EventDeferred, Address: person1},
		"dsn_expired.eml":        failed(channel.Refused, true, "bounce/4.4.1"),
		"dsn_forwarded.eml":      {Kind: channel.EventDelivered},
		"dsn_without_verp.eml":   at(unnamed(failed(channel.Refused, false, "bounce/554/5.7.1")), 5*time.Second),
		"words_qmail.eml":        at(failed(channel.Gone, false, "bounce/550/5.1.1"), 5*time.Second),
		"words_exim.eml":         failed(channel.Refused, true, "bounce/552"),
		"words_unclear.eml":      failed(channel.Refused, true, "bounce"),
		"vacation.eml":           {Kind: channel.EventOther},
		"letter.eml":             {Kind: channel.EventOther},
		"complaint.eml":          at(stop(channel.ByComplaint), 2*time.Hour+5*time.Second),
		"complaint_redacted.eml": unnamed(stop(channel.ByComplaint)),
		"complaint_outlook.eml":  stop(channel.ByUnsubscribe),
		"dmarc_failure.eml":      {Kind: channel.EventOther, Address: person1},
	} {
		got := heard(t, receiver(t), report(t, name))
		want.Mark = mark(1)
		if got.Kind == channel.EventOther {
			got.Address, want.Address = "", ""
		}
		require.Equal(t, want, got, name)
	}
}

// TestNobodyIsSilencedByAReportThatWasInvented: whoever has got one of our
// e-mails knows a mark of their own, and may write a report; it names nobody else.
func TestNobodyIsSilencedByAReportThatWasInvented(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dsn_unknown_user.eml", "words_qmail.eml", "words_exim.eml", "complaint.eml"} {
		genuine := report(t, name)
		require.Equal(t, person1, heard(t, receiver(t), genuine).Address)
		about := bytes.ReplaceAll(genuine, []byte(person1), []byte("victim@example.com"))
		require.Empty(t, heard(t, receiver(t), about).Address, name)
		without := bytes.ReplaceAll(about, []byte("+"+tag()), nil)
		require.Empty(t, heard(t, receiver(t), without).Address, name)
		other, err := smtp.NewReceiver(smtp.Settings{From: "news@shop.example", Bounce: bounceAddress})
		require.NoError(t, err)
		require.Empty(t, heard(t, other, genuine).Address, "without a key nothing is proved")
		require.Empty(t, heard(t, other.WithKey([]byte("another key")), genuine).Address)
	}
	both := append(report(t, "dsn_unknown_user.eml"), "\r\nvictim@example.com\r\n"...)
	require.Equal(t, person1, heard(t, receiver(t), both).Address)
}

// TestAReportNeverStopsTheSender: a report is a letter that anybody may write.
func TestAReportNeverStopsTheSender(t *testing.T) {
	t.Parallel()
	genuine := string(report(t, "dsn_unknown_user.eml"))
	for text, soft := range map[string]bool{
		"550 5.7.28 unusual rate of mail": false, "550 5.7.26 unauthenticated": false, "554 5.7.1 Relay access denied": false, "535 5.7.8 bad password": false,
		"450 4.2.1 receiving mail at a rate": true, "450 4.7.1 Greylisted": true, "421 4.7.0 slow down": true,
	} {
		ev := heard(t, receiver(t), []byte(strings.NewReplacer("550 5.1.1", text, "Status: 5.1.1", "Status: 5.0.0").Replace(genuine)))
		require.Equal(t, channel.Refused, ev.Outcome, text)
		require.Equal(t, soft, ev.Soft, text)
	}
	rapid.Check(t, func(rt *rapid.T) {
		code := rapid.StringMatching(`[245][0-9][0-9]`).Draw(rt, "code")
		status := rapid.StringMatching(`[245]\.[0-9]{1,3}\.[0-9]{1,3}`).Draw(rt, "status")
		said := strings.NewReplacer("550 5.1.1", code+" "+status, "Status: 5.1.1", "Status: "+status).Replace(genuine)
		ev := heard(t, receiver(t), []byte(said))
		require.Equal(rt, channel.EventFailed, ev.Kind)
		require.Contains(rt, []channel.Outcome{channel.Gone, channel.Refused}, ev.Outcome)
		require.False(rt, ev.Soft && ev.Outcome == channel.Gone)
		require.NotContains(rt, ev.Code, person1)
	})
}

// TestReportsAreReadAsFarAsTheyGo cuts one off at every line: what is left never
// names somebody else, and the address of the report is enough to know the message.
func TestReportsAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	body, r := report(t, "dsn_unknown_user.eml"), receiver(t)
	for at := bytes.Index(body, []byte("Received:")); at < len(body); at += bytes.IndexByte(body[at:], '\n') + 1 {
		events, err := r.Events(channel.Callback{Body: body[:at]})
		if err != nil {
			require.True(t, fault.Is(err, fault.Malformed))
			continue
		}
		require.Equal(t, mark(1), events[0].Mark)
		require.Contains(t, []string{"", person1}, events[0].Address)
	}
}

func TestATokenIsNeeded(t *testing.T) {
	t.Parallel()
	r, err := smtp.NewReceiver(smtp.Settings{From: "news@shop.example"})
	require.NoError(t, err)
	body := []byte("From: x\r\n\r\n")
	require.True(t, fault.Is(r.Verify(smtp.Handed("https://x.example", "", body)), fault.Unavailable))
	_, err = smtp.NewReceiver(smtp.Settings{From: "news@shop.example", BounceToken: "short"})
	require.True(t, fault.Is(err, fault.Invalid))
	require.NoError(t, receiver(t).Verify(smtp.Handed("https://x.example", bounceToken, body)))
	require.NotContains(t, smtp.Sign(bounceToken, body), bounceToken)
}

// TestReturnPathsComeBack: every address that a message can be sent from is one,
// and tells again which message it was and that it was for that person.
func TestReturnPathsComeBack(t *testing.T) {
	t.Parallel()
	r := receiver(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.StringMatching(`[A-Za-z0-9]{16}`).Draw(rt, "mark")
		to := rapid.StringMatching(`[a-z0-9.+_-]{1,20}@[a-z0-9]{1,10}\.[a-z]{2,5}`).Draw(rt, "to")
		path := smtp.ReturnPath([]byte("key of the tests"), bounceAddress, m, to)
		local, _, _ := strings.Cut(path, "@")
		require.LessOrEqual(rt, len(local), 64)
		require.Equal(rt, strings.ToLower(path), path, "some servers lose capital letters")
		ev := heard(t, r, []byte("From: mailer-daemon@x.example\r\nTo: "+strings.ToUpper(path)+"\r\nX-Failed-Recipients: "+to+"\r\n\r\n"))
		require.Equal(rt, m, ev.Mark)
		require.Equal(rt, to, ev.Address)
	})
	require.Equal(t, bounceAddress, smtp.ReturnPath(nil, bounceAddress, "", person1))
	require.Equal(t, bounceAddress, smtp.ReturnPath(nil, bounceAddress, strings.Repeat("x", 64), person1))
}

func TestMessagesAreSentFromTheirOwnReturnPath(t *testing.T) {
	t.Parallel()
	s := settings("")
	s.Bounce = bounceAddress
	got, _ := one(t, s, &office{}, mails(1))
	require.Equal(t, "bounces+"+tag()+"@bounces.shop.example", got.from)
	require.Equal(t, `"The Shop" <news@shop.example>`, got.message(t).Header.Get("From"))
}

// FuzzReports: whatever is handed in, nothing breaks, and nobody is named whom the
// report does not prove.
func FuzzReports(f *testing.F) {
	for _, name := range []string{"dsn_unknown_user.eml", "dsn_gmail_full.eml", "dsn_exchange.eml", "words_qmail.eml", "words_exim.eml", "complaint.eml", "vacation.eml"} {
		f.Add(report(f, name))
	}
	r := receiver(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := r.Events(channel.Callback{Body: body})
		if err != nil {
			require.True(t, fault.Is(err, fault.Malformed))
			require.Empty(t, events)
			return
		}
		require.Len(t, events, 1)
		ev := events[0]
		require.Contains(t, []channel.EventKind{channel.EventOther, channel.EventFailed, channel.EventDeferred, channel.EventDelivered, channel.EventStop}, ev.Kind)
		require.Contains(t, []channel.Outcome{"", channel.Gone, channel.Refused}, ev.Outcome)
		require.LessOrEqual(t, len(ev.Code), 40)
		require.LessOrEqual(t, len(ev.Mark), 64)
		if ev.Address != "" && ev.Mark == mark(1) {
			require.Equal(t, person1, ev.Address)
		}
	})
}

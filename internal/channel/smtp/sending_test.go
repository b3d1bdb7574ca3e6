package smtp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	server "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/channeltest"
	"beckon/internal/channel/smtp"
)

// TestAThousandMessagesGoOverAFewConnections: each arrives once, at its own
// recipient and nobody else's.
func TestAThousandMessagesGoOverAFewConnections(t *testing.T) {
	t.Parallel()
	o := &office{}
	c, b := o.client(t), mails(1000)
	for part := range slices.Chunk(b.Messages, c.MaxBatch()) {
		some := b
		some.Messages = part
		for _, r := range c.Send(t.Context(), some) {
			require.Equal(t, channel.Accepted, r.Outcome, r.Detail)
			require.Regexp(t, `^Q\d+ABC$`, r.ProviderID)
		}
	}
	got := map[string]string{}
	for _, a := range o.letters() {
		require.Empty(t, got[a.to], "nobody twice")
		got[a.to] = a.message(t).Header.Get("Message-ID")
	}
	require.Len(t, got, 1000)
	for _, m := range b.Messages {
		require.Equal(t, "<"+m.Mark+"@shop.example>", got[m.To])
	}
	require.LessOrEqual(t, o.connections(), 4)
	t.Logf("1,000 messages over %d connections", o.connections())
}

// TestBatchesTogetherKeepToTheConnections has more batches than connections.
func TestBatchesTogetherKeepToTheConnections(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int32
	o := &office{onMail: func(string) error {
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return nil
	}, onData: func(*server.Conn, arrived) error { open.Add(-1); return nil }}
	s := settings(o.open(t))
	s.Connections = 2
	c := newClient(t, s)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for _, r := range c.Send(t.Context(), mails(20)) {
				if r.Outcome != channel.Accepted {
					t.Error(r.Outcome, r.Detail)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(2))
	require.LessOrEqual(t, o.connections(), 2)
	require.Len(t, o.letters(), 120)
}

// refusals are what a server may say, where, and what is to come of it.
func refusals() map[string]struct {
	reply *server.SMTPError
	want  channel.Result
} {
	type row = struct {
		reply *server.SMTPError
		want  channel.Result
	}
	return map[string]row{
		"RCPT nobody":         {said(550, "5.1.1", "User unknown"), channel.Result{Outcome: channel.Gone, Code: "550/5.1.1"}},
		"RCPT full for now":   {said(452, "4.2.2", "Over quota"), channel.Result{Outcome: channel.Refused, Soft: true, Code: "452/4.2.2"}},
		"RCPT full":           {said(552, "5.2.2", "Mailbox full"), channel.Result{Outcome: channel.Refused, Soft: true, Code: "552/5.2.2"}},
		"RCPT no relay":       {said(554, "5.7.1", "Relay access denied"), channel.Result{Outcome: channel.StopTheLine, Code: "554/5.7.1"}},
		"RCPT greylisted":     {said(450, "4.7.1", "Greylisted, try again later"), channel.Result{Outcome: channel.TryLater, RetryAfter: 5 * time.Minute, Code: "450/4.7.1"}},
		"RCPT too fast":       {said(450, "4.7.1", "Too many messages"), channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Minute, Code: "450/4.7.1"}},
		"MAIL sender refused": {said(553, "5.7.1", "Sender address rejected: not owned by user"), channel.Result{Outcome: channel.StopTheLine, Code: "553/5.7.1"}},
		"MAIL busy":           {said(451, "4.3.0", "Temporary failure"), channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Minute, Code: "451/4.3.0"}},
		"MAIL no login":       {said(530, "5.7.0", "Authentication required"), channel.Result{Outcome: channel.StopTheLine, Code: "530/5.7.0"}},
		"DATA policy":         {said(550, "5.7.1", "Blocked by policy"), channel.Result{Outcome: channel.Refused, Code: "550/5.7.1"}},
		"DATA too large":      {said(552, "5.3.4", "Message too big"), channel.Result{Outcome: channel.Refused, Code: "552/5.3.4"}},
		"DATA unproved":       {said(550, "5.7.515", "Access denied, sending domain does not meet the required authentication level"), channel.Result{Outcome: channel.StopTheLine, Code: "550/5.7.515"}},
		"DATA not now":        {said(451, "4.7.0", "Temporarily deferred"), channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Minute, Code: "451/4.7.0"}},
	}
}

// TestARefusalIsHeardAtEveryStep: what a server says of one message, and at which
// step, decides what comes of it; the connection goes on.
func TestARefusalIsHeardAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, row := range refusals() {
		o := &office{}
		switch name[:4] {
		case "MAIL":
			o.onMail = func(string) error { return row.reply }
		case "RCPT":
			o.onRcpt = func(string) error { return row.reply }
		default:
			o.onData = func(*server.Conn, arrived) error { return row.reply }
		}
		c, b := o.client(t), mails(1)
		r := c.Send(t.Context(), b)[0]
		require.NotEmpty(t, r.Detail, name)
		for _, private := range append(channeltest.Private(b), row.reply.Message) {
			require.NotContains(t, r.Detail+r.Code, private)
		}
		r.Detail = ""
		require.Equal(t, row.want, r, name)
		o.onMail, o.onRcpt, o.onData = nil, nil, nil
		require.Equal(t, channel.Accepted, c.Send(t.Context(), mails(1))[0].Outcome)
		require.Equal(t, 1, o.connections(), "%s: the connection goes on", name)
	}
}

func TestOneWhoIsRefusedCostsOnlyThemselves(t *testing.T) {
	t.Parallel()
	o := &office{onRcpt: func(to string) error {
		switch to {
		case "person7@example.com":
			return said(550, "5.1.1", "no such user")
		case "person9@example.com":
			return said(450, "4.2.0", "Recipient address rejected: Greylisted")
		}
		return nil
	}}
	results := o.client(t).Send(t.Context(), mails(30))
	for i, r := range results {
		switch i {
		case 6:
			require.Equal(t, channel.Gone, r.Outcome)
		case 8:
			require.Equal(t, channel.TryLater, r.Outcome)
		default:
			require.Equal(t, channel.Accepted, r.Outcome, "message %d: %s", i, r.Detail)
		}
	}
	require.Len(t, o.letters(), 28)
}

// TestALostConnectionIsUnknownOnlyAfterTheEnd breaks the connection at every step.
func TestALostConnectionIsUnknownOnlyAfterTheEnd(t *testing.T) {
	t.Parallel()
	var conn atomic.Pointer[server.Conn]
	breakIt := func() error { return hangUp(conn.Load()) }
	note := func(c *server.Conn, _ int) error { conn.Store(c); return nil }
	for name, row := range map[string]struct {
		office *office
		want   channel.Outcome
	}{
		"greeting": {&office{onConn: func(c *server.Conn, _ int) error { return hangUp(c) }}, channel.TryLater},
		"MAIL":     {&office{onConn: note, onMail: func(string) error { return breakIt() }}, channel.TryLater},
		"RCPT":     {&office{onConn: note, onRcpt: func(string) error { return breakIt() }}, channel.TryLater},
		"in the middle": {&office{onOpen: func(c *server.Conn, r io.Reader) error {
			_, _ = io.ReadFull(r, make([]byte, 1000))
			return hangUp(c)
		}}, channel.TryLater},
		"after the end": {&office{onData: func(c *server.Conn, _ arrived) error { return hangUp(c) }}, channel.Unknown},
	} {
		b := mails(1)
		if name == "in the middle" { // more than the sockets hold
			b.Mail.HTML += strings.Repeat("<p>"+strings.Repeat("more ", 14)+"</p>\n", 70_000)
		}
		r := row.office.client(t).Send(t.Context(), b)[0]
		require.Equal(t, row.want, r.Outcome, name)
		require.Equal(t, row.want == channel.TryLater, r.Unreached, name)
	}
}

// TestAnAnswerThatDoesNotComeIsUnknown: the mail may have been taken.
func TestAnAnswerThatDoesNotComeIsUnknown(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	t.Cleanup(func() { close(wait) })
	o := &office{onData: func(*server.Conn, arrived) error { <-wait; return nil }}
	s := settings(o.open(t))
	s.Timeout = 100 * time.Millisecond
	r := newClient(t, s).Send(t.Context(), mails(1))[0]
	require.Equal(t, channel.Unknown, r.Outcome)
}

// TestAServerThatIsTooSlowToBeginWithIsTriedLater says nothing at all.
func TestAServerThatIsTooSlowToBeginWithIsTriedLater(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := settings(l.Addr().String())
	s.Timeout = 100 * time.Millisecond
	for _, r := range newClient(t, s).Send(t.Context(), mails(40)) {
		require.Equal(t, channel.TryLater, r.Outcome)
		require.True(t, r.Unreached)
	}
}

// TestAConnectionThatDiedMeanwhileIsMadeAnew has the server hang up between
// batches, without a word or with one.
func TestAConnectionThatDiedMeanwhileIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *server.Conn) error{
		"hung up": hangUp,
		"told":    func(*server.Conn) error { return said(421, "4.4.2", "Idle for too long") },
	} {
		var kept atomic.Pointer[server.Conn]
		var first atomic.Int32
		o := &office{onConn: func(c *server.Conn, n int) error {
			kept.CompareAndSwap(nil, c)
			return nil
		}}
		o.onMail = func(string) error {
			if first.Add(1) == 2 {
				return end(kept.Load())
			}
			return nil
		}
		c := o.client(t)
		require.Equal(t, channel.Accepted, c.Send(t.Context(), mails(1))[0].Outcome, name)
		require.Equal(t, channel.Accepted, c.Send(t.Context(), mails(1))[0].Outcome, name)
		require.Equal(t, 2, o.connections(), name)
		require.Len(t, o.letters(), 2, name)
	}
}

// TestASenderThatIsRefusedBurnsNobodyElse: those under way at that moment are all
// that is tried.
func TestASenderThatIsRefusedBurnsNobodyElse(t *testing.T) {
	t.Parallel()
	var tried atomic.Int32
	o := &office{onMail: func(string) error {
		tried.Add(1)
		return said(550, "5.7.60", "Client does not have permissions to send as this sender")
	}}
	results := o.client(t).Send(t.Context(), mails(200))
	require.LessOrEqual(t, tried.Load(), int32(4))
	require.Equal(t, channel.StopTheLine, results[0].Outcome)
	require.Equal(t, channel.TryLater, results[199].Outcome)
	require.Empty(t, o.letters())
}

func TestAServerThatSlowsUsDownIsLeftAlone(t *testing.T) {
	t.Parallel()
	var tried atomic.Int32
	o := &office{onRcpt: func(string) error {
		if tried.Add(1) > 10 {
			return said(451, "4.7.1", "Too much mail from you")
		}
		return nil
	}}
	results := o.client(t).Send(t.Context(), mails(200))
	require.LessOrEqual(t, tried.Load(), int32(14))
	require.Equal(t, channel.TryLater, results[199].Outcome)
	require.Equal(t, time.Minute, results[199].RetryAfter)
}

// TestASecondLookComesRightBeforeTheCall: who refuses while a connection is made
// gets nothing.
func TestASecondLookComesRightBeforeTheCall(t *testing.T) {
	t.Parallel()
	var refused atomic.Bool
	o := &office{onConn: func(*server.Conn, int) error { refused.Store(true); return nil }}
	b := mails(1)
	b.Silenced = func(int) bool { return refused.Load() }
	require.Equal(t, []channel.Result{channel.LeftOut()}, o.client(t).Send(t.Context(), b))
	require.Empty(t, o.letters())
}

func TestWhatAServerTakesAtMostIsKeptTo(t *testing.T) {
	t.Parallel()
	var begun atomic.Int32
	o := &office{start: func(s *server.Server) { s.MaxMessageBytes = 10_000 }, onMail: func(string) error { begun.Add(1); return nil }}
	c, b := o.client(t), mails(2)
	b.Messages[1].Fill = []string{strings.Repeat("long ", 3000), "Bo", "https://go.example/l/x"}
	require.Equal(t, []channel.Outcome{channel.Accepted, channel.Refused}, outcomes(c.Send(t.Context(), b)))
	require.Len(t, o.letters(), 1)
	require.EqualValues(t, 1, begun.Load(), "the other one is not even begun")
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	t.Parallel()
	o := &office{}
	b := mails(5)
	b.Messages[0].Fill = b.Messages[0].Fill[:1]
	b.Messages[1].To = "nobody"
	b.Messages[2].To = "a@example.com>\r\nRCPT TO:<b@example.com"
	b.Messages[3].To = "Bo <bo@example.com>"
	want := []channel.Outcome{channel.Refused, channel.Gone, channel.Gone, channel.Gone, channel.Accepted}
	require.Equal(t, want, outcomes(o.client(t).Send(t.Context(), b)))
	require.Len(t, o.letters(), 1)
}

func TestCancellingEndsABatchInTheMiddle(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int32
	o := &office{onData: func(*server.Conn, arrived) error {
		if n.Add(1) == 10 {
			cancel()
		}
		return nil
	}}
	results := o.client(t).Send(ctx, mails(300))
	count := map[channel.Outcome]int{}
	for _, r := range results {
		count[r.Outcome]++
	}
	require.GreaterOrEqual(t, count[channel.Accepted]+count[channel.Unknown], 10)
	require.LessOrEqual(t, count[channel.Unknown], 4)
	require.GreaterOrEqual(t, count[channel.TryLater], 200)
	require.Equal(t, channel.TryLater, results[299].Outcome)
}

func BenchmarkSend(b *testing.B) {
	o := &office{}
	s := settings(o.open(b))
	s.Connections = 8
	c, batch := newClient(b, s), mails(500)
	var sent int
	for b.Loop() {
		for _, r := range c.Send(b.Context(), batch) {
			if r.Outcome != channel.Accepted {
				b.Fatal(r.Detail)
			}
		}
		sent += len(batch.Messages)
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(o.connections()), "connections")
}

func TestNewRefusesUnusableSettings(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*smtp.Settings){
		"smtp_url":            func(s *smtp.Settings) { s.URL = "http://mx.shop.example" },
		"smtp_url ":           func(s *smtp.Settings) { s.URL = "mx.shop.example:587" },
		"smtp_url  ":          func(s *smtp.Settings) { s.URL = "smtp://mx.shop.example/inbox" },
		"smtp_url   ":         func(s *smtp.Settings) { s.URL = "smtp://mx.shop.example?tls=none" },
		"smtp_url    ":        func(s *smtp.Settings) { s.URL = "smtp://mx.shop.example:0" },
		"smtp_url     ":       func(s *smtp.Settings) { s.URL = "smtp://u:hush hush@mx.shop.example" },
		"smtp_login":          func(s *smtp.Settings) { s.URL = "smtp://hushhush@mx.shop.example" },
		"smtp_starttls":       func(s *smtp.Settings) { s.URL = "smtp://u:hushhush@mx.shop.example?starttls=none" },
		"smtp_starttls ":      func(s *smtp.Settings) { s.URL = "smtp://mx.shop.example?starttls=maybe" },
		"smtp_starttls  ":     func(s *smtp.Settings) { s.URL = "smtps://mx.shop.example?starttls=required" },
		"smtp_from":           func(s *smtp.Settings) { s.From = "the shop" },
		"smtp_from ":          func(s *smtp.Settings) { s.From = "größe@shop.example" },
		"smtp_bounce_address": func(s *smtp.Settings) { s.Bounce = "bounces+x@shop.example" },
	} {
		s := settings("mx.shop.example:587")
		spoil(&s)
		_, err := smtp.New(s)
		require.Error(t, err, name)
		require.Contains(t, err.Error(), strings.TrimSpace(name)+":")
		require.NotContains(t, fmt.Sprint(err), "hush")
	}
}

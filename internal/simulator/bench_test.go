package simulator

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// nowhere is an answer that is thrown away.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkSend is what one request costs the stand-ins, without the HTTP
// around it.
func BenchmarkSend(b *testing.B) {
	bundle := setup(b, func(c *Config) { c.Lean, c.Receipts.Off = true, true })
	bundle.sim.AddPeople(testPage, 10_000)
	handler := bundle.sim.Handler()
	graph := bundle.graphRequest(b, "")
	twilio := bundle.twilioRequest(b, http.MethodPost, "/Messages.json", "")
	sendgrid := bundle.request(b, http.MethodPost, "/sendgrid/v3/mail/send", "")
	sendgrid.Header.Set("Authorization", "Bearer "+testKey)
	mails := mailTo(strings.Split(strings.Repeat("ann@example.org,", 499)+"ann@example.org", ",")...)
	for name, c := range map[string]struct {
		req  *http.Request
		body func(n int64) string
	}{
		"graph": {graph, func(n int64) string {
			return toPSID("psid-"+strconv.FormatInt(n%10_000+1, 10), `{"text":"Hi Ann, spring courses are open. Want the list?","metadata":"`+strconv.FormatInt(n, 10)+
				`","quick_replies":[{"content_type":"text","title":"Yes please","payload":"COURSES_YES"}]}`)
		}},
		"twilio": {twilio, func(n int64) string {
			return "To=%2B1415555" + strconv.FormatInt(1000+n%9000, 10) + "&MessagingServiceSid=" + testService +
				"&Body=Spring+courses+are+open&StatusCallback=https%3A%2F%2Fe.x%2Fwebhooks%2Ftwilio%2Fstatus%2F17&ValidityPeriod=3600"
		}},
		"sendgrid-500": {sendgrid, func(int64) string { return mails }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var n atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				w := nowhere{http.Header{}}
				for pb.Next() {
					clear(w.header)
					req := *c.req
					req.Body = io.NopCloser(strings.NewReader(c.body(n.Add(1))))
					handler.ServeHTTP(w, &req)
				}
			})
			if refused := bundle.sim.Counts()[Graph].Refused; len(refused) > 0 {
				b.Fatal("sends were refused", refused)
			}
		})
	}
}

// BenchmarkGraphOverTCP counts whole requests over kept connections, with a
// client that costs next to nothing.
func BenchmarkGraphOverTCP(b *testing.B) {
	bundle := setup(b, func(c *Config) { c.Lean, c.Receipts.Off = true, true })
	bundle.sim.AddPeople(testPage, 1)
	body := toPSID("psid-1", `{"text":"Hi Ann, spring courses are open. Want the list?","metadata":"17"}`)
	request := fmt.Appendf(nil, "POST /graph/v25.0/me/messages?appsecret_proof=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", proof(testSecret, testToken), testToken, len(body), body)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(bundle.url, "http://"))
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if err := exchange(conn, in, request); err != nil {
				b.Error(err)
				return
			}
		}
	})
	if got := bundle.sim.Counts()[Graph].Accepted; got < int64(b.N) {
		b.Fatal("sends were refused", got, b.N)
	}
}

// exchange writes a request and skips over its answer.
func exchange(conn net.Conn, in *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if len(line) == 2 {
			_, err = in.Discard(length)
			return err
		}
	}
}

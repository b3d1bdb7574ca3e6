package simulator

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// desk is what every stand-in has at its door: the faults in force, the
// refusals asked for, and the count of what went by.
type desk struct {
	dice     dice
	faults   atomic.Pointer[Faults]
	requests atomic.Int64
	accepted *table[string, int]
	segments atomic.Int64 // of the accepted texts

	refusedMu sync.Mutex
	refused   map[string]int64

	fatesMu sync.RWMutex
	fates   map[string]string // recipient or "*" → provider's code
}

func newDesk(seed uint64) *desk {
	d := &desk{
		dice: dice{seed: seed}, accepted: newTable[string, int](),
		refused: make(map[string]int64), fates: make(map[string]string),
	}
	d.faults.Store(&Faults{})
	return d
}

func (d *desk) accept(recipient string) {
	d.accepted.with(recipient, func(m map[string]int) { m[recipient]++ })
}

func (d *desk) refuse(code string) {
	d.refusedMu.Lock()
	d.refused[code]++
	d.refusedMu.Unlock()
}

// Refuse makes every later send to the recipient, or to all for "*", end with
// the provider's code; "" lifts it. Graph takes "10/1893063", Twilio answers
// 2xxxx at once and 3xxxx and above by callback, SendGrid takes a status such
// as "403", or one of bounce, blocked, dropped, unsubscribed, spamreport.
func (s *Simulator) Refuse(p Provider, recipient, code string) {
	d := s.desks[p]
	d.fatesMu.Lock()
	defer d.fatesMu.Unlock()
	if code == "" {
		delete(d.fates, recipient)
		return
	}
	d.fates[recipient] = code
}

// fate is the code a send to the recipient must end with, or "".
func (d *desk) fate(recipient string) string {
	d.fatesMu.RLock()
	defer d.fatesMu.RUnlock()
	if len(d.fates) == 0 {
		return ""
	}
	if code := d.fates["*"]; code != "" {
		return code
	}
	return d.fates[recipient]
}

// early is a fault that strikes before a send is looked at.
type early int

const (
	noFault early = iota
	throttled
	broken
)

func (d *desk) early(f *Faults, now time.Time) early {
	if d.dice.hit(f.ThrottleRate) || f.inBurst(now) {
		return throttled
	}
	if d.dice.hit(f.ServerErrorRate) {
		return broken
	}
	return noFault
}

// inBurst reports whether everything is throttled at the moment.
func (f *Faults) inBurst(now time.Time) bool {
	return f.BurstEvery > 0 && time.Duration(now.UnixNano())%f.BurstEvery < f.BurstLength
}

// call is one send under way.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	body   []byte // valid until the handler returns
	desk   *desk
	faults *Faults
}

// send wraps the handler of a provider's send: it reads the body, checks it
// against the official description if asked to, and lets the faults strike.
func (s *Simulator) send(p Provider, limit int64, strike func(c *call, e early), h func(c *call)) http.HandlerFunc {
	d := s.desks[p]
	return func(w http.ResponseWriter, r *http.Request) {
		d.requests.Add(1)
		buf := s.buffers.Get().(*bytes.Buffer)
		defer s.putBuffer(buf)
		if !readBody(w, r, buf, limit) {
			d.refuse("413")
			return
		}
		c := &call{w: w, r: r, body: buf.Bytes(), desk: d, faults: d.faults.Load()}
		if !s.checked(p, c) || !s.delay(c) {
			return
		}
		if e := d.early(c.faults, s.clock()); e != noFault {
			strike(c, e)
			return
		}
		h(c)
	}
}

func newBuffer() any { return new(bytes.Buffer) }

// putBuffer keeps ordinary buffers for the next request.
func (s *Simulator) putBuffer(buf *bytes.Buffer) {
	if buf.Cap() > 1<<20 {
		return
	}
	buf.Reset()
	s.buffers.Put(buf)
}

// readBody answers 413 with a web server's page, as the real ones do, when the
// body is over the limit.
func readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer, limit int64) bool {
	n, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return false
	}
	if n > limit {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "<html><head><title>413 Request Entity Too Large</title></head></html>")
		return false
	}
	return true
}

// delay waits as the faults say; false when the client went away meanwhile.
func (s *Simulator) delay(c *call) bool {
	d := c.faults.Latency
	if c.faults.LatencyJitter > 0 {
		d += time.Duration(c.desk.dice.float() * float64(c.faults.LatencyJitter))
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// late lets the faults strike after acceptance. It reports whether the proper
// answer is still to be given; when it is not, and falsely is true, a server
// error is. A lost answer closes the connection and does not return.
func (s *Simulator) late(c *call) (answer, falsely bool) {
	f := c.faults
	switch {
	case c.desk.dice.hit(f.LostAnswerRate):
		panic(http.ErrAbortHandler)
	case c.desk.dice.hit(f.HangRate):
		select {
		case <-c.r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler)
	case c.desk.dice.hit(f.FalseErrorRate):
		return false, true
	}
	return true, false
}

// tell queues the receipts of a call: once or twice, at once or later, as the
// faults say.
func tell[T any](c *call, o *outbox[T], receipts ...T) {
	copies := 1
	if c.desk.dice.hit(c.faults.DuplicateCallbacks) {
		copies = 2
	}
	for range copies {
		if c.faults.LateCallbacks <= 0 {
			o.put(receipts...)
			continue
		}
		for _, r := range receipts {
			if c.desk.dice.hit(c.faults.LateCallbacks) {
				o.putLate(time.Duration(c.desk.dice.float()*float64(c.faults.LateBy)), r)
			} else {
				o.put(r)
			}
		}
	}
}

// same compares a secret in constant time; an empty want is not checked.
func same(want, got string) bool {
	return want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

// answerJSON writes v, or nothing but the status when v cannot be written.
func answerJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

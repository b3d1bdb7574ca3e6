// Package wire is what channels have in common when they call a provider over
// HTTP: connections, knowing whether a request left, and many calls at once.
package wire

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// Transport returns a transport that keeps up to conns connections to a host
// open. It speaks HTTP/1.1 only: a connection that breaks then puts one request
// in doubt, and not all that share it.
func Transport(conns int) *http.Transport {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: conns,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// Watch notes in left whether a request made with the context may have left: a
// connection was found for it. Another one is asked for only when nothing was
// written to the first.
func Watch(ctx context.Context, left *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { left.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { left.Store(true) },
	})
}

// Each calls do with the numbers below n, by up to workers goroutines, as long
// as await says yes. Await is asked before each call, in order and never by two
// goroutines at once; it may block. Each returns when all calls have, and says
// how many numbers had their call.
func Each(workers, n int, await func(int) bool, do func(int)) int {
	q := turns{n: n, await: await}
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i, ok := q.take(); ok; i, ok = q.take() {
				do(i)
			}
		})
	}
	wg.Wait()
	return q.next
}

// turns hands out the numbers below n. A goroutine that is free waits for the
// turn of the next number while it holds the lock, so nothing can come between
// the turn and the call.
type turns struct {
	mu      sync.Mutex
	next, n int
	over    bool
	await   func(int) bool
}

func (t *turns) take() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.next == t.n || !t.await(t.next) {
		t.over = true
		return 0, false
	}
	t.next++
	return t.next - 1, true
}

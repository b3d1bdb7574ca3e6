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

// Each calls do with every number below n, by up to workers goroutines, and
// returns when all calls have.
func Each(workers, n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

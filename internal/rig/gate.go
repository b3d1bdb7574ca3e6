package rig

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Gate is the address that stays while nodes behind it come and go: what a load
// balancer is to a real installation. It hands requests to the nodes that are
// known to live, in turn; what fails is answered 502 and not tried again.
type Gate struct {
	URL string
	srv *http.Server
	mu  sync.Mutex
	to  map[string]*httputil.ReverseProxy
	in  []string // addresses that are open
	n   int
}

// OpenGate listens on a free port. The caller closes it.
func OpenGate(ctx context.Context) (*Gate, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Gate{URL: "http://" + l.Addr().String(), to: map[string]*httputil.ReverseProxy{}}
	g.srv = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = g.srv.Serve(l) }() // ends with Close
	return g, nil
}

// Close breaks off what is under way.
func (g *Gate) Close() error { return g.srv.Close() }

// Open lets requests go to a node.
func (g *Gate) Open(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut(addr)
	g.in = append(g.in, addr)
	if g.to[addr] != nil {
		return
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	g.to[addr] = proxy
}

// Shut keeps new requests from a node.
func (g *Gate) Shut(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut(addr)
}

func (g *Gate) shut(addr string) {
	kept := make([]string, 0, len(g.in))
	for _, a := range g.in {
		if a != addr {
			kept = append(kept, a)
		}
	}
	g.in = kept
}

func (g *Gate) next() http.Handler {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.in) == 0 {
		return nil
	}
	g.n++
	return g.to[g.in[g.n%len(g.in)]]
}

// ServeHTTP hands a request on.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := g.next()
	if to == nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	to.ServeHTTP(w, r)
}

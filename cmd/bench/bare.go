package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/simulator"
)

// rehearsalSize is one full batch.
const rehearsalSize = 500

// request is a call as beckon made it.
type request struct {
	url    string
	header http.Header
	body   []byte
}

func (c *client) send(ctx context.Context, r request) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	req.Header = r.header
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, answer)
	}
	return err
}

// recorder passes calls on to the stand-ins and keeps the longest call to each.
type recorder struct {
	to    *url.URL
	proxy *httputil.ReverseProxy
	mu    sync.Mutex
	kept  map[simulator.Provider]request
}

func newRecorder(standIns string) (*recorder, error) {
	to, err := url.Parse(standIns)
	if err != nil {
		return nil, err
	}
	return &recorder{to: to, proxy: httputil.NewSingleHostReverseProxy(to), kept: map[simulator.Provider]request{}}, nil
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	provider, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	rec.mu.Lock()
	if p := simulator.Provider(provider); r.Method == http.MethodPost && len(body) > len(rec.kept[p].body) {
		rec.kept[p] = request{url: rec.to.String() + r.URL.RequestURI(), header: r.Header.Clone(), body: body}
	}
	rec.mu.Unlock()
	rec.proxy.ServeHTTP(w, r)
}

// bare measures what a plain client reaches with the very same calls: as many
// at a time as beckon makes, with nothing read, decided or written down.
func (r *runOn) bare(ctx context.Context) error {
	calls, err := r.rehearse(ctx)
	if err != nil {
		return fmt.Errorf("rehearse: %w", err)
	}
	for _, m := range []struct {
		lane, name string
		provider   simulator.Provider
		atOnce     int // what beckon's channels have in flight per send job
		each       int // recipients of one call
	}{
		{"send: Messenger, one-time tokens", "bare client: Messenger", simulator.Graph, 64, 1},
		{"send: SMS", "bare client: SMS", simulator.Twilio, 32, 1},
		{"send: e-mail", "bare client: e-mail", simulator.SendGrid, 1, rehearsalSize},
	} {
		rate, err := flood(ctx, calls[m.provider], m.atOnce*r.parallel, max(r.contacts/m.each, 20))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.note(figure{name: m.name, value: rate * float64(m.each), unit: "messages/s"})
		for _, f := range r.figures {
			if f.name == m.lane {
				r.note(figure{name: "  beckon / bare", value: f.value / (rate * float64(m.each)), ratio: true})
			}
		}
	}
	return nil
}

// flood posts one call again and again, for some seconds at most.
func flood(ctx context.Context, call request, atOnce, times int) (perSecond float64, err error) {
	c := newClient("", "")
	defer c.http.CloseIdleConnections()
	began, left := time.Now(), atomic.Int64{}
	left.Store(int64(times))
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range atOnce {
		g.Go(func() error {
			for left.Add(-1) >= 0 && time.Since(began) < 5*time.Second {
				if err := c.send(ctx, call); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

// rehearse runs a small campaign on each lane through a recorder, on a server
// of its own, and returns the calls that were made.
func (r *runOn) rehearse(ctx context.Context) (calls map[simulator.Provider]request, err error) {
	rec, err := newRecorder(r.standIns.base)
	if err != nil {
		return nil, err
	}
	front, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	proxy := &http.Server{Addr: front, Handler: rec, ReadHeaderTimeout: 10 * time.Second}
	g := errgroup.Group{}
	g.Go(proxy.ListenAndServe)
	defer func() {
		if stopped := errors.Join(proxy.Close(), g.Wait()); !errors.Is(stopped, http.ErrServerClosed) {
			err = errors.Join(err, stopped)
		}
	}()
	dir, err := os.MkdirTemp("", "beckon-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	settings := []string{"BECKON_DATA_DIR=" + dir}
	for _, v := range r.standIns.settings {
		settings = append(settings, strings.Replace(v, r.standIns.base, "http://"+front, 1))
	}
	server, api, err := startServer(ctx, r.options, addr, settings, r.errOut)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	return rec.kept, rehearseOn(ctx, api)
}

func rehearseOn(ctx context.Context, api *client) error {
	page, err := makePage(ctx, api)
	if err != nil {
		return err
	}
	body, err := everybody(page, rehearsalSize)
	if err != nil {
		return err
	}
	if err := errors.Join(importAll(ctx, api, body, rehearsalSize), postSaid(ctx, api, rehearsalSize)); err != nil {
		return err
	}
	err = until(ctx, time.Minute, func() (bool, error) {
		n, err := preview(ctx, api, page)
		return n == rehearsalSize, err
	})
	for _, lane := range []string{"window", "sms", "email"} {
		if err == nil {
			_, err = runCampaign(ctx, api, page, topic, lane)
		}
	}
	return err
}

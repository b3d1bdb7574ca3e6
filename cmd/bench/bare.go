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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// rehearsalSize is one full batch.
const rehearsalSize = 500

// recorder passes calls on to the stand-ins and keeps the longest call to each.
type recorder struct {
	to    *url.URL
	proxy *httputil.ReverseProxy
	mu    sync.Mutex
	kept  map[simulator.Provider]rig.Request
}

func newRecorder(standIns string) (*recorder, error) {
	to, err := url.Parse(standIns)
	if err != nil {
		return nil, err
	}
	return &recorder{to: to, proxy: httputil.NewSingleHostReverseProxy(to), kept: map[simulator.Provider]rig.Request{}}, nil
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
	if p := simulator.Provider(provider); r.Method == http.MethodPost && len(body) > len(rec.kept[p].Body) {
		rec.kept[p] = rig.Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
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
		rate, err := flood(ctx, r.standIns.Base, calls[m.provider], m.atOnce*r.parallel, max(r.contacts/m.each, 20))
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
func flood(ctx context.Context, base string, call rig.Request, atOnce, times int) (perSecond float64, err error) {
	c := rig.NewClient(base, "")
	defer c.Close()
	began, left := time.Now(), atomic.Int64{}
	left.Store(int64(times))
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range atOnce {
		g.Go(func() error {
			for left.Add(-1) >= 0 && time.Since(began) < 5*time.Second {
				if _, err := c.Do(ctx, call); err != nil {
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
func (r *runOn) rehearse(ctx context.Context) (calls map[simulator.Provider]rig.Request, err error) {
	rec, err := newRecorder(r.standIns.Base)
	if err != nil {
		return nil, err
	}
	front, err := rig.FreeAddress(ctx)
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
	database, err := rig.SQLite()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, database.Drop()) }()
	addr, err := rig.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	var standIns []string
	for _, v := range r.standIns.Settings {
		standIns = append(standIns, strings.Replace(v, r.standIns.Base, "http://"+front, 1))
	}
	server, err := rig.StartNode(ctx, r.beckon, addr, r.settings(database.Setting, standIns), r.errOut)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return rec.kept, rehearseOn(ctx, server.Client)
}

func rehearseOn(ctx context.Context, api *rig.Client) error {
	page, err := rig.MakePage(ctx, api, topic)
	if err != nil {
		return err
	}
	body, err := everybody(page, rehearsalSize)
	if err != nil {
		return err
	}
	if err := errors.Join(rig.Import(ctx, api, body, rehearsalSize), rig.Say(ctx, api, rig.Numbers(rehearsalSize))); err != nil {
		return err
	}
	err = rig.Until(ctx, time.Minute, func() (bool, error) {
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

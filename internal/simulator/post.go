package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// callback is one post to the bot's side.
type callback struct {
	provider Provider
	url      string
	header   http.Header
	body     []byte
	retries  int
	// retryOn decides by status (0: no connection) whether a failure is tried
	// again; nil retries everything.
	retryOn func(status int) bool
}

// postError is a callback that was not acknowledged. It names no URL: that may
// carry what must not be logged.
type postError struct {
	provider Provider
	status   int // 0: no answer
	cause    error
}

func (e *postError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("simulator: %s callback: %v", e.provider, e.cause)
	}
	return fmt.Sprintf("simulator: %s callback: answered %d", e.provider, e.status)
}

func (e *postError) Unwrap() error { return e.cause }

func callbackClient() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, MaxIdleConns: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post sends cb until it is acknowledged with a 2xx or its retries are used up.
func (s *Simulator) post(ctx context.Context, cb *callback) error {
	wait := s.cfg.Receipts.Backoff
	for try := 0; ; try++ {
		err := s.postOnce(ctx, cb)
		if err == nil {
			return nil
		}
		if try >= cb.retries || (cb.retryOn != nil && !cb.retryOn(err.status)) || !pause(ctx, wait) {
			s.log.WarnContext(ctx, "callback given up", "provider", string(cb.provider), "status", err.status, "tries", try+1)
			return err
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// postOnce sends cb one time.
func (s *Simulator) postOnce(ctx context.Context, cb *callback) *postError {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cb.url, bytes.NewReader(cb.body))
	if err != nil {
		return &postError{provider: cb.provider, cause: bare(err)}
	}
	req.Header = cb.header
	_, failed := s.do(req, cb.provider)
	return failed
}

func (s *Simulator) do(req *http.Request, p Provider) ([]byte, *postError) {
	res, err := s.client.Do(req)
	if err != nil {
		return nil, &postError{provider: p, cause: bare(err)}
	}
	defer res.Body.Close()
	head, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, &postError{provider: p, status: res.StatusCode, cause: bare(err)}
	}
	if res.StatusCode/100 != 2 {
		return nil, &postError{provider: p, status: res.StatusCode}
	}
	return head, nil
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client calls the API of beckon or the controls of the stand-ins.
type Client struct {
	Base string
	key  string
	http *http.Client
}

// NewClient returns a client of the server at base; key may be empty.
func NewClient(base, key string) *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	return &Client{base, key, &http.Client{Transport: t, Timeout: 5 * time.Minute}}
}

// Close lets go of connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// StatusError is an answer that says no.
type StatusError struct {
	Status       int
	Method, Path string
	Body         []byte
	Header       http.Header
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %.500s", e.Method, e.Path, e.Status, e.Body)
}

// Code is the code of a problem+json, or "".
func (e *StatusError) Code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(e.Body, &p) // what is no problem has no code
	return p.Code
}

// Request is a call as it is made.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// Do makes a call and returns the body of its answer. An answer of 400 or more
// is a *StatusError.
func (c *Client) Do(ctx context.Context, r Request) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.Base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, &StatusError{resp.StatusCode, r.Method, r.Path, raw, resp.Header}
	}
	return raw, nil
}

// Get reads JSON.
func (c *Client) Get(ctx context.Context, path string, answer any) error {
	return c.read(ctx, Request{Method: http.MethodGet, Path: path}, answer)
}

// Post sends ask as JSON, or nothing when it is nil, and reads JSON; answer may
// be nil.
func (c *Client) Post(ctx context.Context, path string, ask, answer any) error {
	return c.json(ctx, http.MethodPost, path, ask, answer)
}

// Put is Post with PUT.
func (c *Client) Put(ctx context.Context, path string, ask, answer any) error {
	return c.json(ctx, http.MethodPut, path, ask, answer)
}

func (c *Client) json(ctx context.Context, method, path string, ask, answer any) error {
	r := Request{Method: method, Path: path}
	if ask != nil {
		body, err := json.Marshal(ask)
		if err != nil {
			return err
		}
		r.Body, r.Header = body, http.Header{"Content-Type": {"application/json"}}
	}
	return c.read(ctx, r, answer)
}

func (c *Client) read(ctx context.Context, r Request, answer any) error {
	raw, err := c.Do(ctx, r)
	if err != nil || answer == nil || len(raw) == 0 {
		return err
	}
	return json.Unmarshal(raw, answer)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client calls the API.
type client struct {
	base, key string
	http      *http.Client
}

func newClient(base, key string) *client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	return &client{base, key, &http.Client{Transport: t, Timeout: 5 * time.Minute}}
}

func (c *client) call(ctx context.Context, method, path, kind string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: status %d: %.500s", method, path, resp.StatusCode, raw)
	}
	if answer == nil || len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, answer)
}

func (c *client) get(ctx context.Context, path string, answer any) error {
	return c.call(ctx, http.MethodGet, path, "", nil, answer)
}

func (c *client) post(ctx context.Context, path string, ask, answer any) error {
	if ask == nil {
		return c.call(ctx, http.MethodPost, path, "", nil, answer)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body), answer)
}

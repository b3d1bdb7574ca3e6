package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// apiClient calls Beckon's public API as any integrator would.
type apiClient struct {
	base, key string
	http      *http.Client
}

func newAPIClient(base, key string) *apiClient {
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &apiClient{strings.TrimRight(base, "/"), key, &http.Client{Timeout: time.Minute, Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// problem is how the API says no.
type problem struct {
	Status int
	Code   string
	Detail string
	Errors []fieldProblem
}

type fieldProblem struct{ Pointer, Code, Detail string }

func (p *problem) Error() string {
	out := fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
	for _, f := range p.Errors {
		out += fmt.Sprintf(" %s: %s", f.Pointer, f.Detail)
	}
	return out
}

func (c *apiClient) get(ctx context.Context, path string, answer any) error {
	return c.call(ctx, http.MethodGet, path, "", nil, answer)
}

// post sends a value as JSON.
func (c *apiClient) post(ctx context.Context, path string, ask, answer any) error {
	if ask == nil {
		return c.call(ctx, http.MethodPost, path, "", nil, answer)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	return c.call(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body), answer)
}

func (c *apiClient) call(ctx context.Context, method, path, kind string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %w", method, path, problemOf(resp))
	}
	if answer == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	} else {
		reflect.ValueOf(answer).Elem().SetZero() // decoding adds to maps that are there
		err = json.NewDecoder(resp.Body).Decode(answer)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func problemOf(resp *http.Response) error {
	p := &problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(p); err != nil || p.Code == "" {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	p.Status = resp.StatusCode
	return p
}

// follow opens a personal link as a browser does, and returns where it leads.
func (c *apiClient) follow(ctx context.Context, link string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return "", fmt.Errorf("follow a personal link: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("follow a personal link: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		return "", fmt.Errorf("follow a personal link: status %d", resp.StatusCode)
	}
	return resp.Header.Get("Location"), nil
}

// errStillOpen says that what was waited for has not come.
var errStillOpen = errors.New("it takes longer than expected")

// await asks again until done says so; it gives up after a time.
func await(ctx context.Context, limit, every time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errStillOpen)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// The answers of the API, as far as the demo reads them.
type (
	importAnswer struct {
		ID, State                        string
		Lines, Created, Updated, Refused int
		RefusedLines                     []refusedLine `json:"refused_lines"`
		Problem                          string
	}
	refusedLine struct {
		Line   int
		Errors []fieldProblem
	}
	unreachable struct {
		Total   int
		Reasons map[string]int
	}
	previewAnswer struct {
		Audience, Messenger int
		LinkBack            int `json:"link_back"`
		Unreachable         unreachable
		Lanes               map[string]int
		Segments            int `json:"sms_segments"`
		Warnings            []fieldProblem
	}
	tally struct {
		Total  int
		States map[string]int
	}
	reportAnswer struct {
		State                      string
		Audience                   int
		Messenger                  tally
		LinkBack                   tally `json:"link_back"`
		Unreachable                unreachable
		Lanes                      map[string]tally
		Clicked, Returned, Replied int
		TokensGranted              int            `json:"tokens_granted"`
		FollowUps                  followUpAnswer `json:"follow_ups"`
	}
	followUpAnswer struct{ Open, Done, Skipped, Thanked, Asked int }
	contactAnswer  struct {
		ID        string
		FirstName string `json:"first_name"`
		Email     string
		Phone     string
		Messenger []addressAnswer
		Tokens    []struct{ Status string }
	}
	addressAnswer struct {
		PSID    string
		Closes  *time.Time `json:"window_closes_at"`
		Blocked bool
	}
	deliveryAnswer struct {
		ID        int64
		ContactID string `json:"contact_id"`
		Lane      string
		State     string
		Clicked   *time.Time `json:"clicked_at"`
		Returned  *time.Time `json:"returned_at"`
		Replied   *time.Time `json:"replied_at"`
	}
	reachAnswer struct{ Lane string }
)

// inWindow reports whether Messenger is free for somebody now.
func (c contactAnswer) inWindow() bool {
	return slices.ContainsFunc(c.Messenger, func(m addressAnswer) bool { return m.Closes != nil && m.Closes.After(time.Now()) })
}

// everything reads a list to its last page.
func everything[T any](ctx context.Context, c *apiClient, path string) ([]T, error) {
	var all []T
	for cursor := ""; ; {
		var page struct {
			Data       []T
			NextCursor string `json:"next_cursor"`
		}
		if err := c.get(ctx, path+"?limit=200"+cursor, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.NextCursor == "" {
			return all, nil
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

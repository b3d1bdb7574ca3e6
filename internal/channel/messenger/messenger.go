// Package messenger reaches people in Facebook Messenger through Meta's Graph
// API, and reads what the Messenger webhooks tell.
package messenger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
	"beckon/internal/fault"
)

const (
	maxBatch           = 500
	defaultTimeout     = 15 * time.Second
	defaultConcurrency = 64
)

// Settings is what an operator configures.
type Settings struct {
	GraphURL     string        // "https://graph.facebook.com"
	GraphVersion string        // "v25.0"
	AppID        string        //
	AppSecret    string        // signs calls and callbacks; callbacks are refused without it
	VerifyToken  string        // what Meta repeats when it checks the webhook address
	Timeout      time.Duration // of one call; 0 takes 15 s
	Concurrency  int           // calls in flight per Send; 0 takes 64
}

// Client sends Messenger messages. It implements channel.Sender.
type Client struct {
	root      string // Graph address with version and closing slash
	app       string // id of the app; may be ""
	secret    []byte
	timeout   time.Duration
	workers   int
	transport *http.Transport
	loads     loads
}

// New returns a client. A nil transport takes one tuned for the settings; a
// transport given must not be shared with code that changes it.
func New(s Settings, transport *http.Transport) (*Client, error) {
	base, err := url.Parse(s.GraphURL)
	if err != nil || base.Host == "" {
		return nil, fault.New(fault.Invalid, "graph_url", "The Graph address is not a full URL.")
	}
	if s.GraphVersion == "" {
		return nil, fault.New(fault.Invalid, "graph_version", "The Graph version is not set.")
	}
	c := &Client{
		root:      strings.TrimRight(s.GraphURL, "/") + "/" + s.GraphVersion + "/",
		app:       s.AppID,
		secret:    []byte(s.AppSecret),
		timeout:   s.Timeout,
		workers:   s.Concurrency,
		transport: transport,
		loads:     loads{saw: map[string]sighting{}},
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.workers <= 0 {
		c.workers = defaultConcurrency
	}
	if c.transport == nil {
		c.transport = wire.Transport(8 * c.workers)
	}
	return c, nil
}

// Kind is channel.Messenger.
func (c *Client) Kind() channel.Kind { return channel.Messenger }

// MaxBatch is the largest number of messages Send takes at once.
func (c *Client) MaxBatch() int { return maxBatch }

// Send posts the messages, several at a time. Once Graph says that the Page
// itself is the problem, the messages not yet begun come back as TryLater
// without a call.
func (c *Client) Send(ctx context.Context, b channel.Batch) []channel.Result {
	results := make([]channel.Result, len(b.Messages))
	d := c.door(b.Page)
	var stopped atomic.Bool
	await := func(i int) bool { return !stopped.Load() && b.Await(ctx, i) && !stopped.Load() }
	begun := wire.Each(c.workers, len(results), await, func(i int) {
		if b.Silent(i) {
			results[i] = channel.LeftOut()
			return
		}
		results[i] = c.sendOne(ctx, d, &b, i)
		c.loads.note(b.Page.GraphID, results[i].Load)
		if results[i].Outcome == channel.StopTheLine {
			stopped.Store(true)
		}
	})
	rest := held
	if ctx.Err() != nil {
		rest = cancelled
	}
	for i := begun; i < len(results); i++ {
		results[i] = rest
	}
	return results
}

// AskOptIn sends the "Notify Me" request: title is what the person is asked
// to be told about, payload comes back with the token. It goes through only
// inside the window. StopTheLine with code 10/1404170 means that the Page may
// not ask any more; it may still send.
func (c *Client) AskOptIn(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result {
	return c.post(ctx, c.door(page), optInRequest(askOnce, psid, title, payload), false)
}

func (c *Client) sendOne(ctx context.Context, d door, b *channel.Batch, i int) channel.Result {
	body, err := request(b.Lane, &b.Messages[i], b.Answer)
	if err != nil {
		return channel.Result{Outcome: channel.Refused, Detail: err.Error()}
	}
	return c.post(ctx, d, body, b.Lane == channel.OneTime || b.Lane == channel.Recurring)
}

// door is where the messages of one Page go in, and the key to it. The proof
// is the same for all calls with one token, so it is made once per Send.
type door struct{ url, authorization string }

func (c *Client) door(p channel.Page) door { return c.edge(p, "messages", nil) }

// edge is the door to an edge of the Page, such as thread_owner, with what is
// asked of it.
func (c *Client) edge(p channel.Page, name string, query url.Values) door {
	return c.place(url.PathEscape(p.GraphID)+"/"+name, p.AccessToken, query)
}

// place is the door to anything in Graph, for whom the token speaks.
func (c *Client) place(path, token string, query url.Values) door {
	d := door{url: c.root + path, authorization: "Bearer " + token}
	q := url.Values{}
	maps.Copy(q, query)
	if len(c.secret) > 0 {
		mac := hmac.New(sha256.New, c.secret)
		mac.Write([]byte(token))
		q.Set("appsecret_proof", hex.EncodeToString(mac.Sum(nil)))
	}
	if len(q) > 0 {
		d.url += "?" + q.Encode()
	}
	return d
}

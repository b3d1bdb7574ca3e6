package messenger

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"beckon/internal/channel"
)

// loads remembers how much of Graph's limits the messages of each Page used up, by
// what this process saw last.
type loads struct {
	mu  sync.Mutex
	saw map[string]sighting
}

type sighting struct {
	percent int
	at      time.Time
}

func (l *loads) note(page string, percent int) {
	if percent == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saw[page] = sighting{percent, time.Now()}
}

// Load is how many percent of Graph's limits were used up when a message of the
// Page was last sent by this process; 0 when that is longer ago than within, or
// when Graph did not say.
func (c *Client) Load(page channel.Page, within time.Duration) int {
	c.loads.mu.Lock()
	defer c.loads.mu.Unlock()
	last := c.loads.saw[page.GraphID]
	if time.Since(last.at) > within {
		return 0
	}
	return last.percent
}

// usage is how much of a limit is used up, in percent, as Graph's headers say.
type usage struct {
	Calls   float64 `json:"call_count"`
	CPU     float64 `json:"total_cputime"`
	Time    float64 `json:"total_time"`
	Minutes float64 `json:"estimated_time_to_regain_access"`
}

func (u usage) percent() int { return int(max(u.Calls, u.CPU, u.Time, 0)) }

// byBusiness reads the header that names every business, each with the kinds of
// calls that count for it. What cannot be read says nothing.
func byBusiness(h http.Header) []usage {
	value := h.Get("X-Business-Use-Case-Usage")
	var cases map[string][]usage
	if value == "" || json.Unmarshal([]byte(value), &cases) != nil {
		return nil
	}
	var all []usage
	for _, c := range cases {
		all = append(all, c...)
	}
	return all
}

// load is the largest part of any limit that Graph says is used up.
func load(h http.Header) int {
	most := 0
	for _, u := range byBusiness(h) {
		most = max(most, u.percent())
	}
	for _, name := range [...]string{"X-App-Usage", "X-Page-Usage"} {
		var u usage
		if value := h.Get(name); value != "" && json.Unmarshal([]byte(value), &u) == nil {
			most = max(most, u.percent())
		}
	}
	return most
}

// retryAfter reads how long to wait: the plain header, or the longest of the
// times that the usage header names for this business.
func retryAfter(h http.Header) time.Duration {
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, time.Until(at))
	}
	var wait time.Duration
	for _, u := range byBusiness(h) {
		wait = max(wait, time.Duration(u.Minutes*float64(time.Minute)))
	}
	return wait
}

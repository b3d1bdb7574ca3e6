package maildns

import (
	"context"
	"strings"
)

// Why a record is Broken.
const (
	Several     = "several" // more than one record: none counts
	TooMany     = "too many look-ups"
	Revoked     = "revoked"
	Unreadable  = "unreadable"
	TooShort    = "too short"
	OpenToAll   = "open to all" // it lets everybody send
	NothingSaid = "no policy"
)

// mostLookups is how many look-ups an SPF record may cost a receiver (RFC 7208,
// 4.6.4).
const mostLookups = 10

// SPF is who may send for a domain, by RFC 7208.
type SPF struct {
	State   State
	Why     string // what is Broken
	All     string // what it says of everybody else: "-", "~", "?", "+", or "" for nothing
	Lookups int    // what it costs a receiver; more than ten is too many
}

func (l looker) spf(ctx context.Context, domain string) SPF {
	c := counter{looker: l, seen: map[string]bool{}}
	s := c.record(ctx, domain)
	s.Lookups = c.n
	switch {
	case s.State == Found && c.n > mostLookups:
		s.State, s.Why = Broken, TooMany
	case s.State == Found && s.All == "+":
		s.State, s.Why = Broken, OpenToAll
	}
	return s
}

// counter counts the look-ups of a record and of those that it leads to.
type counter struct {
	looker
	n    int
	seen map[string]bool
}

// record reads the record of one domain and follows it.
func (c *counter) record(ctx context.Context, domain string) SPF {
	list, state := c.texts(ctx, domain, "v=spf1")
	if state != Found {
		return SPF{State: state}
	}
	if len(list) > 1 {
		return SPF{State: Broken, Why: Several}
	}
	c.seen[domain] = true
	s := SPF{State: Found}
	redirect := ""
	for _, term := range strings.Fields(strings.ToLower(list[0]))[1:] {
		sign, mechanism := signed(term)
		name, target := split(mechanism)
		switch name {
		case "all":
			if s.All == "" {
				s.All = sign
			}
		case "include":
			c.n++
			c.follow(ctx, target)
		case "a", "mx", "ptr", "exists":
			c.n++
		case "redirect":
			redirect = target
		}
	}
	if redirect != "" && s.All == "" { // RFC 7208, 6.1: all goes before
		c.n++
		s.All = c.follow(ctx, redirect).All
	}
	return s
}

// follow reads another domain's record, once. What holds a macro differs from
// mail to mail and is counted only.
func (c *counter) follow(ctx context.Context, domain string) SPF {
	if domain == "" || c.seen[domain] || c.n > mostLookups || strings.Contains(domain, "%{") {
		return SPF{}
	}
	return c.record(ctx, domain)
}

func signed(term string) (sign, rest string) {
	if strings.ContainsRune("+-~?", rune(term[0])) {
		return term[:1], term[1:]
	}
	return "+", term
}

// split cuts include:example.com, redirect=example.com and a/24.
func split(mechanism string) (name, target string) {
	at := strings.IndexAny(mechanism, ":=/")
	if at < 0 {
		return mechanism, ""
	}
	return mechanism[:at], strings.TrimSuffix(mechanism[at+1:], ".")
}

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"beckon/internal/channel/wire"
)

// sendersWithin is how long the looks at Twilio, SendGrid and the DNS may take,
// which are made at the same time.
const (
	sendersWithin  = 10 * time.Second
	providerWithin = 5 * time.Second // of these, for an e-mail provider
)

// senders looks at what stands between a message and a phone or a mailbox: the
// providers' accounts, the domain in From, and the host of our links.
func (d *doctor) senders(ctx context.Context, c Config, dns *net.Resolver) {
	if c.Twilio.AccountSID == "" && c.Mail.Key == "" && c.Mail.SMTP.URL == "" {
		return
	}
	d.linkHost(c)
	ctx, cancel := context.WithTimeout(ctx, sendersWithin)
	defer cancel()
	looks := []func(*doctor){
		func(d *doctor) { d.twilio(ctx, c) },
		func(d *doctor) { d.email(ctx, c, dns) },
	}
	seen := make([]doctor, len(looks))
	var wg sync.WaitGroup
	for i, look := range looks {
		wg.Go(func() { look(&seen[i]) })
	}
	wg.Wait()
	for _, s := range seen {
		d.findings = append(d.findings, s.findings...)
	}
}

// resolver is the system's, or one that asks the server given.
func resolver(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	var dialer net.Dialer
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, server)
	}}
}

// linkHost looks at the host that personal links begin with.
func (d *doctor) linkHost(c Config) {
	const area = "links"
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return // which the settings have told
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case shortener(host):
		d.add(todo, area, "BECKON_PUBLIC_URL is a public shortener's. Carriers filter texts with such links, and mailbox providers mistrust them.",
			"Use a host of your own, best below the domain that people know you by: go.example.com.")
	case private(host):
		d.add(note, area, "Personal links begin with an address that only this machine or its network knows: nobody else can follow them.",
			"Set BECKON_PUBLIC_URL to a host of your own that the world can reach.")
	case isIP(host):
		d.add(todo, area, "Personal links begin with an IP address. Carriers and mailbox providers filter such links.",
			"Give it a name below a domain of your own, and set BECKON_PUBLIC_URL to that.")
	case u.Scheme != "https":
		d.add(todo, area, "Personal links do not begin with https://: phones warn of them, and mailbox providers make no one-click unsubscribe of them.",
			"Put a reverse proxy with a certificate before Beckon and set BECKON_PUBLIC_URL to its address.")
	default:
		d.add(fine, area, "Personal links begin with a host of your own, "+host+".", "")
	}
}

// shortener reports whether a host is one that anybody can make short links with.
func shortener(host string) bool {
	for _, s := range []string{"bit.ly", "bitly.com", "j.mp", "tinyurl.com", "twil.io", "t.co", "goo.gl", "ow.ly", "is.gd", "v.gd", "buff.ly", "rebrand.ly", "cutt.ly",
		"rb.gy", "shorturl.at", "shorte.st", "t.ly", "tiny.cc", "bl.ink", "short.io", "s.id", "lnkd.in", "fb.me", "m.me", "youtu.be", "amzn.to", "clck.ru", "u.to", "soo.gd"} {
		if host == s || strings.HasSuffix(host, "."+s) {
			return true
		}
	}
	return false
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// private reports whether a host is known on this machine or its network only.
func private(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsLinkLocalUnicast()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal") || !strings.Contains(host, ".")
}

// sameURL reports whether a provider calls the address that we want to be called
// at. The part after # is for the provider itself.
func sameURL(got, want string) bool {
	got, _, _ = strings.Cut(got, "#")
	return strings.TrimRight(got, "/") == want
}

// unasked tells of a look that a provider did not allow. It reports whether there
// was one.
func (d *doctor) unasked(area, provider string, err error) bool {
	switch status := wire.Refused(err); {
	case err == nil:
		return false
	case status == http.StatusTooManyRequests:
		d.add(note, area, provider+" answers that too much is asked of it at the moment.", "Look again in a few minutes.")
	case status >= http.StatusInternalServerError, errors.Is(err, wire.ErrSilent):
		d.add(note, area, provider+" could not be asked: it does not answer.", "See that this machine can reach it, and its status page; then look again.")
	default:
		d.add(note, area, provider+" does not say: "+err.Error()+".", "See in its console, or look again with a key that may read the account.")
	}
	return true
}

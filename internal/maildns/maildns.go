// Package maildns looks up what the DNS says of a domain that mail is sent from:
// SPF, DKIM, DMARC, where its own mail goes, and whether they fit together.
package maildns

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Resolver asks the DNS; *net.Resolver does.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// State is what came of a look-up.
type State string

// What can come of a look-up.
const (
	Found   State = "found"
	Missing State = "missing" // the DNS answers that there is none
	Broken  State = "broken"  // there is one that nobody will heed
	Unknown State = "unknown" // the DNS did not answer
)

// Query says what is looked up.
type Query struct {
	From       string   // the domain of the From address
	Keys       []string // full names of the records with DKIM keys, s1._domainkey.example.com
	ReturnPath string   // the domain bounces go to, if it is known and another one
}

// Report is what was found.
type Report struct {
	SPF        SPF
	ReturnPath SPF  // of Query.ReturnPath; its State is "" when there is none
	Bounces    Mail // where mail to Query.ReturnPath goes; its State is "" when there is none
	Keys       []Key
	DMARC      DMARC
	Mail       Mail
}

// Look looks everything up at once. It ends when ctx does: what had no answer by
// then is Unknown.
func Look(ctx context.Context, r Resolver, q Query) Report {
	l, from := looker{r}, ASCII(q.From)
	rep := Report{Keys: make([]Key, len(q.Keys))}
	work := []func(){
		func() { rep.SPF = l.spf(ctx, from) },
		func() { rep.DMARC = l.dmarc(ctx, from) },
		func() { rep.Mail = l.mail(ctx, from) },
	}
	if q.ReturnPath != "" {
		work = append(work, func() { rep.ReturnPath = l.spf(ctx, ASCII(q.ReturnPath)) }, func() { rep.Bounces = l.mail(ctx, ASCII(q.ReturnPath)) })
	}
	for i, name := range q.Keys {
		work = append(work, func() { rep.Keys[i] = l.key(ctx, ASCII(name)) })
	}
	var wg sync.WaitGroup
	for _, w := range work {
		wg.Go(w)
	}
	wg.Wait()
	return rep
}

// ASCII is a domain as the DNS has it: lower case, in its ASCII form, without a
// dot at its end.
func ASCII(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if ascii, err := idna.ToASCII(domain); err == nil {
		return ascii
	}
	return domain
}

// Organization is the domain that whoever owns this one registered: example.co.uk
// for news.example.co.uk.
func Organization(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(ASCII(domain)); err == nil {
		return org
	}
	return ASCII(domain)
}

// Aligned reports whether a domain that was authenticated speaks for the domain of
// the From address, in DMARC's strict or relaxed sense.
func Aligned(from, authenticated string, strict bool) bool {
	if strict {
		return ASCII(from) == ASCII(authenticated)
	}
	return Organization(from) == Organization(authenticated)
}

// Reserved reports whether a domain is one of those that nobody can have (RFC 2606
// and 6761), so that looking it up tells nothing.
func Reserved(domain string) bool {
	domain = ASCII(domain)
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	switch top {
	case "example", "test", "invalid", "localhost", "local":
		return true
	}
	switch Organization(domain) {
	case "example.com", "example.net", "example.org":
		return true
	}
	return false
}

// Freemail reports whether a domain belongs to a mailbox provider, whose own rules
// forbid others to send from it.
func Freemail(domain string) bool {
	switch ASCII(domain) {
	case "gmail.com", "googlemail.com", "yahoo.com", "ymail.com", "aol.com", "outlook.com", "hotmail.com", "live.com", "msn.com",
		"icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de", "gmx.net", "web.de", "mail.ru", "yandex.ru", "proton.me", "protonmail.com":
		return true
	}
	name, _, _ := strings.Cut(Organization(domain), ".")
	return name == "yahoo" || name == "hotmail"
}

type looker struct{ Resolver }

// stateOf words an error of the resolver.
func stateOf(err error) State {
	var dns *net.DNSError
	switch {
	case err == nil:
		return Found
	case errors.As(err, &dns) && dns.IsNotFound:
		return Missing
	}
	return Unknown
}

// texts are the TXT records of a name that begin with a version.
func (l looker) texts(ctx context.Context, name, version string) ([]string, State) {
	all, err := l.LookupTXT(ctx, name)
	if s := stateOf(err); s != Found {
		return nil, s
	}
	var out []string
	for _, t := range all {
		first, _, _ := strings.Cut(strings.TrimSpace(t), " ")
		first, _, _ = strings.Cut(first, ";")
		if strings.EqualFold(first, version) {
			out = append(out, strings.TrimSpace(t))
		}
	}
	if len(out) == 0 {
		return nil, Missing
	}
	return out, Found
}

// tags reads a record of the form a=b; c=d. The names are in lower case.
func tags(record string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		name, value, found := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := out[name]; found && !twice {
			out[name] = strings.TrimSpace(value)
		}
	}
	return out
}

// Mail is where mail to a domain goes.
type Mail struct {
	State State // Broken: the domain says that it takes none
	Host  string
}

// mail finds the mail server, which is the domain itself when it names none.
func (l looker) mail(ctx context.Context, domain string) Mail {
	list, err := l.LookupMX(ctx, domain)
	if len(list) > 0 {
		host := strings.TrimSuffix(list[0].Host, ".")
		if host == "" { // RFC 7505
			return Mail{State: Broken}
		}
		return Mail{State: Found, Host: host}
	}
	if s := stateOf(err); s == Unknown {
		return Mail{State: Unknown}
	}
	_, err = l.LookupHost(ctx, domain)
	if s := stateOf(err); s != Found {
		return Mail{State: s}
	}
	return Mail{State: Found, Host: domain}
}

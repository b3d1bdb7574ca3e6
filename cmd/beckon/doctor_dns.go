package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"beckon/internal/maildns"
)

const dnsArea = "DNS"

// dnsWithin is how long all look-ups together may take.
const dnsWithin = 4 * time.Second

// domain looks at what the DNS says of the domain in From, against how the
// provider signs.
func (d *doctor) domain(ctx context.Context, from string, s signing, dns *net.Resolver) {
	switch {
	case maildns.Freemail(from):
		d.add(todo, dnsArea, "EMAIL_FROM is an address at "+from+", whose owner forbids others to send from it: mailbox providers refuse such mail.", "Send from an address at a domain of your own.")
		return
	case maildns.Reserved(from) && dns == net.DefaultResolver:
		d.add(note, dnsArea, from+" is a domain for examples that nobody owns: it was not looked up.", "Set EMAIL_FROM to an address at a domain of your own before mail goes to people.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsWithin)
	defer cancel()
	l := dnsLook{doctor: d, from: from, signing: s,
		seen: maildns.Look(ctx, dns, maildns.Query{From: from, Keys: s.keys, ReturnPath: s.returnPath})}
	l.spf()
	l.keys()
	l.dmarc()
	l.mail()
	if len(l.unknown) > 0 {
		d.add(note, dnsArea, "Could not be looked up, the DNS does not answer: "+strings.Join(l.unknown, ", ")+".", "See that this machine can reach a DNS server, or name one: beckon doctor --resolver 1.1.1.1")
	}
}

// dnsLook is one look under way.
type dnsLook struct {
	*doctor
	signing
	from    string
	seen    maildns.Report
	unknown []string // what had no answer
}

func (l *dnsLook) found(what string) { l.add(fine, dnsArea, what, "") }

func (l *dnsLook) spf() {
	l.ownSPFRecord(l.seen.SPF)
	r := l.seen.ReturnPath
	switch r.State {
	case maildns.Found:
		l.found("SPF of " + l.returnPath + ", where bounces go: it has a record.")
	case maildns.Missing, maildns.Broken:
		l.add(todo, dnsArea, "SPF of "+l.returnPath+", where bounces go, "+brokenOr(r, "is not there")+".", "Add the records that "+l.provider+" names for it, see its console.")
	case maildns.Unknown:
		l.unknown = append(l.unknown, "SPF of "+l.returnPath)
	}
}

// ownSPFRecord looks at the record of From's domain. Where bounces go to another
// domain, receivers look there.
func (l *dnsLook) ownSPFRecord(s maildns.SPF) {
	needed := todo
	if l.returnPath != "" && l.returnPath != l.from {
		needed = note
	}
	const add = "Add one TXT record with what your mail providers tell you to include: v=spf1 include:… ~all"
	switch s.State {
	case maildns.Found:
		l.found(fmt.Sprintf("SPF of %s: one record, that costs %d of 10 look-ups.", l.from, s.Lookups))
	case maildns.Missing:
		l.add(needed, dnsArea, "SPF of "+l.from+": there is no record, so nobody can tell who may send for it.", add)
	case maildns.Broken:
		l.add(todo, dnsArea, "SPF of "+l.from+" "+brokenOr(s, "")+".", "Keep one record: v=spf1, what may send, and ~all or -all at its end.")
	case maildns.Unknown:
		l.unknown = append(l.unknown, "SPF of "+l.from)
	}
}

func brokenOr(s maildns.SPF, missing string) string {
	switch {
	case s.State == maildns.Missing:
		return missing
	case s.Why == maildns.Several:
		return "has more than one record: receivers heed none of them"
	case s.Why == maildns.TooMany:
		return fmt.Sprintf("needs more than 10 look-ups (%d or more): receivers give up on it", s.Lookups)
	}
	return "lets everybody send (+all): it protects nothing, and mailbox providers mistrust it"
}

// keys looks whether the keys that mail is signed with can be found.
func (l *dnsLook) keys() {
	if len(l.signing.keys) == 0 {
		l.add(note, dnsArea, "DKIM: it is not known which keys mail is signed with, so they were not looked up.", "See that "+l.provider+" signs for "+l.from+".")
		return
	}
	for _, k := range l.seen.Keys {
		l.key(k)
	}
}

func (l *dnsLook) key(k maildns.Key) {
	what := "DKIM key " + k.Name
	switch {
	case k.State == maildns.Unknown:
		l.unknown = append(l.unknown, what)
	case k.State == maildns.Missing:
		l.add(todo, dnsArea, what+" is not there: signatures with it cannot be checked.", cmp.Or(prefixed("Add the TXT record ", l.record), "Add the record that "+l.provider+" names."))
	case k.Why == maildns.TooShort:
		l.add(todo, dnsArea, fmt.Sprintf("%s has only %d bits: mailbox providers heed none below 1024.", what, k.Bits), "Make a new one of 2048 bits.")
	case k.Why == maildns.Revoked:
		l.add(todo, dnsArea, what+" is revoked: its record is empty.", "Sign with another key, or publish this one again.")
	case k.State == maildns.Broken:
		l.add(todo, dnsArea, what+" cannot be read.", "Copy the record again; quotes and breaks in it are frequent mistakes.")
	case l.record != "" && l.record != maildns.KeyRecord(k.Text):
		l.add(todo, dnsArea, what+" is not the key that messages are signed with.", "Change the record to: "+l.record)
	case k.Test:
		l.add(note, dnsArea, what+" says t=y, that it is only being tried: receivers may not heed it.", "Take t=y out of the record.")
	default:
		l.found(what + " is there.")
	}
}

func (l *dnsLook) dmarc() {
	m := l.seen.DMARC
	switch m.State {
	case maildns.Unknown:
		l.unknown = append(l.unknown, "DMARC of "+l.from)
		return
	case maildns.Missing:
		l.add(todo, dnsArea, "DMARC of "+l.from+": there is no record. Gmail, Yahoo and Outlook want one from whoever sends in bulk.",
			"Add a TXT record at _dmarc."+m.Domain+": v=DMARC1; p=none; rua=mailto:you@"+m.Domain)
		return
	case maildns.Broken:
		why := "names no policy"
		if m.Why == maildns.Several {
			why = "has more than one record"
		}
		l.add(todo, dnsArea, "DMARC of "+m.Domain+" "+why+": receivers do not heed it.", "Keep one TXT record at _dmarc."+m.Domain+": v=DMARC1; p=none; rua=mailto:you@"+m.Domain)
		return
	}
	l.found("DMARC of " + m.Domain + ": its policy is " + m.Policy + ".")
	if !m.Reports {
		l.add(note, dnsArea, "DMARC of "+m.Domain+" names no address for reports: nobody tells you when mail in your name is refused.", "Add rua=mailto:… to the record.")
	}
	l.alignment(m)
}

// alignment looks whether what is authenticated speaks for the domain in From.
func (l *dnsLook) alignment(m maildns.DMARC) {
	if l.signing.domain == "" {
		return
	}
	if maildns.Aligned(l.from, l.signing.domain, m.StrictDKIM) {
		l.found("Mail is signed for " + l.signing.domain + ", which stands for " + l.from + " (DMARC alignment).")
		return
	}
	if l.returnPath != "" && maildns.Aligned(l.from, l.returnPath, m.StrictSPF) {
		l.add(note, dnsArea, "Mail is signed for "+l.signing.domain+", which does not stand for "+l.from+" as its DMARC record wants it; only SPF does. Forwarded mail fails then.", "Have "+l.provider+" sign for "+l.from+".")
		return
	}
	l.add(todo, dnsArea, "Mail is signed for "+l.signing.domain+", which does not stand for "+l.from+": it fails DMARC.", "Have "+l.provider+" sign for "+l.from+", or, for a domain of the same owner, take adkim=s out of the DMARC record.")
}

// prefixed is empty when what follows is.
func prefixed(before, what string) string {
	if what == "" {
		return ""
	}
	return before + what
}

func (l *dnsLook) mail() {
	switch l.seen.Bounces.State {
	case maildns.Missing, maildns.Broken:
		l.add(todo, dnsArea, l.returnPath+", where bounces go, takes no mail: nobody hears of them, and some mailbox providers refuse mail from such a domain.", "Add an MX record for it.")
	case maildns.Unknown:
		l.unknown = append(l.unknown, "where mail to "+l.returnPath+" goes")
	}
	switch m := l.seen.Mail; m.State {
	case maildns.Found:
		l.found("Mail to " + l.from + " goes to " + m.Host + ".")
	case maildns.Missing, maildns.Broken:
		l.add(todo, dnsArea, l.from+" takes no mail: answers to EMAIL_FROM come back, and some mailbox providers refuse mail from such a domain.", "Add an MX record, and see that somebody reads what comes.")
	case maildns.Unknown:
		l.unknown = append(l.unknown, "where mail to "+l.from+" goes")
	}
}

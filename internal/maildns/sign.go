package maildns

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
)

// Key is a key that signatures are checked with, by RFC 6376 (DKIM).
type Key struct {
	Name  string // of the record
	State State
	Why   string // what is Broken
	Bits  int    // of an RSA key; 0 of another
	Text  string // the key as it stands there, without spaces
	Test  bool   // it says that signatures are only being tried
}

// leastBits is the shortest key that mailbox providers heed.
const leastBits = 1024

func (l looker) key(ctx context.Context, name string) Key {
	k := Key{Name: name}
	all, err := l.LookupTXT(ctx, name)
	if k.State = stateOf(err); k.State != Found {
		return k
	}
	for _, text := range all {
		if t := tags(text); t["p"] != "" || strings.Contains(text, "p=") {
			k.read(t)
			return k
		}
	}
	k.State = Missing
	return k
}

// read judges a record's tags.
func (k *Key) read(t map[string]string) {
	k.Test = strings.Contains(t["t"], "y")
	if t["p"] == "" {
		k.State, k.Why = Broken, Revoked
		return
	}
	k.Text = strings.Join(strings.Fields(t["p"]), "")
	der, err := base64.StdEncoding.DecodeString(k.Text)
	if err != nil {
		k.State, k.Why = Broken, Unreadable
		return
	}
	if strings.EqualFold(t["k"], "ed25519") {
		return
	}
	k.rsa(der)
}

func (k *Key) rsa(der []byte) {
	public, err := x509.ParsePKIXPublicKey(der)
	key, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
			k.State, k.Why = Broken, Unreadable
			return
		}
	}
	if k.Bits = key.N.BitLen(); k.Bits < leastBits {
		k.State, k.Why = Broken, TooShort
	}
}

// DMARC is what receivers are to do with mail that cannot be traced to the domain,
// by RFC 7489.
type DMARC struct {
	State      State
	Why        string // what is Broken
	Domain     string // where the record is: the domain, or the one above it that was registered
	Policy     string // none, quarantine or reject; for a subdomain its own
	StrictSPF  bool
	StrictDKIM bool
	Reports    bool // it names where reports go
}

func (l looker) dmarc(ctx context.Context, from string) DMARC {
	d := l.dmarcAt(ctx, from, "p")
	if org := Organization(from); d.State == Missing && org != from {
		return l.dmarcAt(ctx, org, "sp")
	}
	return d
}

// dmarcAt reads the record of a domain. The policy is that of the tag given, or
// else of p.
func (l looker) dmarcAt(ctx context.Context, domain, tag string) DMARC {
	list, state := l.texts(ctx, "_dmarc."+domain, "v=dmarc1")
	d := DMARC{State: state, Domain: domain}
	switch {
	case state != Found:
		return d
	case len(list) > 1:
		d.State, d.Why = Broken, Several
		return d
	}
	t := tags(list[0])
	d.Policy, d.Reports = strings.ToLower(cmp.Or(t[tag], t["p"])), t["rua"] != ""
	d.StrictSPF, d.StrictDKIM = strings.EqualFold(t["aspf"], "s"), strings.EqualFold(t["adkim"], "s")
	if !slices.Contains([]string{"none", "quarantine", "reject"}, d.Policy) {
		d.State, d.Why = Broken, NothingSaid
	}
	return d
}

// KeyRecord is the text of a record for an RSA key, given as in Key.Text.
func KeyRecord(text string) string { return "v=DKIM1; k=rsa; p=" + text }

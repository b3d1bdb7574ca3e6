package maildns_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/maildns"
)

// zone answers from what stands in it. A name that is not in it does not exist;
// one with "!" for a value is not answered.
type zone map[string][]string

func (z zone) find(name string) ([]string, error) {
	v := z[name]
	if len(v) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if v[0] == "!" {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return v, nil
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) { return z.find(name) }
func (z zone) LookupHost(_ context.Context, name string) ([]string, error) {
	return z.find("host " + name)
}

func (z zone) LookupMX(_ context.Context, name string) (out []*net.MX, err error) {
	list, err := z.find("mx " + name)
	for _, host := range list {
		out = append(out, &net.MX{Host: host, Pref: 10})
	}
	return out, err
}

func look(t *testing.T, z zone, q maildns.Query) maildns.Report {
	t.Helper()
	return maildns.Look(t.Context(), z, q)
}

func TestSPFIsReadAsAReceiverReadsIt(t *testing.T) {
	t.Parallel()
	const d = "shop.test"
	for name, c := range map[string]struct {
		zone zone
		want maildns.SPF
	}{
		"usual":                       {zone{d: {"google-site-verification=x", "v=spf1 include:sendgrid.net ~all"}}, maildns.SPF{State: maildns.Found, All: "~", Lookups: 1}},
		"in other letters":            {zone{d: {"V=SPF1 IP4:192.0.2.1 -ALL"}}, maildns.SPF{State: maildns.Found, All: "-"}},
		"nothing":                     {zone{}, maildns.SPF{State: maildns.Missing}},
		"other texts only":            {zone{d: {"v=spf10 -all", "hello"}}, maildns.SPF{State: maildns.Missing}},
		"no answer":                   {zone{d: {"!"}}, maildns.SPF{State: maildns.Unknown}},
		"two":                         {zone{d: {"v=spf1 -all", "v=spf1 a -all"}}, maildns.SPF{State: maildns.Broken, Why: maildns.Several}},
		"everybody may":               {zone{d: {"v=spf1 all"}}, maildns.SPF{State: maildns.Broken, Why: maildns.OpenToAll, All: "+"}},
		"says nothing of others":      {zone{d: {"v=spf1 a"}}, maildns.SPF{State: maildns.Found, Lookups: 1}},
		"sent on":                     {zone{d: {"v=spf1 redirect=_spf.test"}, "_spf.test": {"v=spf1 mx -all"}}, maildns.SPF{State: maildns.Found, All: "-", Lookups: 2}},
		"sent on, but not needed":     {zone{d: {"v=spf1 redirect=_spf.test ~all"}, "_spf.test": {"v=spf1 +all"}}, maildns.SPF{State: maildns.Found, All: "~"}},
		"in a circle":                 {zone{d: {"v=spf1 include:a.test -all"}, "a.test": {"v=spf1 include:shop.test -all"}}, maildns.SPF{State: maildns.Found, All: "-", Lookups: 2}},
		"the included need not exist": {zone{d: {"v=spf1 include:gone.test -all"}}, maildns.SPF{State: maildns.Found, All: "-", Lookups: 1}},
	} {
		require.Equal(t, c.want, look(t, c.zone, maildns.Query{From: d}).SPF, name)
	}
}

func TestSPFMayCostTenLookUpsAndNoMore(t *testing.T) {
	t.Parallel()
	z := zone{"shop.test": {"v=spf1 include:a.test include:b.test a mx -all"}, "a.test": {"v=spf1 include:c.test exists:%{i}.x.test ptr ?all"},
		"b.test": {"v=spf1 mx/24 ip4:192.0.2.0/24 ~all"}, "c.test": {"v=spf1 ip6:2001:db8::/32 a mx -all"}}
	require.Equal(t, maildns.SPF{State: maildns.Found, All: "-", Lookups: 10}, look(t, z, maildns.Query{From: "shop.test"}).SPF)
	z["b.test"] = []string{"v=spf1 a:x.b.test mx/24 ~all"}
	require.Equal(t, maildns.SPF{State: maildns.Broken, Why: maildns.TooMany, All: "-", Lookups: 11}, look(t, z, maildns.Query{From: "shop.test"}).SPF)
}

func rsaKey(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

func TestDKIMKeysAreJudged(t *testing.T) {
	t.Parallel()
	good := rsaKey(t, 1024)
	const n = "s1._domainkey.shop.test"
	for text, want := range map[string]maildns.Key{
		"v=DKIM1; k=rsa; p=" + good:                                          {State: maildns.Found, Bits: 1024},
		"p=" + good[:40] + " " + good[40:]:                                   {State: maildns.Found, Bits: 1024},
		"k=rsa; t=y:s; p=" + good:                                            {State: maildns.Found, Bits: 1024, Test: true},
		"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=": {State: maildns.Found},
		"v=DKIM1; p=":         {State: maildns.Broken, Why: maildns.Revoked},
		"v=DKIM1; p=%%%":      {State: maildns.Broken, Why: maildns.Unreadable},
		"v=DKIM1; p=aGVsbG8=": {State: maildns.Broken, Why: maildns.Unreadable},
		"some other text":     {State: maildns.Missing},
		"!":                   {State: maildns.Unknown},
		"":                    {State: maildns.Missing},
	} {
		z := zone{}
		if text != "" {
			z[n] = []string{text}
		}
		want.Name = n
		got := look(t, z, maildns.Query{From: "shop.test", Keys: []string{n}}).Keys
		require.Equal(t, want.Bits > 0, got[0].Text == good && want.Bits == 1024, text)
		got[0].Text = ""
		require.Equal(t, []maildns.Key{want}, got, text)
	}
	// A real key of 512 bits; this version of Go makes none.
	const short = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALRPV4fVBdQRtGLMtJVqUcLYdm4AhUsa3EYzmBBPYKNeSHTLQkzAPaH8CmMrMpJGbhqu2pA/rUTPEOrFbkWVZ5MCAwEAAQ=="
	got := look(t, zone{n: {"p=" + short}}, maildns.Query{From: "shop.test", Keys: []string{n}}).Keys[0]
	require.Equal(t, maildns.Key{Name: n, State: maildns.Broken, Why: maildns.TooShort, Bits: 512, Text: short}, got)
}

func TestDMARCIsFoundAtTheDomainOrTheOneAbove(t *testing.T) {
	t.Parallel()
	const org, sub = "shop.co.uk", "news.shop.co.uk"
	for name, c := range map[string]struct {
		zone zone
		want maildns.DMARC
	}{
		"its own": {zone{"_dmarc." + sub: {"v=DMARC1; p=none; rua=mailto:a@x.test; adkim=s"}, "_dmarc." + org: {"v=DMARC1; p=reject"}},
			maildns.DMARC{State: maildns.Found, Domain: sub, Policy: "none", Reports: true, StrictDKIM: true}},
		"from above":             {zone{"_dmarc." + org: {"v=DMARC1;p=Reject;aspf=s"}}, maildns.DMARC{State: maildns.Found, Domain: org, Policy: "reject", StrictSPF: true}},
		"from above, of its own": {zone{"_dmarc." + org: {"v=DMARC1;p=reject;sp=none"}}, maildns.DMARC{State: maildns.Found, Domain: org, Policy: "none"}},
		"nowhere":                {zone{}, maildns.DMARC{State: maildns.Missing, Domain: org}},
		"two": {zone{"_dmarc." + sub: {"v=DMARC1; p=none", "v=DMARC1; p=reject"}},
			maildns.DMARC{State: maildns.Broken, Why: maildns.Several, Domain: sub}},
		"no policy": {zone{"_dmarc." + sub: {"v=DMARC1; rua=mailto:x@x.test"}}, maildns.DMARC{State: maildns.Broken, Why: maildns.NothingSaid, Domain: sub, Reports: true}},
		"no answer": {zone{"_dmarc." + sub: {"!"}}, maildns.DMARC{State: maildns.Unknown, Domain: sub}},
	} {
		require.Equal(t, c.want, look(t, c.zone, maildns.Query{From: sub}).DMARC, name)
	}
}

func TestWhereMailGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone zone
		want maildns.Mail
	}{
		"its server":     {zone{"mx shop.test": {"mx1.shop.test."}}, maildns.Mail{State: maildns.Found, Host: "mx1.shop.test"}},
		"itself":         {zone{"host shop.test": {"192.0.2.1"}}, maildns.Mail{State: maildns.Found, Host: "shop.test"}},
		"nowhere":        {zone{}, maildns.Mail{State: maildns.Missing}},
		"it wants none":  {zone{"mx shop.test": {"."}}, maildns.Mail{State: maildns.Broken}},
		"no answer":      {zone{"mx shop.test": {"!"}}, maildns.Mail{State: maildns.Unknown}},
		"no answer then": {zone{"host shop.test": {"!"}}, maildns.Mail{State: maildns.Unknown}},
	} {
		require.Equal(t, c.want, look(t, c.zone, maildns.Query{From: "shop.test"}).Mail, name)
	}
}

// stuck never answers.
type stuck struct{}

func (stuck) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) LookupMX(ctx context.Context, _ string) ([]*net.MX, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) LookupHost(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestWithoutANetworkNothingIsKnownAndNobodyWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r := maildns.Look(ctx, stuck{}, maildns.Query{From: "shop.test", Keys: []string{"a._domainkey.shop.test", "b._domainkey.shop.test"}, ReturnPath: "em.shop.test"})
	require.True(t, errors.Is(ctx.Err(), context.DeadlineExceeded))
	for _, s := range []maildns.State{r.SPF.State, r.ReturnPath.State, r.DMARC.State, r.Mail.State, r.Keys[0].State, r.Keys[1].State} {
		require.Equal(t, maildns.Unknown, s)
	}
}

func TestDomainsAreComparedAsDMARCDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, by       string
		relaxed, exact bool
	}{
		{"shop.test", "shop.test", true, true}, {"shop.test", "em1.Shop.test.", true, false}, {"a.shop.co.uk", "b.shop.co.uk", true, false},
		{"shop.co.uk", "other.co.uk", false, false}, {"shop.test", "sendgrid.net", false, false}, {"bücher.test", "xn--bcher-kva.test", true, true},
	} {
		require.Equal(t, []bool{c.relaxed, c.exact}, []bool{maildns.Aligned(c.from, c.by, false), maildns.Aligned(c.from, c.by, true)}, fmt.Sprint(c))
	}
	for domain, reserved := range map[string]bool{"example.com": true, "mail.example.org": true, "shop.test": true, "localhost": true, "shop.com": false, "myexample.com": false} {
		require.Equal(t, reserved, maildns.Reserved(domain), domain)
	}
	for domain, free := range map[string]bool{"gmail.com": true, "Yahoo.co.uk": true, "web.de": true, "shop.com": false, "yahooligans.com": false} {
		require.Equal(t, free, maildns.Freemail(domain), domain)
	}
}

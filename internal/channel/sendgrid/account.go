package sendgrid

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"beckon/internal/channel/wire"
)

// Account reads how a SendGrid account is set up, and reads and changes its
// suppression lists. Its errors are those of wire.Do. It is safe for use by many
// goroutines.
type Account struct {
	base, key string
	http      *http.Client
}

// NewAccount returns the account that the settings name, or an error when they
// could not work. A nil transport takes one of its own.
func NewAccount(s Settings, transport *http.Transport) (*Account, error) {
	base, err := url.Parse(s.APIURL)
	if err != nil || base.Host == "" {
		return nil, invalid("api_url", "The SendGrid address is not a full URL.")
	}
	if s.Key == "" || strings.ContainsAny(s.Key, " \r\n\t") {
		return nil, invalid("key", "The SendGrid key is not set, or has spaces in it.")
	}
	if transport == nil {
		transport = wire.Transport(accountConns)
	}
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Account{base: strings.TrimRight(s.APIURL, "/"), key: s.Key,
		http: &http.Client{Transport: transport, CheckRedirect: stay, Timeout: timeout}}, nil
}

const accountConns = 4

// Scopes are what the key may do, by SendGrid's names.
func (a *Account) Scopes(ctx context.Context) ([]string, error) {
	var out struct {
		Scopes []string `json:"scopes"`
	}
	err := a.do(ctx, http.MethodGet, "/v3/scopes", nil, &out)
	return out.Scopes, err
}

// Domain is a domain that was set up to send from.
type Domain struct {
	Domain     string
	Valid      bool // its records were found in the DNS
	Default    bool // signs for domains that have none of their own
	ReturnPath string
	Keys       []Record // the DKIM keys
	Missing    []Record // the records that were not found
}

// Record is one DNS record that SendGrid wants.
type Record struct{ Host, Data string }

// domainsAtOnce is how many domains are read at a time, domainPages how often.
const (
	domainsAtOnce = 200
	domainPages   = 10
)

// Domains lists the authenticated domains, at most two thousand.
func (a *Account) Domains(ctx context.Context) (out []Domain, err error) {
	for page := range domainPages {
		var list []wireDomain
		q := url.Values{"limit": {strconv.Itoa(domainsAtOnce)}, "offset": {strconv.Itoa(page * domainsAtOnce)}}
		if err := a.do(ctx, http.MethodGet, "/v3/whitelabel/domains?"+q.Encode(), nil, &list); err != nil {
			return nil, err
		}
		for _, d := range list {
			out = append(out, d.domain())
		}
		if len(list) < domainsAtOnce {
			break
		}
	}
	return out, nil
}

type wireDomain struct {
	Domain    string                `json:"domain"`
	Subdomain string                `json:"subdomain"`
	Valid     bool                  `json:"valid"`
	Default   bool                  `json:"default"`
	DNS       map[string]wireRecord `json:"dns"`
}

type wireRecord struct {
	Valid bool   `json:"valid"`
	Host  string `json:"host"`
	Data  string `json:"data"`
}

func (w wireDomain) domain() Domain {
	d := Domain{Domain: w.Domain, Valid: w.Valid, Default: w.Default}
	if w.Subdomain != "" {
		d.ReturnPath = w.Subdomain + "." + w.Domain
	}
	for _, name := range []string{"mail_cname", "mail_server", "subdomain_spf", "domain_spf", "dkim", "dkim1", "dkim2"} {
		r, there := w.DNS[name]
		if !there {
			continue
		}
		if strings.HasPrefix(name, "dkim") {
			d.Keys = append(d.Keys, Record{r.Host, r.Data})
		}
		if !r.Valid {
			d.Missing = append(d.Missing, Record{r.Host, r.Data})
		}
	}
	return d
}

// SenderVerified reports whether an address was verified as a single sender.
func (a *Account) SenderVerified(ctx context.Context, address string) (bool, error) {
	var out struct {
		Results []struct {
			Email    string `json:"from_email"`
			Verified bool   `json:"verified"`
		} `json:"results"`
	}
	err := a.do(ctx, http.MethodGet, "/v3/verified_senders", nil, &out)
	for _, s := range out.Results {
		if s.Verified && strings.EqualFold(s.Email, address) {
			return true, err
		}
	}
	return false, err
}

// Webhook is an address that events are posted to.
type Webhook struct {
	URL       string
	Enabled   bool
	PublicKey string          // what verifies it; "" when it is not signed
	Events    map[string]bool // by SendGrid's names: delivered, bounce, spam_report …
}

// Webhooks lists the event webhooks.
func (a *Account) Webhooks(ctx context.Context) ([]Webhook, error) {
	var list struct {
		Webhooks []map[string]json.RawMessage `json:"webhooks"`
	}
	if err := a.do(ctx, http.MethodGet, "/v3/user/webhooks/event/settings/all", nil, &list); err != nil {
		return nil, err
	}
	out := make([]Webhook, len(list.Webhooks))
	for i, fields := range list.Webhooks {
		out[i] = Webhook{URL: textOf(fields["url"]), PublicKey: textOf(fields["public_key"]), Events: map[string]bool{}}
		for name, value := range fields {
			out[i].Events[name] = string(value) == "true"
		}
		out[i].Enabled = out[i].Events["enabled"]
		delete(out[i].Events, "enabled")
	}
	return out, nil
}

func textOf(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // null, and what is no text, is none
	return s
}

// Tracking lists which kinds of tracking the account has on by default, by
// SendGrid's names: click, open, subscription …
func (a *Account) Tracking(ctx context.Context) ([]string, error) {
	var list struct {
		Result []struct {
			Name    string `json:"name"`
			Enabled bool   `json:"enabled"`
		} `json:"result"`
	}
	err := a.do(ctx, http.MethodGet, "/v3/tracking_settings", nil, &list)
	var on []string
	for _, s := range list.Result {
		if s.Enabled {
			on = append(on, s.Name)
		}
	}
	return on, err
}

// request is a call of the API, with a body of JSON if there is one.
func (a *Account) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var raw bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&raw).Encode(body); err != nil {
			return nil, wire.ErrSilent
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, &raw)
	if err != nil {
		return nil, wire.ErrSilent
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func (a *Account) do(ctx context.Context, method, path string, body, out any) error {
	req, err := a.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	return wire.Do(a.http, req, out)
}

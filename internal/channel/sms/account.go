package sms

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"beckon/internal/channel/wire"
)

// Account reads how a Twilio account and its senders are set up, and changes
// nothing. Its errors are those of wire.Do.
type Account struct {
	settings       Settings
	base           *url.URL // of the account
	messaging      *url.URL // of services and registrations
	http           *http.Client
	account, token string
}

// NewAccount returns a reader of the account that the settings name, or an error
// when they could not work. A nil transport takes one of its own.
func NewAccount(s Settings, transport *http.Transport) (*Account, error) {
	base, err := url.Parse(strings.TrimRight(s.APIURL, "/"))
	if err != nil || base.Host == "" {
		return nil, invalid("api_url", "The Twilio address is not a full URL.")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if transport == nil {
		transport = wire.Transport(lookConcurrency)
	}
	return &Account{settings: s, base: base, messaging: messagingBase(base), account: s.AccountSID, token: s.AuthToken,
		http: &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// messagingBase is where messaging services are: beside the account's API on a
// host of their own, or at the same address where that is not Twilio's.
func messagingBase(base *url.URL) *url.URL {
	rest, found := strings.CutPrefix(base.Host, "api.")
	if !found || !strings.HasSuffix(rest, "twilio.com") {
		return base
	}
	other := *base
	other.Host = "messaging." + rest
	return &other
}

// State is how an account stands.
type State struct {
	Status string // active, suspended or closed
	Type   string // Full or Trial
}

// State asks how the account stands.
func (a *Account) State(ctx context.Context) (s State, err error) {
	err = a.get(ctx, a.base, accountPath+a.account+".json", nil, &s)
	return s, err
}

const accountPath = "/2010-04-01/Accounts/"

// Number is a phone number or a short code that texts can come from and go to.
type Number struct {
	SID        string
	Number     string
	SMS        bool   // it can carry texts at all
	InboundURL string // what Twilio calls when a text comes in
	Method     string // how: GET or POST
	App        string // SID of an application whose addresses stand in for those above
}

// Number finds a number or short code of the account. Found is false when the
// account has none that is exactly this.
func (a *Account) Number(ctx context.Context, number string) (n Number, found bool, err error) {
	if strings.HasPrefix(number, "+") {
		return a.phoneNumber(ctx, number)
	}
	return a.shortCode(ctx, number)
}

// received is what both kinds of numbers say of texts that come in.
type received struct {
	SID    string `json:"sid"`
	URL    string `json:"sms_url"`
	Method string `json:"sms_method"`
	App    string `json:"sms_application_sid"`
}

func (r received) number(number string, sms bool) Number {
	return Number{SID: r.SID, Number: number, SMS: sms, InboundURL: r.URL, Method: r.Method, App: r.App}
}

func (a *Account) phoneNumber(ctx context.Context, number string) (Number, bool, error) {
	var list struct {
		Numbers []struct {
			received
			Number       string `json:"phone_number"`
			Capabilities struct {
				SMS bool `json:"sms"`
			} `json:"capabilities"`
		} `json:"incoming_phone_numbers"`
	}
	err := a.get(ctx, a.base, accountPath+a.account+"/IncomingPhoneNumbers.json", url.Values{"PhoneNumber": {number}}, &list)
	for _, n := range list.Numbers {
		if n.Number == number { // the filter finds parts of numbers too
			return n.number(number, n.Capabilities.SMS), true, err
		}
	}
	return Number{}, false, err
}

func (a *Account) shortCode(ctx context.Context, code string) (Number, bool, error) {
	var list struct {
		Codes []struct {
			received
			Code string `json:"short_code"`
		} `json:"short_codes"`
	}
	err := a.get(ctx, a.base, accountPath+a.account+"/SMS/ShortCodes.json", url.Values{"ShortCode": {code}}, &list)
	for _, n := range list.Codes {
		if n.Code == code {
			return n.number(code, true), true, err
		}
	}
	return Number{}, false, err
}

// Service is a messaging service.
type Service struct {
	Name         string `json:"friendly_name"`
	InboundURL   string `json:"inbound_request_url"` // what Twilio calls when a text comes in
	Method       string `json:"inbound_method"`
	OnNumber     bool   `json:"use_inbound_webhook_on_number"` // it calls each number's own address instead
	USRegistered bool   `json:"us_app_to_person_registered"`
}

// Service reads the messaging service of the settings.
func (a *Account) Service(ctx context.Context) (s Service, err error) {
	err = a.get(ctx, a.messaging, a.servicePath(), nil, &s)
	return s, err
}

func (a *Account) servicePath() string { return "/v1/Services/" + a.settings.MessagingServiceSID }

// The kinds of senders in a service.
const (
	LongNumber = "number"
	ShortCode  = "short code"
	SenderID   = "sender ID" // a name, which nobody can answer
)

// Sender is one sender in the pool of a service.
type Sender struct {
	SID     string
	Kind    string // LongNumber, ShortCode or SenderID
	Sender  string
	Country string // two letters; "" for a name
	SMS     bool
}

// mostSenders bounds how many senders of one kind are looked at.
const mostSenders = 1000

// Senders lists the pool of the service, at most a thousand of each kind.
func (a *Account) Senders(ctx context.Context) ([]Sender, error) {
	var out []Sender
	for _, of := range []struct{ path, kind string }{{"/PhoneNumbers", LongNumber}, {"/ShortCodes", ShortCode}, {"/AlphaSenders", SenderID}} {
		list, err := a.pool(ctx, of.path, of.kind)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// pooled is a sender as its list has it; each list names the sender by a field
// of its own.
type pooled struct {
	SID          string   `json:"sid"`
	Number       string   `json:"phone_number"`
	Code         string   `json:"short_code"`
	Name         string   `json:"alpha_sender"`
	Country      string   `json:"country_code"`
	Capabilities []string `json:"capabilities"`
}

func (a *Account) pool(ctx context.Context, path, kind string) ([]Sender, error) {
	var list struct {
		Numbers []pooled `json:"phone_numbers"`
		Codes   []pooled `json:"short_codes"`
		Names   []pooled `json:"alpha_senders"`
	}
	if err := a.get(ctx, a.messaging, a.servicePath()+path, url.Values{"PageSize": {"1000"}}, &list); err != nil {
		return nil, err
	}
	var out []Sender
	for _, p := range append(append(list.Numbers, list.Codes...), list.Names...) {
		s := Sender{SID: p.SID, Kind: kind, Sender: p.Number + p.Code + p.Name, Country: p.Country}
		for _, c := range p.Capabilities {
			s.SMS = s.SMS || strings.EqualFold(c, "SMS")
		}
		out = append(out, s)
	}
	return out[:min(len(out), mostSenders)], nil
}

// Registration is the registration of a service for texts from a program to
// people in the United States (A2P 10DLC).
type Registration struct {
	Status  string `json:"campaign_status"` // VERIFIED, PENDING, IN_PROGRESS, FAILED or SUSPENDED
	UseCase string `json:"us_app_to_person_usecase"`
	Errors  []struct {
		Code int `json:"error_code"`
	} `json:"errors"`
}

// Registrations lists those of the service.
func (a *Account) Registrations(ctx context.Context) ([]Registration, error) {
	var list struct {
		Compliance []Registration `json:"compliance"`
	}
	err := a.get(ctx, a.messaging, a.servicePath()+"/Compliance/Usa2p", url.Values{"PageSize": {"50"}}, &list)
	return list.Compliance, err
}

// TollFree returns the state of the verification of a toll-free number, by its
// SID: TWILIO_APPROVED, TWILIO_REJECTED, PENDING_REVIEW or IN_REVIEW; "" when
// none was asked for.
func (a *Account) TollFree(ctx context.Context, sid string) (string, error) {
	var list struct {
		Verifications []struct {
			Status string `json:"status"`
		} `json:"verifications"`
	}
	err := a.get(ctx, a.messaging, "/v1/Tollfree/Verifications", url.Values{"TollfreePhoneNumberSid": {sid}, "PageSize": {"50"}}, &list)
	status := ""
	for _, v := range list.Verifications {
		if status == "" || v.Status == "TWILIO_APPROVED" {
			status = v.Status
		}
	}
	return status, err
}

func (a *Account) get(ctx context.Context, base *url.URL, path string, query url.Values, out any) error {
	at := *base
	at.Path += path
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return wire.ErrSilent
	}
	req.SetBasicAuth(a.account, a.token)
	return wire.Do(a.http, req, out)
}

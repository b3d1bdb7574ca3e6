package simulator

import (
	"encoding/hex"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strings"
)

// TwilioAccount is how the Twilio account and its senders stand. The zero value
// is all well: a full, active account with the number of Config, and with a
// service of any SID that has the number in its pool and is registered.
type TwilioAccount struct {
	Status   string // "active" when empty; or suspended, closed
	Type     string // "Full" when empty; or Trial
	Numbers  []TwilioNumber
	Services []TwilioService
}

// TwilioNumber is a number or a short code of the account.
type TwilioNumber struct {
	Number   string
	Country  string // "US" when empty
	NoSMS    bool
	SMSURL   string // what is called when a text comes in; empty: below CallbackURL
	Method   string // POST when empty
	App      string // SID of an application that stands in for SMSURL
	TollFree string // state of its verification; empty: none was asked for
}

// TwilioService is a messaging service.
type TwilioService struct {
	SID        string
	InboundURL string // empty: below CallbackURL
	Method     string // POST when empty
	OnNumber   bool   // it calls each number's own address instead
	Senders    []string
	Campaign   string // state of the registration for the United States: VERIFIED, PENDING, FAILED …; empty: none
	Errors     []int  // of a registration that failed
}

// SetTwilioAccount changes how the account stands from now on.
func (s *Simulator) SetTwilioAccount(a TwilioAccount) { s.twilio.account.Store(&a) }

func (t *twilio) accountRoutes(mux *http.ServeMux) {
	const account, service = "/twilio/" + twilioVersion + "/Accounts/", "/twilio/v1/Services/{service}"
	mux.HandleFunc("GET "+account+"{file}", t.described(t.showAccount))
	mux.HandleFunc("GET "+account+"{account}/IncomingPhoneNumbers.json", t.described(t.showNumbers))
	mux.HandleFunc("GET "+account+"{account}/SMS/ShortCodes.json", t.described(t.showNumbers))
	mux.HandleFunc("GET "+service, t.ofService(t.showService))
	for _, kind := range []string{"PhoneNumbers", "ShortCodes", "AlphaSenders"} {
		mux.HandleFunc("GET "+service+"/"+kind, t.ofService(func(w http.ResponseWriter, _ *http.Request, of TwilioService) { t.showPool(w, of, kind) }))
	}
	mux.HandleFunc("GET "+service+"/Compliance/Usa2p", t.ofService(t.showRegistrations))
	mux.HandleFunc("GET /twilio/v1/Tollfree/Verifications", t.showVerifications)
}

// described holds a look at the account against the official description, if it
// is to be.
func (t *twilio) described(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t.s.checked(Twilio, &call{w: w, r: r, desk: t.desk}) {
			h(w, r)
		}
	}
}

// state is the account with nothing left open.
func (t *twilio) state() TwilioAccount {
	a := TwilioAccount{}
	if set := t.account.Load(); set != nil {
		a = *set
	}
	if a.Numbers == nil {
		a.Numbers = []TwilioNumber{{Number: t.s.cfg.TwilioNumber}}
	}
	a.Status, a.Type = or(a.Status, "active"), or(a.Type, "Full")
	return a
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

func (t *twilio) inboundURL(set string) string {
	return or(set, t.s.CallbackURL()+"/webhooks/twilio/inbound")
}

// showAccount is GET Accounts/{sid}.json.
func (t *twilio) showAccount(w http.ResponseWriter, r *http.Request) {
	account, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	e := t.authorize(r, account)
	if e == nil && !ok {
		e = smsError(http.StatusNotFound, 20404, "The requested resource was not found")
	}
	if e != nil {
		e.answer(w)
		return
	}
	a := t.state()
	answerJSON(w, http.StatusOK, map[string]string{"sid": account, "status": a.Status, "type": a.Type, "auth_token": t.s.cfg.TwilioAuthToken, "friendly_name": "The account"})
}

// showNumbers is GET IncomingPhoneNumbers.json and SMS/ShortCodes.json. Their
// filters find parts of numbers too.
func (t *twilio) showNumbers(w http.ResponseWriter, r *http.Request) {
	if e := t.authorize(r, r.PathValue("account")); e != nil {
		e.answer(w)
		return
	}
	codes := strings.HasSuffix(r.URL.Path, "ShortCodes.json")
	list, name, filter := "incoming_phone_numbers", "phone_number", r.URL.Query().Get("PhoneNumber")
	if codes {
		list, name, filter = "short_codes", "short_code", r.URL.Query().Get("ShortCode")
	}
	found := []map[string]any{}
	for _, n := range t.state().Numbers {
		if isShortCode(n.Number) != codes || !strings.Contains(n.Number, filter) {
			continue
		}
		found = append(found, map[string]any{"sid": sidOf(n.Number), name: n.Number, "sms_url": t.inboundURL(n.SMSURL), "sms_method": or(n.Method, "POST"),
			"sms_application_sid": n.App, "capabilities": map[string]bool{"voice": true, "sms": !n.NoSMS, "mms": !n.NoSMS, "fax": false}})
	}
	answerJSON(w, http.StatusOK, map[string]any{list: found, "page": 0, "page_size": 50, "next_page_uri": nil})
}

func isShortCode(n string) bool { return !strings.HasPrefix(n, "+") }

// sidOf is the SID of a sender: always the same for the same one.
func sidOf(sender string) string {
	h := fnv.New128a()
	_, _ = io.WriteString(h, sender)
	return "PN" + hex.EncodeToString(h.Sum(nil))
}

// ofService finds the service that a path names.
func (t *twilio) ofService(h func(http.ResponseWriter, *http.Request, TwilioService)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sid := r.PathValue("service")
		of, known := t.service(sid)
		switch {
		case !same(t.basic, r.Header.Get("Authorization")):
			smsError(http.StatusUnauthorized, 20003, "Authenticate").answer(w)
		case !serviceSID.MatchString(sid) || !known:
			smsError(http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found").answer(w)
		case number(r.URL.Query().Get("PageSize"), 50, 1<<30) > 1000:
			smsError(http.StatusBadRequest, 20001, "Page size must be less than or equal to 1000").answer(w)
		default:
			h(w, r, of)
		}
	}
}

func (t *twilio) service(sid string) (TwilioService, bool) {
	a := t.state()
	if a.Services == nil {
		return TwilioService{SID: sid, Senders: []string{t.s.cfg.TwilioNumber}, Campaign: "VERIFIED"}, true
	}
	at := slices.IndexFunc(a.Services, func(s TwilioService) bool { return s.SID == sid })
	if at < 0 {
		return TwilioService{}, false
	}
	return a.Services[at], true
}

func (t *twilio) showService(w http.ResponseWriter, _ *http.Request, of TwilioService) {
	answerJSON(w, http.StatusOK, map[string]any{"sid": of.SID, "friendly_name": "The service", "inbound_request_url": t.inboundURL(of.InboundURL),
		"inbound_method": or(of.Method, "POST"), "use_inbound_webhook_on_number": of.OnNumber, "us_app_to_person_registered": of.Campaign == "VERIFIED"})
}

// showPool lists the senders of one kind.
func (t *twilio) showPool(w http.ResponseWriter, of TwilioService, kind string) {
	key, field := poolFields(kind)
	found := []map[string]any{}
	for _, sender := range of.Senders {
		if kindOf(sender) != kind {
			continue
		}
		n := t.numberOf(sender)
		able := []string{"Voice", "SMS", "MMS"}
		if n.NoSMS {
			able = able[:1]
		}
		found = append(found, map[string]any{"sid": sidOf(sender), field: sender, "country_code": or(n.Country, "US"), "capabilities": able})
	}
	answerJSON(w, http.StatusOK, map[string]any{key: found, "meta": map[string]any{"page": 0, "page_size": 50, "next_page_url": nil, "key": key}})
}

// poolFields names the list of a kind of sender, and the field that has it.
func poolFields(kind string) (list, field string) {
	switch kind {
	case "PhoneNumbers":
		return "phone_numbers", "phone_number"
	case "ShortCodes":
		return "short_codes", "short_code"
	}
	return "alpha_senders", "alpha_sender"
}

// kindOf is the list of a pool that a sender stands in.
func kindOf(sender string) string {
	if !isShortCode(sender) {
		return "PhoneNumbers"
	}
	if strings.Trim(sender, "0123456789") == "" {
		return "ShortCodes"
	}
	return "AlphaSenders"
}

func (t *twilio) numberOf(number string) TwilioNumber {
	all := t.state().Numbers
	if at := slices.IndexFunc(all, func(n TwilioNumber) bool { return n.Number == number }); at >= 0 {
		return all[at]
	}
	return TwilioNumber{Number: number}
}

func (t *twilio) showRegistrations(w http.ResponseWriter, _ *http.Request, of TwilioService) {
	list := []map[string]any{}
	if of.Campaign != "" {
		errs := []map[string]any{}
		for _, code := range of.Errors {
			errs = append(errs, map[string]any{"error_code": code, "description": "What is wrong with it"})
		}
		list = append(list, map[string]any{"sid": "QE" + sidOf(of.SID)[2:], "messaging_service_sid": of.SID, "campaign_status": of.Campaign,
			"us_app_to_person_usecase": "MARKETING", "errors": errs})
	}
	answerJSON(w, http.StatusOK, map[string]any{"compliance": list, "meta": map[string]any{"page": 0, "page_size": 50, "next_page_url": nil, "key": "compliance"}})
}

// showVerifications is GET Tollfree/Verifications, by the SID of a number.
func (t *twilio) showVerifications(w http.ResponseWriter, r *http.Request) {
	if !same(t.basic, r.Header.Get("Authorization")) {
		smsError(http.StatusUnauthorized, 20003, "Authenticate").answer(w)
		return
	}
	list := []map[string]any{}
	for _, n := range t.state().Numbers {
		if n.TollFree != "" && sidOf(n.Number) == r.URL.Query().Get("TollfreePhoneNumberSid") {
			list = append(list, map[string]any{"sid": "HH" + sidOf(n.Number)[2:], "status": n.TollFree, "tollfree_phone_number_sid": sidOf(n.Number)})
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"verifications": list, "meta": map[string]any{"page": 0, "page_size": 50, "next_page_url": nil, "key": "verifications"}})
}

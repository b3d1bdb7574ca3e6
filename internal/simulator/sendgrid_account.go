package simulator

import (
	"net/http"
	"slices"
)

// SendGridAccount is how the SendGrid account stands. The zero value is all well:
// the key may do everything that Beckon asks for, example.com is authenticated,
// and the event webhook leads to CallbackURL, signed.
type SendGridAccount struct {
	Scopes   []string // what the key may do
	Domains  []SendGridDomain
	Senders  []string // addresses that were verified one by one
	Webhooks []SendGridWebhook
	Tracking []string // what the account tracks by default: click, open, subscription
}

// SendGridDomain is a domain that was set up to send from.
type SendGridDomain struct {
	Domain  string
	Invalid bool // its records were not found
}

// SendGridWebhook is an address that events are posted to.
type SendGridWebhook struct {
	URL      string // empty: below CallbackURL
	Disabled bool
	Key      string   // what verifies it; empty: the right one
	Unsigned bool     // nothing does
	Without  []string // the events that it leaves out
}

// SetSendGridAccount changes how the account stands from now on.
func (s *Simulator) SetSendGridAccount(a SendGridAccount) { s.mail.account.Store(&a) }

func (m *mailer) accountRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sendgrid/v3/scopes", m.allowed("", m.scopes))
	mux.HandleFunc("GET /sendgrid/v3/user/webhooks/event/settings/signed", m.allowed("", m.publicKey))
	mux.HandleFunc("GET /sendgrid/v3/user/webhooks/event/settings/all", m.allowed("user.webhooks.event.settings.read", m.webhooks))
	mux.HandleFunc("GET /sendgrid/v3/whitelabel/domains", m.allowed("whitelabel.read", m.domains))
	mux.HandleFunc("GET /sendgrid/v3/verified_senders", m.allowed("sender_verification_eligible", m.senders))
	mux.HandleFunc("GET /sendgrid/v3/tracking_settings", m.allowed("tracking_settings.read", m.tracking))
}

// mailScopes are what a key may do that Beckon can use.
func mailScopes() []string {
	return []string{"mail.send", "whitelabel.read", "sender_verification_eligible", "user.webhooks.event.settings.read", "tracking_settings.read",
		"suppression.read", "asm.suppressions.global.create", "asm.suppressions.global.delete", "asm.groups.suppressions.read"}
}

// state is the account with nothing left open.
func (m *mailer) state() SendGridAccount {
	a := SendGridAccount{}
	if set := m.account.Load(); set != nil {
		a = *set
	}
	if a.Scopes == nil {
		a.Scopes = mailScopes()
	}
	if a.Domains == nil {
		a.Domains = []SendGridDomain{{Domain: "example.com"}}
	}
	if a.Webhooks == nil {
		a.Webhooks = []SendGridWebhook{{}}
	}
	return a
}

// allowed lets those through whose key is right and may do it.
func (m *mailer) allowed(scope string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !m.authorized(r):
			answerMailError(w, http.StatusUnauthorized, errMailKey())
		case scope != "" && !slices.Contains(m.state().Scopes, scope):
			answerMailError(w, http.StatusForbidden, wrong("", "access forbidden"))
		default:
			h(w, r)
		}
	}
}

// scopes is GET /v3/scopes: what the key may do.
func (m *mailer) scopes(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, map[string][]string{"scopes": m.state().Scopes})
}

// publicKey is GET /v3/user/webhooks/event/settings/signed.
func (m *mailer) publicKey(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, map[string]string{"public_key": m.s.SendGridPublicKey()})
}

func (m *mailer) webhooks(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for _, hook := range m.state().Webhooks {
		one := map[string]any{"id": newID(), "friendly_name": nil, "enabled": !hook.Disabled, "url": or(hook.URL, m.s.CallbackURL()+"/webhooks/sendgrid")}
		for _, event := range []string{"group_resubscribe", "delivered", "group_unsubscribe", "spam_report", "bounce", "deferred", "unsubscribe", "processed", "open", "click", "dropped"} {
			one[event] = !slices.Contains(hook.Without, event)
		}
		if !hook.Unsigned {
			one["public_key"] = or(hook.Key, m.s.SendGridPublicKey())
		}
		list = append(list, one)
	}
	answerJSON(w, http.StatusOK, map[string]any{"max_allowed": 5, "webhooks": list})
}

func (m *mailer) domains(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for i, d := range m.state().Domains {
		record := func(host, data string) map[string]any {
			return map[string]any{"valid": !d.Invalid, "type": "cname", "host": host + "." + d.Domain, "data": data}
		}
		list = append(list, map[string]any{"id": i + 1, "domain": d.Domain, "subdomain": "em1", "default": i == 0, "legacy": false, "automatic_security": true,
			"valid": !d.Invalid, "dns": map[string]any{"mail_cname": record("em1", "u1.wl.sendgrid.net"),
				"dkim1": record("s1._domainkey", "s1.domainkey.u1.wl.sendgrid.net"), "dkim2": record("s2._domainkey", "s2.domainkey.u1.wl.sendgrid.net")}})
	}
	from := min(number(r.URL.Query().Get("offset"), 0, 1<<30), len(list))
	to := min(from+number(r.URL.Query().Get("limit"), 50, 1<<30), len(list))
	answerJSON(w, http.StatusOK, list[from:to])
}

func (m *mailer) senders(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for i, address := range m.state().Senders {
		list = append(list, map[string]any{"id": i + 1, "from_email": address, "verified": true, "locked": false})
	}
	answerJSON(w, http.StatusOK, map[string]any{"results": list})
}

func (m *mailer) tracking(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for _, name := range []string{"open", "click", "google_analytics", "subscription"} {
		list = append(list, map[string]any{"name": name, "title": name, "description": "", "enabled": slices.Contains(m.state().Tracking, name)})
	}
	answerJSON(w, http.StatusOK, map[string]any{"result": list})
}

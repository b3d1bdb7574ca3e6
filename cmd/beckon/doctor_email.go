package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"slices"
	"strings"

	"beckon/internal/channel/email"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/wire"
	"beckon/internal/maildns"
)

const mailArea = "e-mail"

// signing is how a provider signs what we send, as far as it is known.
type signing struct {
	provider   string
	domain     string   // that it signs for; "" when that is not known
	keys       []string // names of the records with its keys
	returnPath string   // domain that bounces go to; "" when that is not known
	record     string   // what the record of the key must say; "" when that is not known
}

// email looks at the provider of e-mail, and at the domain in From.
func (d *doctor) email(ctx context.Context, c Config, dns *net.Resolver) {
	from, err := mail.ParseAddress(c.Mail.From)
	if err != nil || (c.Mail.Key == "" && c.Mail.SMTP.URL == "") {
		return // which the settings have told, if it is a mistake
	}
	if strings.TrimSpace(c.Mail.Postal) == "" {
		d.add(todo, mailArea, "EMAIL_POSTAL_ADDRESS is not set. The United States, Canada and many other countries want a postal address in every such e-mail.",
			"Set it to the address of your business, in one line.")
	}
	look := d.sendGrid
	if c.Mail.SMTP.URL != "" {
		look = func(ctx context.Context, c Config, _ string) signing { return d.smtp(ctx, c) }
	}
	s := func() signing {
		ctx, cancel := context.WithTimeout(ctx, providerWithin) // so that time is left for the DNS
		defer cancel()
		return look(ctx, c, from.Address)
	}()
	d.domain(ctx, email.Domain(from.Address), s, dns)
}

// sendGrid looks at the SendGrid account, and says how it signs.
func (d *doctor) sendGrid(ctx context.Context, c Config, from string) signing {
	s := signing{provider: "SendGrid"}
	account, err := sendgrid.NewAccount(c.sendGrid(), nil)
	if err != nil {
		return s // openChannels has told it
	}
	look := sendGridLook{doctor: d, account: account, config: c}
	if look.key(ctx) {
		look.authentication(ctx, from, &s)
		look.webhook(ctx)
		look.tracking(ctx)
	}
	return s
}

// sendGridLook is one look under way.
type sendGridLook struct {
	*doctor
	account *sendgrid.Account
	config  Config
	scopes  []string
}

// key looks at what the key may do; false when the rest need not be asked.
func (l *sendGridLook) key(ctx context.Context) bool {
	var err error
	l.scopes, err = l.account.Scopes(ctx)
	switch wire.Refused(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		l.add(todo, mailArea, "SendGrid refuses the key.", "Make one in its console, under Settings, API Keys, and set SENDGRID_API_KEY.")
		return false
	}
	if l.unasked(mailArea, "SendGrid", err) {
		return false
	}
	if !slices.Contains(l.scopes, "mail.send") {
		l.add(todo, mailArea, "The SendGrid key may not send mail.", "Give it the access Mail Send in SendGrid's console, under Settings, API Keys.")
		return true
	}
	l.add(fine, mailArea, "SendGrid takes the key, and it may send mail.", "")
	return true
}

// authentication looks whether SendGrid may send from the address, and how it
// signs then.
func (l *sendGridLook) authentication(ctx context.Context, from string, s *signing) {
	domains, err := l.account.Domains(ctx)
	if wire.Refused(err) == http.StatusForbidden {
		l.add(note, mailArea, "The SendGrid key may not read which domains are authenticated.",
			"See in its console, under Settings, Sender Authentication, or give the key read access to Sender Authentication.")
		return
	}
	if l.unasked(mailArea, "SendGrid", err) {
		return
	}
	of := email.Domain(from)
	at := slices.IndexFunc(domains, func(d sendgrid.Domain) bool { return maildns.Aligned(of, d.Domain, true) })
	if at < 0 {
		at = slices.IndexFunc(domains, func(d sendgrid.Domain) bool { return d.Valid && maildns.Aligned(of, d.Domain, false) })
	}
	if at < 0 {
		l.single(ctx, from, s)
		return
	}
	found := domains[at]
	s.domain, s.returnPath = found.Domain, found.ReturnPath
	for _, k := range found.Keys {
		s.keys = append(s.keys, k.Host)
	}
	if found.Valid {
		l.add(fine, mailArea, "SendGrid has authenticated the domain "+found.Domain+".", "")
		return
	}
	l.add(todo, mailArea, "SendGrid has not found all DNS records of the domain "+found.Domain+": mail from it is not signed for you.", l.records(found))
}

// records words the records that SendGrid misses.
func (l *sendGridLook) records(d sendgrid.Domain) string {
	var b strings.Builder
	for _, r := range d.Missing {
		fmt.Fprintf(&b, "%s must be %s; ", r.Host, r.Data)
	}
	return "Add to the DNS what SendGrid wants: " + b.String() + "then press Verify in its console, under Settings, Sender Authentication."
}

// single looks whether the address alone was verified.
func (l *sendGridLook) single(ctx context.Context, from string, s *signing) {
	const authenticate = "Authenticate the domain in SendGrid's console, under Settings, Sender Authentication: it names the DNS records to add."
	verified, err := l.account.SenderVerified(ctx, from)
	if wire.Refused(err) != http.StatusForbidden && l.unasked(mailArea, "SendGrid", err) {
		return
	}
	s.domain = "sendgrid.net"
	if verified {
		l.add(todo, mailArea, "SendGrid has verified the address in EMAIL_FROM alone, not its domain: it signs for sendgrid.net, and Gmail, Yahoo and Outlook refuse bulk mail that is not signed for the sender's own domain.", authenticate)
		return
	}
	l.add(todo, mailArea, "SendGrid knows neither the domain nor the address in EMAIL_FROM: it refuses mail from it.", authenticate)
}

// events are those that a delivery or a refusal is told by.
func events() []string {
	return []string{"processed", "delivered", "deferred", "bounce", "dropped", "spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe"}
}

// webhook looks whether events come here, and are signed with the key we know.
func (l *sendGridLook) webhook(ctx context.Context) {
	want := l.config.PublicURL + "/webhooks/sendgrid"
	hooks, err := l.account.Webhooks(ctx)
	if wire.Refused(err) == http.StatusForbidden {
		l.add(note, mailArea, "The SendGrid key may not read where events go.", "See in its console, under Settings, Mail Settings, Event Webhooks, that they go to "+want+", signed.")
		return
	}
	if l.unasked(mailArea, "SendGrid", err) {
		return
	}
	at := slices.IndexFunc(hooks, func(h sendgrid.Webhook) bool { return sameURL(h.URL, want) })
	if at < 0 {
		l.add(todo, mailArea, "SendGrid's events do not come here: Beckon does not hear of bounces, complaints and opt-outs.",
			"Add an event webhook in its console, under Settings, Mail Settings, Event Webhooks: to "+want+", signed; then set SENDGRID_WEBHOOK_KEY to its verification key.")
		return
	}
	l.hook(hooks[at])
}

func (l *sendGridLook) hook(h sendgrid.Webhook) {
	const where = "In its console, under Settings, Mail Settings, Event Webhooks: "
	missing := slices.DeleteFunc(events(), func(name string) bool { return h.Events[name] })
	switch {
	case !h.Enabled:
		l.add(todo, mailArea, "SendGrid's event webhook to here is switched off.", where+"enable it.")
	case h.PublicKey == "":
		l.add(todo, mailArea, "SendGrid does not sign the events it sends here, and unsigned ones are refused.", where+"switch on Signature Verification, and set SENDGRID_WEBHOOK_KEY to the verification key.")
	case l.config.Mail.WebhookKey == "":
		l.add(todo, mailArea, "SENDGRID_WEBHOOK_KEY is not set: SendGrid's events are refused.", "Set it to the verification key beside the webhook in SendGrid's console.")
	case h.PublicKey != l.config.Mail.WebhookKey:
		l.add(todo, mailArea, "SENDGRID_WEBHOOK_KEY is not the key that SendGrid signs its events with: they are refused.", "Set it to the verification key beside the webhook in SendGrid's console.")
	case len(missing) > 0:
		l.add(todo, mailArea, "SendGrid's event webhook leaves out "+strings.Join(missing, ", ")+".", where+"select these events too.")
	default:
		l.add(fine, mailArea, "SendGrid's events come here, signed with the key in SENDGRID_WEBHOOK_KEY.", "")
	}
}

// tracking tells of what the account would do to mail, were it not told otherwise.
func (l *sendGridLook) tracking(ctx context.Context) {
	on, err := l.account.Tracking(ctx)
	if err != nil {
		return // nothing depends on it
	}
	if slices.Contains(on, "click") || slices.Contains(on, "subscription") {
		l.add(note, mailArea, "SendGrid's account tracks clicks or adds unsubscribe links of its own. Beckon switches both off for each mail that it sends; mail that other programs send has them.",
			"Nothing must be done. To have them off for all: Settings, Tracking, in SendGrid's console.")
	}
}

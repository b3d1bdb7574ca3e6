package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"beckon/internal/channel/sms"
	"beckon/internal/channel/wire"
)

const smsArea = "SMS"

// inboundPath is where Twilio brings texts that people send.
const inboundPath = "/webhooks/twilio/inbound"

// twilio looks at the Twilio account, its sender and what it is registered for.
func (d *doctor) twilio(ctx context.Context, c Config) {
	if c.Twilio.AccountSID == "" {
		return
	}
	account, err := sms.NewAccount(c.sms(), nil)
	if err != nil {
		return // openChannels has told it
	}
	look := twilioLook{doctor: d, account: account, config: c}
	if look.state(ctx) {
		look.sender(ctx)
	}
}

// twilioLook is one look under way.
type twilioLook struct {
	*doctor
	account *sms.Account
	config  Config
}

// state looks at the account itself; false when the rest need not be asked.
func (l *twilioLook) state(ctx context.Context) bool {
	s, err := l.account.State(ctx)
	switch wire.Refused(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		l.add(todo, smsArea, "Twilio refuses the credentials: "+err.Error()+".",
			"See TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN against the console; the token is the account's own primary one, which also signs callbacks.")
		return false
	}
	if l.unasked(smsArea, "Twilio", err) {
		return false
	}
	switch {
	case s.Status != "active":
		l.add(todo, smsArea, "The Twilio account is "+s.Status+".", "Twilio's console says why; nothing is sent until it is active.")
		return false
	case s.Type == "Trial":
		l.add(todo, smsArea, "The Twilio account is a trial: it sends to numbers only that were verified in its console.", "Upgrade it in the console.")
	default:
		l.add(fine, smsArea, "Twilio takes the credentials, and the account is active.", "")
	}
	return true
}

func (l *twilioLook) sender(ctx context.Context) {
	var pool []sms.Sender
	if l.config.Twilio.MessagingService != "" {
		var there bool
		if pool, there = l.service(ctx); !there {
			return
		}
	}
	if l.config.Twilio.From != "" {
		l.from(ctx, pool)
	}
	l.optOuts()
}

// service looks at the messaging service and its pool, which it returns.
func (l *twilioLook) service(ctx context.Context) (pool []sms.Sender, there bool) {
	s, err := l.account.Service(ctx)
	if wire.Refused(err) == http.StatusNotFound {
		l.add(todo, smsArea, "The Twilio account has no messaging service with the SID in TWILIO_MESSAGING_SERVICE_SID.", "Take the SID from the console, under Messaging, Services.")
		return nil, false
	}
	if l.unasked(smsArea, "Twilio", err) {
		return nil, false
	}
	pool, err = l.account.Senders(ctx)
	if l.unasked(smsArea, "Twilio", err) {
		return nil, false
	}
	able := slices.DeleteFunc(slices.Clone(pool), func(s sms.Sender) bool { return !s.SMS })
	switch {
	case len(pool) == 0:
		l.add(todo, smsArea, "The messaging service has no sender in its pool.", "Add a number to it in the console, under Messaging, Services, Sender Pool.")
		return nil, false
	case len(able) == 0:
		l.add(todo, smsArea, "No sender in the pool of the messaging service can carry texts.", "Add a number that can to its pool in the console.")
		return nil, false
	}
	l.add(fine, smsArea, fmt.Sprintf("The messaging service %q has %s that can carry texts.", s.Name, senders(len(able))), "")
	l.onlyNames(able)
	l.serviceInbound(ctx, s, able)
	l.registered(ctx, able)
	l.tollFree(ctx, able)
	return pool, true
}

func senders(n int) string {
	if n == 1 {
		return "a sender"
	}
	return fmt.Sprintf("%d senders", n)
}

// onlyNames warns of a pool that nobody can answer to.
func (l *twilioLook) onlyNames(pool []sms.Sender) {
	if !slices.ContainsFunc(pool, func(s sms.Sender) bool { return s.Kind != sms.SenderID }) {
		l.nameOnly()
	}
}

func (l *twilioLook) nameOnly() {
	l.add(note, smsArea, "Texts come from a name: nobody can answer one, STOP included, and some countries, the United States among them, do not take it.",
		"Say in every text how else to opt out: {{ unsubscribe_url }} leads to a page for that. Or send from a number.")
}

// serviceInbound looks where texts to the service go.
func (l *twilioLook) serviceInbound(ctx context.Context, s sms.Service, pool []sms.Sender) {
	if !s.OnNumber {
		l.inbound("the messaging service", s.InboundURL, s.Method, "In the console, under Messaging, Services, Integration: Send a webhook, to ")
		return
	}
	at := slices.IndexFunc(pool, func(p sms.Sender) bool { return p.Kind != sms.SenderID })
	if at < 0 {
		return
	}
	n, found, err := l.account.Number(ctx, pool[at].Sender)
	if l.unasked(smsArea, "Twilio", err) || !found {
		return
	}
	l.numberInbound(n)
}

func (l *twilioLook) numberInbound(n sms.Number) {
	if n.App != "" {
		l.add(note, smsArea, "Texts to "+n.Number+" go to an application in Twilio, whose address cannot be seen from here.",
			"See in the console that it leads to "+l.config.PublicURL+inboundPath+".")
		return
	}
	l.inbound(n.Number, n.InboundURL, n.Method, "In the console, at the number, under Messaging, A message comes in: Webhook, HTTP POST, ")
}

// inbound compares an address with ours.
func (l *twilioLook) inbound(of, got, method, do string) {
	want := l.config.PublicURL + inboundPath
	switch {
	case !sameURL(got, want):
		l.add(todo, smsArea, "Texts to "+of+" do not come here. Twilio itself stops sending to whoever answers STOP, but Beckon does not hear of it, nor of anything else they say.",
			do+want+". If another program must hear them, have it pass them on.")
	case method != http.MethodPost:
		l.add(todo, smsArea, "Texts to "+of+" come here by HTTP "+method+".", "Change the method beside the address to POST.")
	default:
		l.add(fine, smsArea, "Texts to "+of+" come here.", "")
	}
}

// from looks at the one sender that is set, alone or as one of a pool.
func (l *twilioLook) from(ctx context.Context, pool []sms.Sender) {
	from := l.config.Twilio.From
	if strings.ContainsFunc(from, func(r rune) bool { return (r < '0' || r > '9') && r != '+' }) {
		l.nameOnly()
		return
	}
	if pool != nil && !slices.ContainsFunc(pool, func(s sms.Sender) bool { return s.Sender == from }) {
		l.add(todo, smsArea, "TWILIO_FROM is not in the pool of the messaging service: Twilio refuses texts that name both.", "Add it to the pool, or leave TWILIO_FROM out.")
		return
	}
	n, found, err := l.account.Number(ctx, from)
	switch {
	case l.unasked(smsArea, "Twilio", err):
	case !found:
		l.add(todo, smsArea, "The Twilio account has no number that is TWILIO_FROM.", "Write it as the console does, with + and the country code, or buy it there.")
	case !n.SMS:
		l.add(todo, smsArea, "The number in TWILIO_FROM cannot carry texts.", "Take another: its capabilities stand beside it in the console.")
	case pool == nil:
		l.add(fine, smsArea, "The number in TWILIO_FROM belongs to the account and can carry texts.", "")
		l.numberInbound(n)
		l.alone(ctx, n)
	}
}

// alone looks at what a number without a service is registered for.
func (l *twilioLook) alone(ctx context.Context, n sms.Number) {
	switch {
	case tollFree(n.Number):
		l.tollFree(ctx, []sms.Sender{{SID: n.SID, Sender: n.Number, Kind: sms.LongNumber}})
	case strings.HasPrefix(n.Number, "+1"):
		l.add(note, smsArea, "A number of North America that stands alone has no registration that can be read here. The carriers of the United States block texts from a long number that is not registered (30034).",
			"To send there, put the number into a messaging service with a registered A2P 10DLC campaign, and set TWILIO_MESSAGING_SERVICE_SID.")
	}
}

// tollFree reports whether a number is a toll-free one of North America.
func tollFree(number string) bool {
	if len(number) != len("+18005550100") || !strings.HasPrefix(number, "+1") {
		return false
	}
	return slices.Contains([]string{"800", "833", "844", "855", "866", "877", "888"}, number[2:5])
}

// registered looks at the registration that long numbers of the United States
// need.
func (l *twilioLook) registered(ctx context.Context, pool []sms.Sender) {
	if !slices.ContainsFunc(pool, func(s sms.Sender) bool { return s.Kind == sms.LongNumber && s.Country == "US" && !tollFree(s.Sender) }) {
		return
	}
	list, err := l.account.Registrations(ctx)
	if l.unasked(smsArea, "Twilio", err) {
		return
	}
	const register = "Register in the console, under Messaging, Regulatory Compliance; a review takes days to weeks."
	if len(list) == 0 {
		l.add(todo, smsArea, "The pool has a long number of the United States, but the service has no A2P 10DLC registration: the carriers there block its texts (30034).", register)
		return
	}
	for _, r := range list {
		if r.Status == "VERIFIED" {
			l.add(fine, smsArea, "The messaging service is registered for the United States (A2P 10DLC, "+strings.ToLower(r.UseCase)+").", "")
			return
		}
	}
	switch r := list[0]; r.Status {
	case "PENDING", "IN_PROGRESS":
		l.add(todo, smsArea, "The A2P 10DLC registration of the messaging service is being reviewed: until then the carriers of the United States block its texts (30034).",
			"Wait for it, and send to other countries only.")
	default:
		l.add(todo, smsArea, "The A2P 10DLC registration of the messaging service is "+strings.ToLower(r.Status)+codes(r)+": the carriers of the United States block its texts.",
			"The console says what is missing. "+register)
	}
}

func codes(r sms.Registration) string {
	var out []string
	for _, e := range r.Errors {
		out = append(out, fmt.Sprint(e.Code))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// mostTollFree bounds how many numbers are asked about one by one.
const mostTollFree = 5

// tollFree looks at the verification that toll-free numbers need.
func (l *twilioLook) tollFree(ctx context.Context, pool []sms.Sender) {
	asked := 0
	for _, s := range pool {
		if !tollFree(s.Sender) || asked == mostTollFree {
			continue
		}
		asked++
		status, err := l.account.TollFree(ctx, s.SID)
		if l.unasked(smsArea, "Twilio", err) {
			return
		}
		if status == "TWILIO_APPROVED" {
			l.add(fine, smsArea, "The toll-free number "+s.Sender+" is verified.", "")
			continue
		}
		word := map[string]string{"": "was never verified", "TWILIO_REJECTED": "was refused verification"}[status]
		if word == "" {
			word = "is still being verified"
		}
		l.add(todo, smsArea, "The toll-free number "+s.Sender+" "+word+": the carriers block its texts (30032).", "The console does it, under Regulatory Compliance, Toll-Free Verification.")
	}
}

// optOuts says what cannot be read from Twilio.
func (l *twilioLook) optOuts() {
	l.add(note, smsArea, "Twilio answers STOP, START and HELP by itself, in English; whether Advanced Opt-Out is on cannot be seen from here. Beckon hears these words in many languages either way.",
		"For answers in other words and languages: in the console, at the messaging service, Opt-Out Management, Advanced Opt-Out.")
}

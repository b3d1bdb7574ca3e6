package main

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"beckon/internal/simulator"
)

const otherService = "MG00000000000000000000000000000007"

// consulted is what doctor says of the senders alone: there is no database yet.
func consulted(t *testing.T, change func(*simulator.Simulator), settings ...string) (found map[level]map[string]string, raw string) {
	t.Helper()
	w := newWorld(t, "BECKON_DATA_DIR="+t.TempDir()+"/none", nil)
	if change != nil {
		change(w.sim)
	}
	_, found, raw = examined(t, func() []string { return append(w.environ(), settings...) })
	for _, hidden := range w.hidden {
		require.NotContains(t, raw, hidden)
	}
	return found, raw
}

func TestDoctorFindsTheSendersWell(t *testing.T) {
	t.Parallel()
	found, _ := consulted(t, nil)
	require.Contains(t, found[fine]["SMS"], "the account is active")
	require.Contains(t, found[fine]["SMS"], "belongs to the account and can carry texts")
	require.Contains(t, found[fine]["SMS"], "Texts to +15005550006 come here")
	require.Contains(t, found[note]["SMS"], "Advanced Opt-Out")
	require.Contains(t, found[note]["SMS"], "30034", "a number that stands alone")
	require.Contains(t, found[fine]["e-mail"], "it may send mail")
	require.Contains(t, found[fine]["e-mail"], "authenticated the domain example.com")
	require.Contains(t, found[fine]["e-mail"], "events come here, signed")
	require.Contains(t, found[note]["DNS"], "was not looked up")
	require.Contains(t, found[note]["links"], "only this machine")
	for _, area := range []string{"SMS", "e-mail", "DNS", "links"} {
		require.NotContains(t, found[todo], area)
	}
}

func TestDoctorLooksIntoTheMessagingService(t *testing.T) {
	t.Parallel()
	found, _ := consulted(t, nil, "TWILIO_MESSAGING_SERVICE_SID="+otherService, "TWILIO_FROM=")
	require.NotContains(t, found[todo], "SMS")
	require.Contains(t, found[fine]["SMS"], `The messaging service "The service" has a sender that can carry texts.`)
	require.Contains(t, found[fine]["SMS"], "Texts to the messaging service come here.")
	require.Contains(t, found[fine]["SMS"], "registered for the United States (A2P 10DLC, marketing)")
}

// What may be wrong at Twilio, and what is said about it.
func TestDoctorSaysWhatIsWrongAtTwilio(t *testing.T) {
	t.Parallel()
	service := func(of simulator.TwilioService, numbers ...simulator.TwilioNumber) simulator.TwilioAccount {
		of.SID = otherService
		return simulator.TwilioAccount{Services: []simulator.TwilioService{of}, Numbers: append(numbers, simulator.TwilioNumber{Number: "+12025550101"})}
	}
	const pool, elsewhere = "+12025550101", "https://elsewhere.example/sms"
	for name, c := range map[string]struct {
		account simulator.TwilioAccount
		service bool
		setting string
		level   level
		says    string
	}{
		"wrong token":              {setting: "TWILIO_AUTH_TOKEN=another", level: todo, says: "Twilio refuses the credentials"},
		"other account":            {setting: "TWILIO_ACCOUNT_SID=AC00000000000000000000000000000009", level: todo, says: "Twilio refuses the credentials"},
		"no network":               {setting: "TWILIO_API_URL=http://127.0.0.1:1", level: note, says: "could not be asked"},
		"suspended":                {account: simulator.TwilioAccount{Status: "suspended"}, level: todo, says: "account is suspended"},
		"trial":                    {account: simulator.TwilioAccount{Type: "Trial"}, level: todo, says: "trial"},
		"no such number":           {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: "+150055500061"}}}, level: todo, says: "has no number that is TWILIO_FROM"},
		"voice only":               {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: simulatorFrom, NoSMS: true}}}, level: todo, says: "cannot carry texts"},
		"texts go elsewhere":       {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: simulatorFrom, SMSURL: elsewhere}}}, level: todo, says: "Texts to +15005550006 do not come here"},
		"texts come by GET":        {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: simulatorFrom, Method: "GET"}}}, level: todo, says: "come here by HTTP GET"},
		"texts go to an app":       {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: simulatorFrom, App: "AP1"}}}, level: note, says: "go to an application"},
		"a name":                   {setting: "TWILIO_FROM=Northern", level: note, says: "nobody can answer"},
		"a short code":             {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: "12345"}}}, setting: "TWILIO_FROM=12345", level: fine, says: "Texts to 12345 come here"},
		"toll-free, verified":      {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: "+18005550100", TollFree: "TWILIO_APPROVED"}}}, setting: "TWILIO_FROM=+18005550100", level: fine, says: "is verified"},
		"toll-free, not verified":  {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: "+18005550100"}}}, setting: "TWILIO_FROM=+18005550100", level: todo, says: "was never verified"},
		"toll-free, in review":     {account: simulator.TwilioAccount{Numbers: []simulator.TwilioNumber{{Number: "+18005550100", TollFree: "IN_REVIEW"}}}, setting: "TWILIO_FROM=+18005550100", level: todo, says: "is still being verified"},
		"no such service":          {account: simulator.TwilioAccount{Services: []simulator.TwilioService{}}, service: true, level: todo, says: "no messaging service"},
		"empty pool":               {account: service(simulator.TwilioService{}), service: true, level: todo, says: "has no sender in its pool"},
		"pool of voices":           {account: service(simulator.TwilioService{Senders: []string{"+12025550109"}}, simulator.TwilioNumber{Number: "+12025550109", NoSMS: true}), service: true, level: todo, says: "No sender in the pool"},
		"pool of names":            {account: service(simulator.TwilioService{Senders: []string{"Northern"}}), service: true, level: note, says: "nobody can answer"},
		"not in the pool":          {account: service(simulator.TwilioService{Senders: []string{pool}, Campaign: "VERIFIED"}), service: true, setting: "TWILIO_FROM=+12025550177", level: todo, says: "is not in the pool"},
		"not registered":           {account: service(simulator.TwilioService{Senders: []string{pool}}), service: true, level: todo, says: "no A2P 10DLC registration"},
		"being registered":         {account: service(simulator.TwilioService{Senders: []string{pool}, Campaign: "IN_PROGRESS"}), service: true, level: todo, says: "is being reviewed"},
		"registration refused":     {account: service(simulator.TwilioService{Senders: []string{pool}, Campaign: "FAILED", Errors: []int{30897, 30909}}), service: true, level: todo, says: "is failed (30897, 30909)"},
		"a number of elsewhere":    {account: service(simulator.TwilioService{Senders: []string{"+447700900001"}}, simulator.TwilioNumber{Number: "+447700900001", Country: "GB"}), service: true, level: fine, says: "come here"},
		"service leads elsewhere":  {account: service(simulator.TwilioService{Senders: []string{pool}, Campaign: "VERIFIED", InboundURL: elsewhere}), service: true, level: todo, says: "Texts to the messaging service do not come here"},
		"each number for itself":   {account: service(simulator.TwilioService{Senders: []string{pool}, Campaign: "VERIFIED", OnNumber: true}), service: true, level: fine, says: "Texts to +12025550101 come here"},
		"number of service astray": {account: service(simulator.TwilioService{Senders: []string{"+12025550188"}, Campaign: "VERIFIED", OnNumber: true}, simulator.TwilioNumber{Number: "+12025550188", SMSURL: elsewhere}), service: true, level: todo, says: "Texts to +12025550188 do not come here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := []string{c.setting}
			if c.service {
				settings = append([]string{"TWILIO_MESSAGING_SERVICE_SID=" + otherService, "TWILIO_FROM="}, settings...)
			}
			found, _ := consulted(t, func(s *simulator.Simulator) { s.SetTwilioAccount(c.account) }, settings...)
			require.Contains(t, found[c.level]["SMS"], c.says)
			if c.level != todo {
				require.NotContains(t, found[todo], "SMS")
			}
		})
	}
}

// What may be wrong at SendGrid, and what is said about it.
func TestDoctorSaysWhatIsWrongAtSendGrid(t *testing.T) {
	t.Parallel()
	hook := func(h simulator.SendGridWebhook) simulator.SendGridAccount {
		return simulator.SendGridAccount{Webhooks: []simulator.SendGridWebhook{h}}
	}
	none := []simulator.SendGridDomain{}
	for name, c := range map[string]struct {
		account simulator.SendGridAccount
		setting string
		level   level
		says    string
	}{
		"wrong key":               {setting: "SENDGRID_API_KEY=SG.another", level: todo, says: "SendGrid refuses the key"},
		"no network":              {setting: "SENDGRID_API_URL=http://127.0.0.1:1", level: note, says: "could not be asked"},
		"may not send":            {account: simulator.SendGridAccount{Scopes: []string{"alerts.read"}}, level: todo, says: "may not send mail"},
		"may send only":           {account: simulator.SendGridAccount{Scopes: []string{"mail.send"}}, level: note, says: "may not read which domains are authenticated"},
		"records missing":         {account: simulator.SendGridAccount{Domains: []simulator.SendGridDomain{{Domain: "example.com", Invalid: true}}}, level: todo, says: "not found all DNS records"},
		"one address only":        {account: simulator.SendGridAccount{Domains: none, Senders: []string{"Hello@example.com"}}, level: todo, says: "it signs for sendgrid.net"},
		"nothing verified":        {account: simulator.SendGridAccount{Domains: none}, level: todo, says: "knows neither the domain nor the address"},
		"the domain above":        {account: simulator.SendGridAccount{Domains: []simulator.SendGridDomain{{Domain: "mail.example.com"}}}, level: fine, says: "authenticated the domain mail.example.com"},
		"no webhook":              {account: simulator.SendGridAccount{Webhooks: []simulator.SendGridWebhook{}}, level: todo, says: "events do not come here"},
		"webhook leads elsewhere": {account: hook(simulator.SendGridWebhook{URL: "https://elsewhere.example/"}), level: todo, says: "events do not come here"},
		"webhook off":             {account: hook(simulator.SendGridWebhook{Disabled: true}), level: todo, says: "switched off"},
		"webhook unsigned":        {account: hook(simulator.SendGridWebhook{Unsigned: true}), level: todo, says: "does not sign"},
		"webhook of another key":  {account: hook(simulator.SendGridWebhook{Key: "MFkwEw=="}), level: todo, says: "is not the key that SendGrid signs"},
		"our key not set":         {setting: "SENDGRID_WEBHOOK_KEY=", level: todo, says: "SENDGRID_WEBHOOK_KEY is not set"},
		"events left out":         {account: hook(simulator.SendGridWebhook{Without: []string{"bounce", "group_resubscribe", "open"}}), level: todo, says: "leaves out bounce, group_resubscribe."},
		"tracking on":             {account: simulator.SendGridAccount{Tracking: []string{"click"}}, level: note, says: "tracks clicks"},
		"no postal address":       {setting: "EMAIL_POSTAL_ADDRESS=  ", level: todo, says: "EMAIL_POSTAL_ADDRESS is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, _ := consulted(t, func(s *simulator.Simulator) { s.SetSendGridAccount(c.account) }, c.setting)
			require.Contains(t, found[c.level]["e-mail"], c.says)
			if c.level != todo {
				require.NotContains(t, found[todo], "e-mail")
			}
		})
	}
}

// nameserver answers from a zone: "TXT name" and "MX name" to what they say. With
// "broken" in it, it answers that it cannot.
func nameserver(t *testing.T, zone map[string][]string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := resolved(buf[:n], zone); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func resolved(query []byte, zone map[string][]string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}
	known := false
	for key := range zone {
		known = known || strings.HasSuffix(key, " "+strings.TrimSuffix(q.Name.String(), "."))
	}
	for _, text := range zone[strings.TrimPrefix(q.Type.String(), "Type")+" "+strings.TrimSuffix(q.Name.String(), ".")] {
		switch q.Type {
		case dnsmessage.TypeTXT:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.TXTResource{TXT: []string{text}}})
		case dnsmessage.TypeMX:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(text)}})
		}
	}
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	if zone["broken"] != nil {
		m.RCode = dnsmessage.RCodeServerFailure
	}
	answer, _ := m.Pack()
	return answer
}

// A key of 1024 bits, made for this test.
const dkimKey = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC0T1eH1QXUEbRizLSValHC2HZuAIVLGtxGM5gQT2CjXkh0y0JMwD2h/ApjKzKSRm4artqQP61EzxDqxW5FlWeTn5xzqvWM2k0kFfZH4ZwqzK1MOWV9vE8DpGx5uEyT7gkPgkHqHuGZR9V2bKjM4nWJWZ0vC3kgQk2bX1kX3o1bqQIDAQAB"

// wellKept is a domain as it should be.
func wellKept() map[string][]string {
	return map[string][]string{
		"TXT shop.test": {"v=spf1 include:sendgrid.net ~all"}, "TXT sendgrid.net": {"v=spf1 ip4:192.0.2.0/24 ~all"}, "TXT em1.shop.test": {"v=spf1 ip4:192.0.2.0/24 ~all"},
		"TXT s1._domainkey.shop.test": {dkimKey}, "TXT s2._domainkey.shop.test": {dkimKey},
		"TXT _dmarc.shop.test": {"v=DMARC1; p=none; rua=mailto:dmarc@shop.test"}, "MX shop.test": {"mx.shop.test."}, "MX em1.shop.test": {"mx.sendgrid.net."},
	}
}

// lookedUp is what doctor says of a domain's DNS.
func lookedUp(t *testing.T, zone map[string][]string, from string, domain simulator.SendGridDomain) map[level]map[string]string {
	t.Helper()
	w := newWorld(t, "BECKON_DATA_DIR="+t.TempDir()+"/none", nil)
	w.sim.SetSendGridAccount(simulator.SendGridAccount{Domains: []simulator.SendGridDomain{domain}})
	found := map[level]map[string]string{}
	_, out, _ := told(t, func() []string { return append(w.environ(), "EMAIL_FROM=The Shop <"+from+">") }, "doctor", "--json", "--resolver", nameserver(t, zone))
	for _, f := range findingsOf(t, out) {
		if found[f.Level] == nil {
			found[f.Level] = map[string]string{}
		}
		found[f.Level][f.Area] += f.What + "\n"
	}
	return found
}

func TestDoctorFindsADomainWellKept(t *testing.T) {
	t.Parallel()
	found := lookedUp(t, wellKept(), "hello@shop.test", simulator.SendGridDomain{Domain: "shop.test"})
	require.NotContains(t, found[todo], "DNS", found)
	require.NotContains(t, found[note], "DNS", found)
	for _, says := range []string{"SPF of shop.test: one record, that costs 1 of 10", "SPF of em1.shop.test", "DKIM key s1._domainkey.shop.test is there", "DKIM key s2", "its policy is none",
		"Mail is signed for shop.test, which stands for shop.test", "goes to mx.shop.test"} {
		require.Contains(t, found[fine]["DNS"], says)
	}
}

func TestDoctorSaysWhatIsWrongInTheDNS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, text string // what the zone has instead; "" is nothing
		from      string
		signs     string
		level     level
		says      string
	}{
		"no SPF":             {key: "TXT shop.test", level: note, says: "SPF of shop.test: there is no record"},
		"SPF for all":        {key: "TXT shop.test", text: "v=spf1 +all", level: todo, says: "lets everybody send"},
		"no SPF for bounces": {key: "TXT em1.shop.test", level: todo, says: "SPF of em1.shop.test, where bounces go, is not there"},
		"no key":             {key: "TXT s1._domainkey.shop.test", level: todo, says: "DKIM key s1._domainkey.shop.test is not there"},
		"key revoked":        {key: "TXT s1._domainkey.shop.test", text: "v=DKIM1; p=", level: todo, says: "is revoked"},
		"key unreadable":     {key: "TXT s1._domainkey.shop.test", text: "v=DKIM1; p=\"abc", level: todo, says: "cannot be read"},
		"key on trial":       {key: "TXT s1._domainkey.shop.test", text: "t=y; " + dkimKey, level: note, says: "only being tried"},
		"no DMARC":           {key: "TXT _dmarc.shop.test", level: todo, says: "DMARC of shop.test: there is no record"},
		"DMARC of no policy": {key: "TXT _dmarc.shop.test", text: "v=DMARC1", level: todo, says: "names no policy"},
		"no reports":         {key: "TXT _dmarc.shop.test", text: "v=DMARC1; p=reject", level: note, says: "no address for reports"},
		"no mail":            {key: "MX shop.test", text: ".", level: todo, says: "shop.test takes no mail"},
		"bounces lost":       {key: "MX em1.shop.test", text: ".", level: todo, says: "em1.shop.test, where bounces go, takes no mail"},
		"strict":             {from: "a@shop.test", signs: "news.shop.test", key: "TXT _dmarc.shop.test", text: "v=DMARC1; p=none; adkim=s; aspf=s", level: todo, says: "fails DMARC"},
		"only by SPF":        {from: "a@shop.test", signs: "news.shop.test", key: "TXT _dmarc.shop.test", text: "v=DMARC1; p=none; adkim=s", level: note, says: "only SPF does"},
		"freemail":           {from: "shop@gmail.com", level: todo, says: "whose owner forbids"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := wellKept()
			if c.key != "" {
				delete(zone, c.key)
				if zone["A shop.test"] = []string{}; c.text != "" { // the name is there, with nothing of that kind
					zone[c.key] = []string{c.text}
				}
			}
			if c.from == "" {
				c.from = "hello@shop.test"
			}
			if c.signs == "" {
				c.signs = "shop.test"
			}
			for _, key := range []string{"TXT em1.shop.test", "MX em1.shop.test", "TXT s1._domainkey.shop.test", "TXT s2._domainkey.shop.test"} {
				zone[strings.Replace(key, "shop", "news.shop", 1)] = zone[key]
			}
			found := lookedUp(t, zone, c.from, simulator.SendGridDomain{Domain: c.signs})
			require.Contains(t, found[c.level]["DNS"], c.says, found)
			if c.level != todo {
				require.NotContains(t, found[todo], "DNS", found)
			}
		})
	}
}

func TestDoctorSaysThatTheDNSDoesNotAnswer(t *testing.T) {
	t.Parallel()
	found := lookedUp(t, map[string][]string{"broken": {}}, "hello@shop.test", simulator.SendGridDomain{Domain: "shop.test"})
	require.Contains(t, found[note]["DNS"], "Could not be looked up, the DNS does not answer: SPF of shop.test, ")
	require.NotContains(t, found[todo], "DNS")
	require.NotContains(t, found[fine], "DNS")
}

func TestDoctorLooksAtTheHostOfLinks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct {
		level level
		says  string
	}{
		"https://go.northern.test": {fine, "a host of your own, go.northern.test"}, "http://go.northern.test": {todo, "do not begin with https"},
		"https://bit.ly": {todo, "public shortener"}, "https://Northern.tinyurl.com/x": {todo, "public shortener"}, "https://198.51.100.7": {todo, "an IP address"},
		"http://192.168.1.5:8080": {note, "only this machine or its network"}, "http://localhost:8080": {note, "only this machine"},
		"https://notbit.ly": {fine, "notbit.ly"},
	} {
		var d doctor
		d.linkHost(Config{PublicURL: address})
		require.Len(t, d.findings, 1)
		require.Equal(t, want.level, d.findings[0].Level, address)
		require.Contains(t, d.findings[0].What, want.says)
	}
}

package main

import "fmt"

// SMTP is the server that takes e-mails instead of SendGrid.
type SMTP struct {
	URL          string `env:"SMTP_URL"`
	Connections  int    `env:"SMTP_CONNECTIONS" envDefault:"8"`
	Bounce       string `env:"SMTP_BOUNCE_ADDRESS"`
	BounceToken  string `env:"SMTP_BOUNCE_TOKEN"`
	DKIMDomain   string `env:"SMTP_DKIM_DOMAIN"`
	DKIMSelector string `env:"SMTP_DKIM_SELECTOR"`
	DKIMKeyFile  string `env:"SMTP_DKIM_KEY_FILE"`
}

// checkSMTP sees to it that one provider sends the e-mails, and that no setting
// is without effect that was meant to have one.
func checkSMTP(m Mail) (out []string) {
	s := m.SMTP
	if s.Connections < 1 || s.Connections > mostSMTP {
		out = append(out, fmt.Sprintf("SMTP_CONNECTIONS must be between 1 and %d", mostSMTP))
	}
	if m.Key != "" && s.URL != "" {
		out = append(out, "SMTP_URL must not be set together with SENDGRID_API_KEY: one of them sends the e-mails")
	}
	if s.URL != "" {
		return out
	}
	for _, x := range []struct{ name, value string }{
		{"SMTP_BOUNCE_ADDRESS", s.Bounce}, {"SMTP_BOUNCE_TOKEN", s.BounceToken}, {"SMTP_DKIM_DOMAIN", s.DKIMDomain},
		{"SMTP_DKIM_SELECTOR", s.DKIMSelector}, {"SMTP_DKIM_KEY_FILE", s.DKIMKeyFile},
	} {
		if x.value != "" {
			out = append(out, x.name+" must not be set without SMTP_URL")
		}
	}
	return out
}

// mostSMTP is far more connections than any server takes from one sender.
const mostSMTP = 100

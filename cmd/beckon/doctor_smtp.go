package main

import (
	"cmp"
	"context"
	"net"
	"strings"

	"beckon/internal/channel/email"
	"beckon/internal/fault"
)

// smtp looks at the server that takes e-mails, and says how they are signed.
func (d *doctor) smtp(ctx context.Context, c Config) signing {
	s := signing{provider: "your SMTP server"}
	chans := newChannels()
	if err := openSMTP(c, &chans); err != nil {
		return s // openChannels has told it
	}
	if bounce := c.Mail.SMTP.Bounce; bounce != "" {
		s.returnPath = email.Domain(bounce)
	} else {
		d.add(note, mailArea, "SMTP_BOUNCE_ADDRESS is not set: bounces go to EMAIL_FROM, and Beckon hears only of what the server refuses at once.",
			"Set it to an address whose mail is handed in, see docs/email.md.")
	}
	if s.domain = c.Mail.SMTP.DKIMDomain; s.domain != "" {
		name, value := chans.smtp.DKIMRecord()
		s.keys, s.record = []string{name}, value
	}
	d.server(ctx, chans)
	return s
}

// server asks the server whether it would take our mail.
func (d *doctor) server(ctx context.Context, chans channels) {
	seen, err := chans.smtp.Check(ctx)
	switch {
	case fault.HasCode(err, "smtp_busy"):
		d.add(note, mailArea, "The SMTP server does not take mail at the moment: "+worded(err)+".", "Look again in a few minutes.")
	case err != nil:
		d.add(todo, mailArea, "The SMTP server "+seen.Server+" cannot be used: "+worded(err)+".", "See SMTP_URL: the name, the port, user and password; and that the server takes mail from EMAIL_FROM.")
	case seen.TLS == "" && !private(hostOf(seen.Server)):
		d.add(todo, mailArea, "The connection to the SMTP server "+seen.Server+" is not encrypted.", "Use smtps://, or a port where the server offers STARTTLS.")
	default:
		what := []string{"takes mail from EMAIL_FROM", cmp.Or(seen.TLS, "not encrypted, on this network")}
		if seen.LoggedIn {
			what = append(what, "logged in")
		}
		d.add(fine, mailArea, "The SMTP server "+seen.Server+" answers: "+strings.Join(what, ", ")+".", "")
	}
}

func hostOf(server string) string {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return server
	}
	return host
}

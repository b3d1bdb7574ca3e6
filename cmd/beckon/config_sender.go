package main

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"beckon/internal/content"
)

// mostFooter is what each part of an e-mail's foot may hold, in characters.
const mostFooter = 500

// sender is who e-mails say they come from. A from that cannot be read has no
// name, and the channel says why.
func (m Mail) sender() content.Sender {
	name := ""
	if from, err := mail.ParseAddress(m.From); err == nil {
		name = from.Name
	}
	return content.Sender{Name: name, Postal: m.Postal, Note: m.Footer}
}

func checkFooter(c *Config) (out []string) {
	for _, s := range []struct{ name, value string }{{"EMAIL_POSTAL_ADDRESS", c.Mail.Postal}, {"EMAIL_FOOTER_TEXT", c.Mail.Footer}} {
		if utf8.RuneCountInString(s.value) > mostFooter || !utf8.ValidString(s.value) || strings.ContainsRune(s.value, 0) {
			out = append(out, fmt.Sprintf("%s must be text of at most %d characters", s.name, mostFooter))
		}
	}
	return out
}

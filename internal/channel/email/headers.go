// Package email is what the providers of e-mail have in common: the headers of
// a message that its text does not say.
package email

import (
	"strings"

	"beckon/internal/channel"
)

// Header is one line of an e-mail's head.
type Header struct{ Name, Value string }

// Headers are those that let people refuse with one click (RFC 8058), and let
// mailbox providers tell campaigns apart: names in canonical form, in a fixed
// order. Domain is the one of the sender's address.
func Headers(b *channel.Batch, m *channel.Message, domain string) []Header {
	var out []Header
	if m.Mark != "" && domain != "" {
		out = append(out, Header{"Message-ID", "<" + m.Mark + "@" + domain + ">"})
	}
	if m.Unsubscribe != "" {
		out = append(out, Header{"List-Unsubscribe", "<" + m.Unsubscribe + ">"}, Header{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"})
	}
	if b.Campaign != "" {
		out = append(out, Header{"Feedback-ID", feedback(b.Campaign, domain)})
	}
	return out
}

// feedback is Gmail's form: up to three fields of the sender's choice, then the
// sender's own name, which is the same in all its mail.
func feedback(campaign, domain string) string {
	sender := strings.Map(func(r rune) rune {
		if r == ':' || r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, domain)
	return campaign + ":campaign:beckon:" + sender
}

// Domain is what stands behind the @ of an address.
func Domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

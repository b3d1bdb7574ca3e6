package smtp

import (
	"fmt"
	"strings"

	"beckon/internal/channel"
)

// ReturnPath is the address that a message is sent from.
func ReturnPath(key []byte, bounce, mark, to string) string {
	p, err := newReturnPath(bounce)
	if err != nil {
		return err.Error()
	}
	p.key = key
	return p.of("", mark, to)
}

// Judge is what a server's answer means, said to MAIL, RCPT or DATA or told in a
// report.
func Judge(at string, code int, text string) channel.Result {
	stages := map[string]stage{"AUTH": login, "MAIL": sender, "RCPT": recipient, "DATA": content}
	return newReply(code, text).result(stages[at])
}

// Login names how a client of a server logs in, given what the server offers; ""
// when it does not.
func Login(address string, encrypted bool, offered ...string) string {
	s, err := parse(address)
	if err != nil {
		return err.Error()
	}
	c := &Client{server: s}
	auth := c.auth(offered, encrypted || s.local())
	if auth == nil {
		return ""
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", auth), "*smtp.")
}

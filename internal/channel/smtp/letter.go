package smtp

import (
	"bytes"
	"strings"

	"github.com/google/uuid"
	mail "github.com/wneessen/go-mail"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
)

// letter writes a message for one person. The error is a refusal.
func (c *Client) letter(b *channel.Batch, m *channel.Message) (letter, error) {
	if len(m.Fill) != len(b.Mail.Holes) {
		return letter{}, refusal{refused("the values do not fit the holes of the mail")}
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP))
	if !bare(m.To) || msg.To(m.To) != nil {
		return letter{}, refusal{channel.Result{Outcome: channel.Gone, Detail: "not an e-mail address"}}
	}
	if err := msg.FromFormat(c.from.Name, c.from.Address); err != nil {
		return letter{}, refusal{stopped("the sender is not an e-mail address")}
	}
	text := email.Fill(b.Mail, m.Fill)
	msg.Subject(oneLine(text.Subject))
	msg.SetDateWithValue(c.now().UTC())
	id := c.address(b, m, msg)
	write(msg, text)
	raw, err := c.bytes(msg)
	if err != nil {
		return letter{}, refusal{refused("the mail cannot be written")}
	}
	return letter{from: c.bounce.of(c.from.Address, m.Mark, m.To), to: m.To, id: id, bytes: raw}, nil
}

// address writes the headers that differ from person to person, and returns the
// Message-ID without its brackets.
func (c *Client) address(b *channel.Batch, m *channel.Message, msg *mail.Msg) string {
	id := "<" + uuid.NewString() + "@" + c.domain + ">"
	for _, h := range email.Headers(b, m, c.domain) {
		if h.Name == string(mail.HeaderMessageID) {
			id = h.Value
			continue
		}
		msg.SetGenHeader(mail.Header(h.Name), h.Value)
	}
	msg.SetGenHeader(mail.HeaderMessageID, id)
	return strings.Trim(id, "<>")
}

// write puts the text first: of alternatives the last one is the best.
func write(msg *mail.Msg, text channel.Mail) {
	if text.Text == "" {
		msg.SetBodyString(mail.TypeTextHTML, text.HTML)
		return
	}
	msg.SetBodyString(mail.TypeTextPlain, text.Text)
	if text.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, text.HTML)
	}
}

func (c *Client) bytes(msg *mail.Msg) ([]byte, error) {
	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, err
	}
	return c.dkim.sign(out.Bytes())
}

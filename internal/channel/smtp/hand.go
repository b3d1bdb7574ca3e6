package smtp

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	protocol "github.com/wneessen/go-mail/smtp"

	"beckon/internal/channel"
)

// letter is a message on its way: envelope and bytes.
type letter struct {
	from, to string
	id       string // its Message-ID, without brackets
	bytes    []byte
}

// after is what a message left of its connection.
type after int

const (
	alive after = iota
	dead
	stale // it was dead before: nothing of the message was said
)

// hand hands a message over and returns what came of it.
func (c *conn) hand(ctx context.Context, l letter, within time.Duration) (channel.Result, after) {
	release := guard(ctx, c.raw, within)
	res, left := c.say(ctx, l)
	if !release() {
		left = max(left, dead)
	}
	return res, left
}

func (c *conn) say(ctx context.Context, l letter) (channel.Result, after) {
	if c.tooLarge(l) {
		return refused("the mail is larger than the SMTP server takes"), alive
	}
	if err := c.smtp.Mail("<" + l.from + ">"); err != nil {
		return c.unsaid(ctx, err)
	}
	if err := c.smtp.Rcpt("<" + l.to + ">"); err != nil {
		return c.broken(ctx, recipient, err)
	}
	w, err := c.smtp.Data()
	if err != nil {
		return c.broken(ctx, content, err)
	}
	if _, err = w.Write(l.bytes); err == nil {
		err = c.smtp.Text.W.Flush()
	}
	if err != nil { // a server that has had enough says so before it hangs up
		_, _, err = c.smtp.Text.ReadResponse(250)
		res, _ := c.broken(ctx, content, err)
		return res, dead
	}
	// From here on the message is in the server's hands, whatever is heard.
	err = w.Close()
	if r, ok := replyOf(err); ok {
		return r.result(content), after(map[bool]int{true: int(dead), false: int(alive)}[r.code == 421])
	}
	if err != nil {
		return lost, dead
	}
	return channel.Result{Outcome: channel.Accepted, ProviderID: queueID(w, l)}, alive
}

// tooLarge asks what the server said at its greeting (RFC 1870).
func (c *conn) tooLarge(l letter) bool {
	_, size := c.smtp.Extension("SIZE")
	most, err := strconv.ParseInt(strings.TrimSpace(size), 10, 64)
	return err == nil && most > 0 && int64(len(l.bytes)) > most
}

// unsaid is for the first command: a connection that was kept may have been dead
// by then, or been told to end.
func (c *conn) unsaid(ctx context.Context, err error) (channel.Result, after) {
	r, said := replyOf(err)
	if c.used && ctx.Err() == nil && (!said || r.code == 421) {
		return hungUp, stale
	}
	return c.broken(ctx, sender, err)
}

// broken is what came of a message that was not handed over in full.
func (c *conn) broken(ctx context.Context, at stage, err error) (channel.Result, after) {
	r, said := replyOf(err)
	if !said {
		return gone(ctx, hungUp), dead
	}
	if r.code == 421 || c.smtp.Reset() != nil {
		return r.result(at), dead
	}
	return r.result(at), alive
}

// queued find the name that a server gave a message: "2.0.0 Ok: queued as
// 4B2C1D3E" and the like.
var queued = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\bqueued as:? <?([A-Za-z0-9._-]{4,100})`),
	regexp.MustCompile(`(?i)\bid[= ]<?([A-Za-z0-9._-]{4,100})`),
	regexp.MustCompile(`(?i)\bok:? ([A-Za-z0-9._-]*\d[A-Za-z0-9._-]*)`),
}

// queueID is the server's name for a message, or else our own.
func queueID(w any, l letter) string {
	d, ok := w.(*protocol.DataCloser)
	if !ok {
		return l.id
	}
	for _, name := range queued {
		if m := name.FindStringSubmatch(d.ServerResponse()); m != nil {
			return m[1]
		}
	}
	return l.id
}

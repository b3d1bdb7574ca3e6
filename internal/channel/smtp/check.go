package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"strconv"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// Checked is what a server turned out to be.
type Checked struct {
	Server   string // host and port
	TLS      string // "TLS 1.3"; "" when the connection is not encrypted
	LoggedIn bool
	MaxSize  int64 // of a message, in bytes; 0 when not said
}

// Check connects, encrypts, logs in and asks whether the sender is accepted, as
// Send would; it sends nothing. The error is a *fault.Error whose detail says what
// is wrong, fit to show: code smtp_unreachable, smtp_refused (by the server,
// which must be set up differently) or smtp_busy (which passes).
func (c *Client) Check(ctx context.Context) (Checked, error) {
	out := Checked{Server: c.server.address()}
	conn, err := c.connect(ctx)
	if err != nil {
		return out, complaint(err)
	}
	defer conn.quit()
	if state, err := conn.smtp.GetTLSConnectionState(); err == nil {
		out.TLS = tls.VersionName(state.Version)
	}
	out.LoggedIn = c.server.user != ""
	_, size := conn.smtp.Extension("SIZE")
	out.MaxSize, _ = strconv.ParseInt(strings.TrimSpace(size), 10, 64)
	release := guard(ctx, conn.raw, c.timeout)
	defer release()
	if err := conn.smtp.Mail("<" + c.bounce.of(c.from.Address, "", "") + ">"); err != nil {
		return out, complaint(failed(ctx, sender, err))
	}
	return out, nil
}

func complaint(err error) error {
	var r refusal
	if !errors.As(err, &r) {
		return err
	}
	code, detail := "smtp_refused", r.result.Detail
	switch {
	case r.result.Outcome != channel.StopTheLine && r.result.Code != "":
		code = "smtp_busy"
	case r.result.Outcome != channel.StopTheLine:
		code, detail = "smtp_unreachable", "there is no connection to the SMTP server, or it broke"
	}
	if r.result.Code != "" {
		detail += " (" + r.result.Code + ")"
	}
	return fault.New(fault.Unavailable, code, "%s", detail)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
	"beckon/internal/db"
	"beckon/internal/queue"
	"beckon/internal/webhook"
)

// exitAgain is EX_TEMPFAIL: a mail server that runs the command keeps the message
// and comes again. Any other code has it send a bounce about the bounce.
const exitAgain = 75

// tempFail is a failure that another run may mend.
type tempFail struct{ error }

func (e tempFail) Unwrap() error { return e.error }

const bouncesHelp = `Hand in e-mails that came back: bounces and complaints.

SOURCE is a file with one e-mail or an mbox, a Maildir (what is in its folder new
is handed in and moved to cur), or - for standard input. Other e-mails among them
do no harm.

They are stored in the database, and a running server acts on them. With --to they
are posted to a server elsewhere: only SMTP_BOUNCE_TOKEN need be set then.

What goes wrong ends with 75, so that a mail server which runs this tries again.`

func bouncesCommand(environ func() []string) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "bounces SOURCE", Short: "Hand in e-mails that came back: a file, an mbox, a Maildir or - for standard input",
		Long: bouncesHelp, Args: exactly("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			desk, err := openDesk(cmd, environ, to)
			if err != nil {
				return err
			}
			n, err := handIn(cmd, args[0], desk.take)
			fmt.Fprintf(cmd.OutOrStdout(), "%d handed in\n", n)
			if err = errors.Join(err, desk.close()); err != nil {
				return tempFail{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "public address of the server to post them to, instead of storing them here")
	return cmd
}

// desk takes messages that came back.
type desk struct {
	take  func(ctx context.Context, message []byte) error
	close func() error
}

// openDesk reads the settings that it needs: those of the server, or only the
// token. A mistake in them is one of the command line's user, but it may be a mail
// server that runs us.
func openDesk(cmd *cobra.Command, environ func() []string, to string) (desk, error) {
	var d desk
	var err error
	if to != "" {
		d, err = remoteDesk(environ, to)
	} else {
		d, err = localDesk(cmd, environ)
	}
	var wrong usageError
	if err != nil && !errors.As(err, &wrong) {
		err = tempFail{err}
	}
	return d, err
}

func localDesk(cmd *cobra.Command, environ func() []string) (desk, error) {
	c, err := readConfig(environ)
	if err != nil {
		return desk{}, err
	}
	if c.Mail.SMTP.URL == "" {
		return desk{}, errors.New("SMTP_URL is not set: where SendGrid sends the e-mails, it tells of bounces by itself")
	}
	if c.Mail.SMTP.BounceToken == "" { // who can open the database needs none
		c.Mail.SMTP.BounceToken = uuid.NewString()
	}
	chans, err := openChannels(c)
	if err != nil {
		return desk{}, err
	}
	d, err := db.Open(cmd.Context(), c.database())
	if err != nil {
		return desk{}, err
	}
	log := newLogger(c, cmd.ErrOrStderr())
	q := queue.New(d, log)
	inbox := webhook.New(webhook.Parts{DB: d, Queue: q, Receivers: chans.receivers, Log: log, Now: now})
	if err := q.Open(); err != nil {
		return desk{}, errors.Join(err, d.Close())
	}
	return desk{close: d.Close, take: func(ctx context.Context, message []byte) error {
		return inbox.Accept(ctx, channel.Email, smtp.Handed(c.PublicURL, c.Mail.SMTP.BounceToken, message))
	}}, nil
}

func remoteDesk(environ func() []string, to string) (desk, error) {
	address := to
	if problems := checkURL("--to", &address); len(problems) > 0 {
		return desk{}, usageError{errors.New(problems[0])}
	}
	token := setting(environ, "SMTP_BOUNCE_TOKEN")
	if token == "" {
		return desk{}, errors.New("SMTP_BOUNCE_TOKEN is not set")
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return desk{close: func() error { return nil }, take: func(ctx context.Context, message []byte) error {
		return post(ctx, client, address, token, message)
	}}, nil
}

// post hands one message in over HTTP. No error quotes the address, in which
// there may be a name nobody need know.
func post(ctx context.Context, client *http.Client, address, token string, message []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+smtp.BouncePath, bytes.NewReader(message))
	if err != nil {
		return errors.New("the server's address cannot be used")
	}
	req.Header.Set("Content-Type", "message/rfc822")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return fmt.Errorf("reach the server: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return nil
}

// setting reads one variable, the last of those of its name.
func setting(environ func() []string, name string) (value string) {
	for _, v := range environ() {
		if text, ok := strings.CutPrefix(v, name+"="); ok {
			value = text
		}
	}
	return value
}

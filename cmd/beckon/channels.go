package main

import (
	"context"
	"fmt"
	"net/mail"

	"beckon/internal/budget"
	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/sms"
	"beckon/internal/channel/smtp"
	"beckon/internal/seal"
	"beckon/internal/thread"
	"beckon/internal/token"
	"beckon/internal/utility"
)

// channels are those that are set up, by kind.
type channels struct {
	senders   map[channel.Kind]channel.Sender
	receivers map[channel.Kind]channel.Receiver
	messenger *messenger.Client   // nil when absent
	meta      *messenger.Receiver // nil when absent
	smtp      *smtp.Client        // nil when SendGrid, or nobody, sends the e-mails
	bounces   *smtp.Receiver      // with it
}

func newChannels() channels {
	return channels{senders: map[channel.Kind]channel.Sender{}, receivers: map[channel.Kind]channel.Receiver{}}
}

// openChannels is the one place where a channel is named: a new one is a line
// here and its own folder.
func openChannels(c Config) (channels, error) {
	out := newChannels()
	for _, open := range []func(Config, *channels) error{openMessenger, openSMS, openEmail} {
		if err := open(c, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func openMessenger(c Config, out *channels) (err error) {
	if c.Meta.AppSecret == "" {
		return nil
	}
	set := messenger.Settings{GraphURL: c.Meta.GraphURL, GraphVersion: c.Meta.GraphVersion, AppID: c.Meta.AppID,
		AppSecret: c.Meta.AppSecret, VerifyToken: c.Meta.VerifyToken}
	if out.messenger, err = messenger.New(set, nil); err != nil {
		return fmt.Errorf("set Messenger up: %w", err)
	}
	out.meta = messenger.NewReceiver(set)
	out.senders[channel.Messenger], out.receivers[channel.Messenger] = out.messenger, out.meta
	return nil
}

// sms is what the SMS channel is set up with.
func (c Config) sms() sms.Settings {
	return sms.Settings{APIURL: c.Twilio.URL, AccountSID: c.Twilio.AccountSID, AuthToken: c.Twilio.AuthToken,
		MessagingServiceSID: c.Twilio.MessagingService, From: c.Twilio.From, CallbackURL: c.PublicURL,
		StopWords: c.Twilio.StopWords, Country: budget.Country}
}

func openSMS(c Config, out *channels) error {
	if c.Twilio.AccountSID == "" {
		return nil
	}
	set := c.sms()
	sender, err := sms.New(set, nil)
	if err != nil {
		return fmt.Errorf("set SMS up: %w", err)
	}
	receiver, err := sms.NewReceiver(set)
	if err != nil {
		return fmt.Errorf("set SMS up: %w", err)
	}
	out.senders[channel.SMS], out.receivers[channel.SMS] = sender, receiver
	return nil
}

// sendGrid is what e-mail by SendGrid is set up with. A sender that cannot be read
// is left out, which the channel then refuses.
func (c Config) sendGrid() sendgrid.Settings {
	set := sendgrid.Settings{APIURL: c.Mail.URL, Key: c.Mail.Key, WebhookKey: c.Mail.WebhookKey}
	if from, err := mail.ParseAddress(c.Mail.From); err == nil {
		set.From, set.FromName = from.Address, from.Name
	}
	return set
}

func openEmail(c Config, out *channels) error {
	if c.Mail.SMTP.URL != "" {
		return openSMTP(c, out)
	}
	if c.Mail.Key == "" {
		return nil
	}
	set := c.sendGrid()
	sender, err := sendgrid.New(set, nil)
	if err != nil {
		return fmt.Errorf("set e-mail up: %w", err)
	}
	out.senders[channel.Email] = sender
	receiver, err := sendgrid.NewReceiver(set)
	if err != nil {
		return fmt.Errorf("set e-mail up: %w", err)
	}
	out.receivers[channel.Email] = receiver
	return nil
}

func openSMTP(c Config, out *channels) error {
	from, err := mail.ParseAddress(c.Mail.From)
	if err != nil {
		return fmt.Errorf("set e-mail up: %w", err)
	}
	m := c.Mail.SMTP
	set := smtp.Settings{URL: m.URL, From: from.Address, FromName: from.Name, Connections: m.Connections, Bounce: m.Bounce, BounceToken: m.BounceToken,
		DKIM: smtp.DKIM{Domain: m.DKIMDomain, Selector: m.DKIMSelector, KeyFile: m.DKIMKeyFile}}
	if out.smtp, err = smtp.New(set); err != nil {
		return fmt.Errorf("set e-mail up: %w", err)
	}
	if out.bounces, err = smtp.NewReceiver(set); err != nil {
		return fmt.Errorf("set e-mail up: %w", err)
	}
	out.senders[channel.Email], out.receivers[channel.Email] = out.smtp, out.bounces
	return nil
}

// keyed gives the channels the keys that they need beyond the settings.
func (c channels) keyed(box *seal.Box) channels {
	if c.smtp != nil {
		c.smtp, c.bounces = c.smtp.WithKey(box.Key("bounces")), c.bounces.WithKey(box.Key("bounces"))
		c.senders[channel.Email], c.receivers[channel.Email] = c.smtp, c.bounces
	}
	return c
}

// asker sends "Notify Me" requests; nil without Messenger.
func (c channels) asker() token.Asker {
	if c.messenger == nil {
		return nil
	}
	return c.messenger
}

// upload has Meta keep a file for a Page; nil without Messenger.
func (c channels) upload() func(ctx context.Context, page channel.Page, kind, address string) (string, channel.Result) {
	if c.messenger == nil {
		return nil
	}
	return c.messenger.Upload
}

// threads hands people's threads over; nil without Messenger.
func (c channels) threads() thread.Graph {
	if c.messenger == nil {
		return nil
	}
	return c.messenger
}

// recurringAsker asks for recurring tokens; nil without Messenger.
func (c channels) recurringAsker() token.RecurringAsker {
	if c.messenger == nil {
		return nil
	}
	return c.messenger
}

// lister reads Pages' lists of recurring tokens; nil without Messenger.
func (c channels) lister() token.Lister {
	if c.messenger == nil {
		return nil
	}
	return c.messenger
}

// templates knows Pages' utility templates; nil without Messenger.
func (c channels) templates() utility.Graph {
	if c.messenger == nil {
		return nil
	}
	return c.messenger
}

// verify answers Meta's check of the webhook address; nil without Messenger.
func (c channels) verify() func(mode, token, challenge string) (string, error) {
	if c.meta == nil {
		return nil
	}
	return c.meta.VerifySubscription
}

package main

import (
	"encoding/hex"
	"fmt"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/mirror"
)

// wireMirror keeps SendGrid's suppression lists and ours alike, where SendGrid is
// the provider.
func (a *app) wireMirror() error {
	set := a.config.Mail.Sync
	p := mirror.Parts{DB: a.db, Queue: a.queue, Contacts: a.contacts, Pull: set.Pull, Groups: set.Groups, WriteBack: set.WriteBack, Log: a.log, Now: now}
	if a.config.Mail.Key != "" {
		var err error
		if p.Account, err = sendgrid.NewAccount(a.config.sendGrid(), nil); err != nil {
			return fmt.Errorf("set SendGrid's lists up: %w", err)
		}
		p.Name = hex.EncodeToString(a.box.Hash("sendgrid account", a.config.Mail.URL+" "+a.config.Mail.Key))
	}
	a.mirror = mirror.New(p)
	return nil
}

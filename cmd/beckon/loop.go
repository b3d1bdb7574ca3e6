package main

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/link"
	"beckon/internal/loop"
	"beckon/internal/reply"
	"beckon/internal/token"
)

// wireLoop wires what answers people who react.
func (a *app) wireLoop(links link.Coder) {
	speaker := a.speaker()
	a.captures = capture.New(capture.Parts{DB: a.db, Queue: a.queue, Contacts: a.contacts, Speaker: speaker, Leaves: a.privacy.Asks, Now: now})
	a.loop = loop.New(loop.Parts{
		DB: a.db, Queue: a.queue, Campaigns: a.campaigns, Contacts: a.contacts, Speaker: speaker, Ask: a.askAgain, Capture: a.askAddress,
		Link: func(id int64) string { return a.config.PublicURL + "/l/" + links.Code(id) }, Leaves: a.privacy.Asks, Log: a.log, Now: now,
	})
}

// speaker writes to single people; it is nil when Messenger is not set up.
func (a *app) speaker() *reply.Speaker {
	sender := a.channels.senders[channel.Messenger]
	if sender == nil {
		return nil
	}
	return reply.New(reply.Parts{DB: a.db, Pages: a.pages, Lines: a.lines, Sender: sender, Held: a.contacts.HoldThreads, Now: now})
}

// askAgain asks a person for the permission to be written to again.
func (a *app) askAgain(ctx context.Context, contactID, pageID uuid.UUID, topic string) (string, error) {
	r, err := a.optIns.Ask(ctx, token.Request{ContactID: contactID, PageID: pageID, Topic: topic})
	return string(r.State), err
}

// askAddress asks a person for an address to be contacted at.
func (a *app) askAddress(ctx context.Context, contactID, pageID uuid.UUID, q content.Question) (string, error) {
	c, err := a.captures.Ask(ctx, capture.Request{ContactID: contactID, PageID: pageID, Question: q})
	return string(c.State), err
}

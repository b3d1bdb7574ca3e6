package rig

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"beckon/internal/sample"
	"beckon/internal/simulator"
)

// MakePage makes the Page that the stand-ins know, and topics, and returns the
// page's id.
func MakePage(ctx context.Context, c *Client, topics ...string) (string, error) {
	var page struct{ ID string }
	err := c.Post(ctx, "/v1/pages", map[string]string{"facebook_page_id": GraphPage, "name": "Rig", "username": "rig", "access_token": PageToken}, &page)
	for _, slug := range topics {
		if err == nil {
			err = c.Post(ctx, "/v1/topics", map[string]string{"slug": slug, "title": "New courses in your town"}, nil)
		}
	}
	return page.ID, err
}

// Import imports NDJSON with n people in it, and returns when the last one is
// in.
func Import(ctx context.Context, c *Client, body []byte, n int) error {
	var done struct {
		ID, State, Problem string
		Created, Updated   int
	}
	raw := Request{Method: http.MethodPost, Path: "/v1/contacts/import", Header: http.Header{"Content-Type": {"application/x-ndjson"}}, Body: body}
	if err := c.read(ctx, raw, &done); err != nil {
		return err
	}
	err := Until(ctx, 10*time.Minute, func() (bool, error) {
		err := c.Get(ctx, "/v1/imports/"+done.ID, &done)
		return done.State == "finished" || done.State == "failed", err
	})
	if err == nil && done.Created+done.Updated != n {
		err = fmt.Errorf("the import is %s with %d of %d people: %s", done.State, done.Created+done.Updated, n, done.Problem)
	}
	return err
}

// Draft is a campaign with something to say on every lane, at any hour.
func Draft(page, topic string, lanes ...string) map[string]any {
	return map[string]any{"name": "rig", "page_id": page, "topic": topic, "route": lanes, "allowed_hours": map[string]any{},
		"content": map[string]any{
			"messenger": map[string]any{"text": "Hi {{ contact.first_name | default: 'there' }}, spring courses are open. Want the list?",
				"quick_replies": []any{map[string]string{"title": "Yes please", "payload": "COURSES_YES"}}},
			"sms": map[string]string{"text": "Spring courses are open, see them in our chat: {{ link }} Reply STOP to opt out"},
			"email": map[string]string{"subject": "{{ contact.first_name }}, spring courses are open",
				"html": "<p>Hi {{ contact.first_name }},</p><p>new dates for {{ contact.attributes.interest }}: <a href=\"{{ link }}\">see them in our chat</a>.</p>"},
		}}
}

const eventsPerPost = 50

// Say lets the people with these numbers write to the Page: signed webhooks as
// Meta posts them, several at a time.
func Say(ctx context.Context, c *Client, people []int) error {
	signer := simulator.New(simulator.Config{AppSecret: AppSecret})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for first := 0; first < len(people); first += eventsPerPost {
		part := people[first:min(first+eventsPerPost, len(people))]
		g.Go(func() error {
			events := make([]simulator.Event, len(part))
			for i, n := range part {
				events[i] = simulator.Event{Kind: simulator.Said, Page: GraphPage, PSID: sample.PSID(n), Text: "Hello!"}
			}
			body, header := signer.WebhookBody(events)
			_, err := c.Do(ctx, Request{Method: http.MethodPost, Path: "/webhooks/messenger", Header: header, Body: body})
			return err
		})
	}
	return g.Wait()
}

// Numbers are 1 to n.
func Numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

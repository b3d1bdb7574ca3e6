package messenger

import (
	"context"
	"net/http"
	"net/url"

	"beckon/internal/channel"
)

// MoveThread hands a person's thread over (Messenger Platform, hand-over):
// channel.StatusPass gives it to the target app, StatusTake takes it back, which
// only the app that is set to be the Page's first may, and StatusRequest asks its
// holder for it. Accepted means that Graph did it. The metadata is for the other app.
func (c *Client) MoveThread(ctx context.Context, page channel.Page, move channel.ThreadMove) channel.Result {
	body := appendString([]byte(`{"recipient":{"id":`), move.PSID)
	body = append(body, '}')
	if move.Action == channel.StatusPass {
		body = appendString(append(body, `,"target_app_id":`...), move.Target)
	}
	if move.Metadata != "" {
		body = appendString(append(body, `,"metadata":`...), move.Metadata)
	}
	var done struct {
		Success bool `json:"success"`
	}
	r := c.ask(ctx, http.MethodPost, c.edge(page, move.Action+"_thread_control", nil), append(body, '}'), &done)
	if r.Outcome == channel.Accepted && !done.Success {
		return channel.Result{Outcome: channel.Refused, Detail: "Graph did not do it", Load: r.Load}
	}
	return r
}

// ThreadOwner asks which app holds a person's thread. The app is "" when Graph
// names none, which is so on a Page whose apps do not take turns.
func (c *Client) ThreadOwner(ctx context.Context, page channel.Page, psid string) (app string, r channel.Result) {
	var found struct {
		Data []struct {
			Owner struct {
				App word `json:"app_id"`
			} `json:"thread_owner"`
		} `json:"data"`
	}
	r = c.ask(ctx, http.MethodGet, c.edge(page, "thread_owner", url.Values{"recipient": {psid}}), nil, &found)
	if len(found.Data) > 0 {
		app = string(found.Data[0].Owner.App)
	}
	return app, r
}

package messenger

import (
	"context"
	"net/http"

	"beckon/internal/channel"
)

// Upload has Meta fetch a file from a public address and keep it for the Page:
// kind is image, audio, video or file. The id is what messages of that Page name
// it by. Accepted means that there is one; an upload made twice does no harm.
func (c *Client) Upload(ctx context.Context, page channel.Page, kind, address string) (id string, r channel.Result) {
	body := appendString([]byte(`{"message":{"attachment":{"type":`), kind)
	body = append(body, `,"payload":{"is_reusable":true,"url":`...)
	body = append(appendString(body, address), `}}}}`...)
	var made struct {
		ID word `json:"attachment_id"`
	}
	r = c.ask(ctx, http.MethodPost, c.edge(page, "message_attachments", nil), body, &made)
	if r.Outcome == channel.Accepted && made.ID == "" {
		return "", channel.Result{Outcome: channel.Unknown, Detail: "Graph did not name what it kept", Load: r.Load}
	}
	return string(made.ID), r
}

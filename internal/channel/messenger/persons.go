package messenger

import (
	"context"
	"net/http"
	"net/url"

	"beckon/internal/channel"
)

// PSIDs asks under which PSIDs the Pages of the app know a person of Facebook
// Login, whose user id is another one: the result is by Graph id of the Page.
// Meta does not answer this for people in Europe and Japan.
func (c *Client) PSIDs(ctx context.Context, userID string) (map[string]string, channel.Result) {
	if c.app == "" || len(c.secret) == 0 {
		return nil, channel.Result{Outcome: channel.Refused, Detail: "the app's id or secret is not set"}
	}
	var found struct {
		Data []struct {
			ID   word `json:"id"`
			Page struct {
				ID word `json:"id"`
			} `json:"page"`
		} `json:"data"`
	}
	d := c.place(url.PathEscape(userID)+"/ids_for_pages", c.app+"|"+string(c.secret), url.Values{"limit": {"500"}})
	r := c.ask(ctx, http.MethodGet, d, nil, &found)
	out := map[string]string{}
	for _, d := range found.Data {
		out[string(d.Page.ID)] = string(d.ID)
	}
	return out, r
}

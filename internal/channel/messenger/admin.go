package messenger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"beckon/internal/channel"
)

// AccessToken is what Graph says of a Page's access token.
type AccessToken struct {
	Valid      bool
	App        string    // the app it was made for
	Page       string    // the Page it speaks for; "" when Graph does not say
	Scopes     []string  // the permissions that come with it
	Expires    time.Time // zero is never
	DataAccess time.Time // when access to people's data ends, unless renewed; zero is never
}

// seconds is a time in seconds since 1970; 0 is none.
type seconds int64

func (m seconds) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.Unix(int64(m), 0).UTC()
}

// Inspect asks Graph about a Page's access token (debug_token), on behalf of the
// app when its id is set, else, or when that is refused, of the Page itself.
// Accepted means that Graph answered: the token may still be no good.
func (c *Client) Inspect(ctx context.Context, page channel.Page) (AccessToken, channel.Result) {
	if c.app != "" && len(c.secret) > 0 {
		if t, r := c.inspect(ctx, page, c.app+"|"+string(c.secret)); r.Outcome == channel.Accepted {
			return t, r
		}
	}
	return c.inspect(ctx, page, page.AccessToken)
}

func (c *Client) inspect(ctx context.Context, page channel.Page, by string) (AccessToken, channel.Result) {
	var said struct {
		Data struct {
			App        word     `json:"app_id"`
			Profile    word     `json:"profile_id"`
			Valid      bool     `json:"is_valid"`
			Scopes     []string `json:"scopes"`
			Expires    seconds  `json:"expires_at"`
			DataAccess seconds  `json:"data_access_expires_at"`
		} `json:"data"`
	}
	r := c.ask(ctx, http.MethodGet, c.place("debug_token", by, url.Values{"input_token": {page.AccessToken}}), nil, &said)
	d := said.Data
	return AccessToken{Valid: d.Valid, App: string(d.App), Page: string(d.Profile), Scopes: d.Scopes,
		Expires: d.Expires.time(), DataAccess: d.DataAccess.time()}, r
}

// Subscribed returns the fields of a Page's webhook that an app gets; none when
// it is not subscribed. With app "" they are those of the only app.
func (c *Client) Subscribed(ctx context.Context, page channel.Page, app string) ([]string, channel.Result) {
	var said struct {
		Data []struct {
			ID     word     `json:"id"`
			Fields []string `json:"subscribed_fields"`
		} `json:"data"`
	}
	r := c.ask(ctx, http.MethodGet, c.edge(page, "subscribed_apps", url.Values{"fields": {"id,subscribed_fields"}}), nil, &said)
	for _, a := range said.Data {
		if string(a.ID) == app || app == "" && len(said.Data) == 1 {
			return a.Fields, r
		}
	}
	return nil, r
}

// Subscribe has Meta send these fields of the Page's webhook to our app, and no
// others. Refused, mostly, means that one of them needs a permission.
func (c *Client) Subscribe(ctx context.Context, page channel.Page, fields []string) channel.Result {
	fields = slices.Compact(slices.Sorted(slices.Values(fields)))
	return c.done(ctx, http.MethodPost, c.edge(page, "subscribed_apps", url.Values{"subscribed_fields": {strings.Join(fields, ",")}}), nil)
}

// Unsubscribe ends all webhooks of the Page to our app.
func (c *Client) Unsubscribe(ctx context.Context, page channel.Page) channel.Result {
	return c.done(ctx, http.MethodDelete, c.edge(page, "subscribed_apps", nil), nil)
}

// GetStarted returns the payload of the Page's Get Started button; "" is none.
// Without one nobody new who follows a link is heard of.
func (c *Client) GetStarted(ctx context.Context, page channel.Page) (string, channel.Result) {
	var said struct {
		Data []struct {
			GetStarted struct {
				Payload string `json:"payload"`
			} `json:"get_started"`
		} `json:"data"`
	}
	r := c.ask(ctx, http.MethodGet, c.place("me/messenger_profile", page.AccessToken, url.Values{"fields": {"get_started"}}), nil, &said)
	for _, d := range said.Data {
		if d.GetStarted.Payload != "" {
			return d.GetStarted.Payload, r
		}
	}
	return "", r
}

// SetGetStarted gives the Page a Get Started button.
func (c *Client) SetGetStarted(ctx context.Context, page channel.Page, payload string) channel.Result {
	body := appendString([]byte(`{"get_started":{"payload":`), payload)
	return c.done(ctx, http.MethodPost, c.place("me/messenger_profile", page.AccessToken, nil), append(body, "}}"...))
}

// done makes a call that Graph answers with nothing but that it did it.
func (c *Client) done(ctx context.Context, method string, d door, body []byte) channel.Result {
	var said struct {
		Success bool            `json:"success"`
		Result  json.RawMessage `json:"result"`
	}
	r := c.ask(ctx, method, d, body, &said)
	if r.Outcome == channel.Accepted && !said.Success && string(said.Result) != `"success"` {
		return channel.Result{Outcome: channel.Refused, Detail: "Graph did not do it", Load: r.Load}
	}
	return r
}

package messenger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel"
)

// AskRecurring sends the request for a recurring token: title is what the person
// is asked to be told about, payload comes back with the token. The rules of
// AskOptIn hold.
func (c *Client) AskRecurring(ctx context.Context, page channel.Page, psid, title, payload string) channel.Result {
	return c.post(ctx, c.door(page), optInRequest(askAgain, psid, title, payload), false)
}

// listAtOnce keeps a part of a list well below what is read of an answer.
const listAtOnce = 50

// part names a part of a list: the one that begins after a cursor.
func part(after string) url.Values {
	q := url.Values{"limit": {strconv.Itoa(listAtOnce)}}
	if after != "" {
		q.Set("after", after)
	}
	return q
}

// paging says where a list goes on. Graph gives a cursor with the last part too.
type paging struct {
	Cursors struct {
		After string `json:"after"`
	} `json:"cursors"`
	Next string `json:"next"`
}

func (p paging) after() string {
	if p.Next == "" {
		return ""
	}
	return p.Cursors.After
}

// ListRecurring reads a part of the Page's own list of recurring tokens: the
// first one with after "".
func (c *Client) ListRecurring(ctx context.Context, page channel.Page, after string) (channel.Listing, channel.Result) {
	var said struct {
		Data   []listed `json:"data"`
		Paging paging   `json:"paging"`
	}
	r := c.ask(ctx, http.MethodGet, c.edge(page, "notification_message_tokens", part(after)), nil, &said)
	out := channel.Listing{Next: said.Paging.after()}
	for _, l := range said.Data {
		out.Tokens = append(out.Tokens, channel.Listed{Token: string(l.Token), PSID: string(l.PSID), Title: string(l.Title), Created: when(l.Created),
			Expires: when(l.Expires), Eligible: when(l.Eligible), Renewed: l.Status.simple() == "refreshed"})
	}
	return out, r
}

type listed struct {
	Token    word            `json:"notification_messages_token"`
	PSID     word            `json:"recipient_id"`
	Title    word            `json:"topic_title"`
	Status   word            `json:"user_token_status"`
	Created  json.RawMessage `json:"creation_timestamp"`
	Expires  json.RawMessage `json:"token_expiry_timestamp"`
	Eligible json.RawMessage `json:"next_eligible_time"`
}

// when reads a time of a list, which may be a number or in the words of ISO 8601;
// what is neither is the zero time.
func when(raw json.RawMessage) time.Time {
	text := strings.Trim(string(raw), `"`)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return momentOf(raw)
}

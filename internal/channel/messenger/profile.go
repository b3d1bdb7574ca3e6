package messenger

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"beckon/internal/channel"
)

// The fields of a profile. Locale and time zone need permissions of their own
// (User Profile API).
const (
	nameFields = "first_name,last_name"
	allFields  = nameFields + ",locale,timezone"
)

// Profile reads a person's profile: all of it, or only the names. Accepted with
// an empty profile means that the person shows nothing. Codes that end in 2018218
// say that there is none, those in 2018247 that the app may not read it.
func (c *Client) Profile(ctx context.Context, page channel.Page, psid string, namesOnly bool) (channel.Profile, channel.Result) {
	fields := allFields
	if namesOnly {
		fields = nameFields
	}
	var said struct {
		FirstName string   `json:"first_name"`
		LastName  string   `json:"last_name"`
		Locale    string   `json:"locale"`
		TimeZone  *float64 `json:"timezone"` // hours
	}
	r := c.ask(ctx, http.MethodGet, c.place(url.PathEscape(psid), page.AccessToken, url.Values{"fields": {fields}}), nil, &said)
	p := channel.Profile{FirstName: said.FirstName, LastName: said.LastName, Locale: said.Locale}
	if z := said.TimeZone; z != nil && *z >= -24 && *z <= 24 {
		offset := time.Duration(*z * float64(time.Hour))
		p.Offset = &offset
	}
	return p, r
}

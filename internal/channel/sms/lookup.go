package sms

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"beckon/internal/channel"
	"beckon/internal/channel/wire"
)

const (
	lookConcurrency = 4                // an account's calls share one limit: sending goes first
	lookPage        = 50               // messages in one answer
	lookPages       = 4                // answers read for one number
	clockSkew       = 10 * time.Minute // how far Twilio's clock may be behind ours
)

// Find looks for messages in Twilio's list: by number and day, then by the
// personal link in the text. Twilio may leave out of the list what it has not
// sent yet, so a message that is not there may be there later.
func (c *Client) Find(ctx context.Context, sought []channel.Sought) []channel.Finding {
	findings := make([]channel.Finding, len(sought))
	var slow atomic.Bool
	begun := wire.Each(lookConcurrency, len(sought), func(int) bool { return !slow.Load() }, func(i int) {
		findings[i] = c.find(ctx, &sought[i])
		if findings[i].Found == channel.SlowDown {
			slow.Store(true)
		}
	})
	for i := begun; i < len(findings); i++ {
		findings[i].Found = channel.SlowDown
	}
	return findings
}

// find reads the list of one number. Of several messages that carry the link
// the one that got furthest counts: the person has it.
func (c *Client) find(ctx context.Context, s *channel.Sought) channel.Finding {
	best, at := channel.Finding{Found: channel.NotThere}, cursor{}
	for range lookPages {
		t := &trip{caller: ctx, base: c.base, transport: c.transport}
		list, err := c.list(ctx, t, s, at)
		if err != nil || t.status != http.StatusOK {
			return t.unlisted()
		}
		for i := range list.Messages {
			if m := (*listed)(&list.Messages[i]); m.is(s) {
				best = further(best, m.finding(c.settings.Now()))
			}
		}
		if at = next(list); at.page == "" {
			break
		}
	}
	return best
}

// list reads one page.
func (c *Client) list(ctx context.Context, t *trip, s *channel.Sought, at cursor) (*api.ListMessageResponse, error) {
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	day := s.Since.Add(-clockSkew).UTC().Truncate(24 * time.Hour)
	by := new(api.ListMessageParams).SetTo(s.To).SetDateSentAfter(day).SetPageSize(lookPage)
	return c.service(t).PageMessage(by, at.token, at.page)
}

// unlisted words an answer that is no list. With credentials that are refused
// more calls are as little use as with too many.
func (t *trip) unlisted() channel.Finding {
	switch t.status {
	case http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusForbidden:
		return channel.Finding{Found: channel.SlowDown}
	}
	return channel.Finding{Found: channel.CannotSay}
}

// cursor is where a list goes on. Twilio wants back both of what its answer
// names.
type cursor struct{ page, token string }

func next(list *api.ListMessageResponse) cursor {
	u, err := url.Parse(text(list.NextPageUri))
	if err != nil {
		return cursor{}
	}
	return cursor{u.Query().Get("Page"), u.Query().Get("PageToken")}
}

// listed is a message in Twilio's list, every field of which may be missing.
type listed api.ApiV2010Message

// is reports whether this is the message: it has the link, and it is not one
// of an earlier try.
func (m *listed) is(s *channel.Sought) bool {
	if s.Link == "" || !strings.Contains(text(m.Body), s.Link) || text(m.Sid) == "" {
		return false
	}
	made, err := time.Parse(time.RFC1123Z, text(m.DateCreated))
	return err != nil || !made.Before(s.Since.Add(-clockSkew))
}

func (m *listed) finding(now time.Time) channel.Finding {
	f := channel.Finding{Found: channel.Taken, ProviderID: *m.Sid, Kind: statusKind(text(m.Status))}
	switch f.Kind {
	case channel.EventFailed:
		f.Found, f.Kind = channel.Failed, ""
		code := ""
		if m.ErrorCode != nil {
			code = strconv.Itoa(*m.ErrorCode)
		}
		f.Why = failure(code, text(m.From), now)
		f.Why.ProviderID, f.Why.Detail = *m.Sid, "found in Twilio's list"
	case channel.EventOther: // a status that is new to us: it is in the list, so it was taken
		f.Kind = channel.EventAccepted
	}
	return f
}

// further returns the finding that tells more.
func further(a, b channel.Finding) channel.Finding {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func rank(f channel.Finding) int {
	switch {
	case f.Kind == channel.EventRead:
		return 4
	case f.Kind == channel.EventDelivered:
		return 3
	case f.Found == channel.Taken:
		return 2
	case f.Found == channel.Failed:
		return 1
	}
	return 0
}

// text reads a field that may be missing.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

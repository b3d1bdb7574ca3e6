package sendgrid

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"beckon/internal/channel/wire"
)

// List is a suppression list of SendGrid: one of those below, or an unsubscribe
// group, see Group.
type List string

// The lists whose members SendGrid sends nothing to.
const (
	Bounces      List = "bounces"
	SpamReports  List = "spam_reports"
	Invalid      List = "invalid_emails"
	Unsubscribes List = "unsubscribes" // of everything
)

const groupPrefix = "group/"

// Group is the list of an unsubscribe group, by its number.
func Group(id string) List { return List(groupPrefix + id) }

// Listed is somebody on a list.
type Listed struct {
	Email string
	At    time.Time // when they came onto it; zero where the list does not say
}

// Part is the part of a list that is asked for: who came onto it from one moment
// to another, both included, without the first Skip of them.
type Part struct {
	From, Until time.Time
	Skip        int
}

// PageSize is the most that SendGrid gives at a time.
const PageSize = 500

// Read hands over who is on a list, up to PageSize at a time, in SendGrid's
// order, until the part or each ends; the slice is used again. After an error of
// each, which Read returns, or of its own, the same part without those handed over
// goes on where it ended. One page at most is held in memory.
func (a *Account) Read(ctx context.Context, l List, p Part, each func([]Listed) error) error {
	if id, group := strings.CutPrefix(string(l), groupPrefix); group { // all groups come at once, and cannot be narrowed
		_, err := a.stream(ctx, "/v3/asm/suppressions", func(e *entry) bool { return e.group == id && p.holds(e.At) }, p.Skip, each)
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(PageSize)}, "end_time": {strconv.FormatInt(p.Until.Unix(), 10)}}
	if !p.From.IsZero() {
		q.Set("start_time", strconv.FormatInt(p.From.Unix(), 10))
	}
	for skip := p.Skip; ; {
		q.Set("offset", strconv.Itoa(skip))
		n, err := a.stream(ctx, "/v3/suppression/"+string(l)+"?"+q.Encode(), func(*entry) bool { return true }, 0, each)
		if err != nil || n < PageSize {
			return err
		}
		skip += n
	}
}

// holds reports whether a moment belongs to the part, to the second; one that is
// not known does.
func (p Part) holds(at time.Time) bool {
	return at.IsZero() || (at.Unix() >= p.From.Unix() && at.Unix() <= p.Until.Unix())
}

// stream reads one answer piece by piece: those of its entries that are wanted,
// without the first ones. It says how many are.
func (a *Account) stream(ctx context.Context, path string, wanted func(*entry) bool, skip int, each func([]Listed) error) (n int, err error) {
	req, err := a.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return 0, wire.ErrSilent
	}
	defer res.Body.Close()
	if err := wire.Check(res); err != nil {
		return 0, err
	}
	page := make([]Listed, 0, PageSize)
	err = entries(res.Body, func(e *entry) error {
		if !wanted(e) {
			return nil
		}
		if n++; n <= skip {
			return nil
		}
		if page = append(page, e.Listed); len(page) < PageSize {
			return nil
		}
		full := page
		page = page[:0]
		return each(full)
	})
	if err == nil && len(page) > 0 {
		err = each(page)
	}
	return n, err
}

// entries decodes an array, one element after the other. One that ends too early
// is an error: nobody is left out silently.
func entries(body io.Reader, each func(*entry) error) error {
	dec := json.NewDecoder(body)
	if first, err := dec.Token(); err != nil || first != json.Delim('[') {
		return wire.ErrSilent
	}
	for dec.More() {
		var e entry
		if err := dec.Decode(&e); err != nil {
			return wire.ErrSilent
		}
		if err := each(&e); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return wire.ErrSilent
	}
	return nil
}

// entry is one element of a list.
type entry struct {
	Listed
	group string
}

// UnmarshalJSON takes what cannot be read as an entry without an address.
func (e *entry) UnmarshalJSON(raw []byte) error {
	*e = entry{}
	var o struct {
		Email     json.RawMessage `json:"email"`
		Created   json.RawMessage `json:"created"`
		CreatedAt json.RawMessage `json:"created_at"` // in groups
		Group     json.RawMessage `json:"group_id"`
	}
	_ = json.Unmarshal(raw, &o) // what has another form has no address
	e.Email, e.group = textOf(o.Email), string(o.Group)
	if at, err := strconv.ParseInt(string(o.Created)+string(o.CreatedAt), 10, 64); err == nil && at > 0 {
		e.At = time.Unix(at, 0).UTC()
	}
	return nil
}

// Unsubscribe puts addresses onto the global list, at most PageSize at once. Who
// is on it already stays.
func (a *Account) Unsubscribe(ctx context.Context, addresses []string) error {
	return a.do(ctx, http.MethodPost, "/v3/asm/suppressions/global", map[string][]string{"recipient_emails": addresses}, nil)
}

// Resubscribe takes an address off the global list. One that is not on it is no
// error.
func (a *Account) Resubscribe(ctx context.Context, address string) error {
	err := a.do(ctx, http.MethodDelete, "/v3/asm/suppressions/global/"+url.PathEscape(address), nil, nil)
	if wire.Refused(err) == http.StatusNotFound {
		return nil
	}
	return err
}

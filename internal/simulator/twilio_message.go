package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wireSMS is a Message resource.
type wireSMS struct {
	AccountSID   string            `json:"account_sid"`
	APIVersion   string            `json:"api_version"`
	Body         string            `json:"body"`
	Created      string            `json:"date_created"`
	Sent         *string           `json:"date_sent"`
	Updated      string            `json:"date_updated"`
	Direction    string            `json:"direction"`
	ErrorCode    *int              `json:"error_code"`
	ErrorMessage *string           `json:"error_message"`
	From         *string           `json:"from"`
	Service      *string           `json:"messaging_service_sid"`
	NumMedia     string            `json:"num_media"`
	NumSegments  string            `json:"num_segments"`
	Price        *string           `json:"price"`
	PriceUnit    *string           `json:"price_unit"`
	SID          string            `json:"sid"`
	Status       string            `json:"status"`
	Subresources map[string]string `json:"subresource_uris"`
	To           string            `json:"to"`
	URI          string            `json:"uri"`
}

// wire is the resource as it is later.
func (m *SMS) wire(account string) *wireSMS {
	at := m.Created.Format(time.RFC1123Z)
	uri := "/" + twilioVersion + "/Accounts/" + account + "/Messages/" + m.SID
	w := &wireSMS{
		AccountSID: account, APIVersion: twilioVersion, Body: m.Body,
		Created: at, Updated: at, Sent: &at, Direction: "outbound-api",
		NumMedia: "0", NumSegments: strconv.Itoa(m.Segments), SID: m.SID, Status: m.Status, To: m.To,
		URI: uri + ".json", Subresources: map[string]string{"media": uri + "/Media.json"},
		From: orNull(m.From), Service: orNull(m.Service), PriceUnit: orNull("USD"),
	}
	if m.ErrorCode != 0 {
		w.ErrorCode = &m.ErrorCode
	}
	return w
}

// first is the resource as creating answers it: nothing has been sent yet, and
// a service has not picked its sender.
func (m *SMS) first(account string) *wireSMS {
	w := m.wire(account)
	w.Status, w.Sent, w.ErrorCode, w.PriceUnit = "queued", nil, nil, nil
	if m.Service != "" {
		w.Status, w.NumSegments = "accepted", "0"
	}
	return w
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list is GET Messages.json, newest first.
func (t *twilio) list(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("account")
	if e := t.authorize(r, account); e != nil {
		e.answer(w)
		return
	}
	if !t.s.checked(Twilio, &call{w: w, r: r, desk: t.desk}) {
		return
	}
	if t.s.cfg.Lean {
		smsError(http.StatusServiceUnavailable, 20503, "Nothing is kept to be listed").answer(w)
		return
	}
	query := r.URL.Query()
	keep, err := dateFilter(query)
	if err != nil {
		smsError(http.StatusBadRequest, 20001, "Parameter DateSent is not valid").answer(w)
		return
	}
	size, page := number(query.Get("PageSize"), 50, 1000), number(query.Get("Page"), 0, 1<<30)
	all := t.find(query.Get("To"), query.Get("From"), keep)
	size = max(size, 1)
	start := min(page*size, len(all))
	if token := query.Get("PageToken"); token != "" { // what came meanwhile does not move the pages
		start = after(all, strings.TrimPrefix(token, "PA"))
	}
	for i := range all {
		all[i].From = t.sender(&all[i])
	}
	answerJSON(w, http.StatusOK, smsPage(account, query, all, place{page, size, start}))
}

// after is where a listing goes on after a message.
func after(all []SMS, sid string) int {
	if at := slices.IndexFunc(all, func(m SMS) bool { return m.SID == sid }); at >= 0 {
		return at + 1
	}
	return len(all)
}

// number reads a whole number of a query, within limits.
func number(text string, missing, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return missing
	}
	return min(n, most)
}

// find returns copies of the texts that fit, newest first.
func (t *twilio) find(to, from string, keep func(time.Time) bool) []SMS {
	var found []SMS
	collect := func(_ string, all []*SMS) {
		for _, m := range all {
			if (from == "" || from == m.From) && keep(m.Created) {
				found = append(found, *m)
			}
		}
	}
	if to == "" {
		t.texts.each(collect)
	} else {
		t.texts.with(to, func(all map[string][]*SMS) { collect(to, all[to]) })
	}
	slices.SortFunc(found, func(a, b SMS) int { return int(b.order - a.order) })
	return found
}

// place is where a page of a listing stands in it.
type place struct{ page, size, start int }

// smsPage is one page of a listing, with the fields that lead to the others.
func smsPage(account string, query url.Values, all []SMS, at place) map[string]any {
	page, size, start := at.page, at.size, at.start
	uri := func(n int, token string) string {
		q := maps.Clone(query)
		q.Del("PageToken")
		q.Set("Page", strconv.Itoa(n))
		q.Set("PageSize", strconv.Itoa(size))
		if token != "" {
			q.Set("PageToken", token)
		}
		return "/" + twilioVersion + "/Accounts/" + account + "/Messages.json?" + q.Encode()
	}
	end := min(start+size, len(all))
	messages := make([]*wireSMS, 0, end-start)
	for i := range all[start:end] {
		messages = append(messages, all[start+i].wire(account))
	}
	answer := map[string]any{
		"messages": messages, "page": page, "page_size": size, "start": start, "end": max(end-1, 0),
		"uri": uri(page, query.Get("PageToken")), "first_page_uri": uri(0, ""), "next_page_uri": nil, "previous_page_uri": nil,
	}
	if end < len(all) {
		answer["next_page_uri"] = uri(page+1, "PA"+all[end-1].SID)
	}
	if page > 0 {
		answer["previous_page_uri"] = uri(page-1, "")
	}
	return answer
}

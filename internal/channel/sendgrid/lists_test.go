package sendgrid_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/wire"
)

var (
	dawn = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	dusk = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
)

// shelf serves a list of n bounces in pages, and keeps the queries.
func shelf(n int, asked *[]url.Values) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		*asked = append(*asked, q)
		from, _ := strconv.Atoi(q.Get("offset"))
		var b strings.Builder
		for i := from; i < min(from+sendgrid.PageSize, n); i++ {
			fmt.Fprintf(&b, `{"created":1443651125,"email":"p%d@example.com","reason":"550 5.1.1 <p%d@example.com>","status":"5.1.1"},`, i, i)
		}
		_, _ = io.WriteString(w, "["+strings.TrimSuffix(b.String(), ",")+"]")
	}
}

// read collects a list, page by page.
func read(t *testing.T, a *sendgrid.Account, l sendgrid.List, p sendgrid.Part) (sizes []int, all []sendgrid.Listed, err error) {
	t.Helper()
	err = a.Read(t.Context(), l, p, func(page []sendgrid.Listed) error {
		sizes, all = append(sizes, len(page)), append(all, page...)
		return nil
	})
	return sizes, all, err
}

func TestAListIsReadPageByPageToItsEnd(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]int{0: nil, 1: {1}, 499: {499}, 500: {500}, 501: {500, 1}, 1700: {500, 500, 500, 200}} {
		var asked []url.Values
		sizes, all, err := read(t, accountAt(t, shelf(n, &asked)), sendgrid.Bounces, sendgrid.Part{From: dawn, Until: dusk})
		require.NoError(t, err)
		require.Equal(t, want, sizes)
		for i, e := range all {
			require.Equal(t, sendgrid.Listed{Email: fmt.Sprintf("p%d@example.com", i), At: time.Unix(1443651125, 0).UTC()}, e)
		}
		for i, q := range asked {
			require.Equal(t, url.Values{"limit": {"500"}, "offset": {strconv.Itoa(500 * i)}, "start_time": {fmt.Sprint(dawn.Unix())}, "end_time": {fmt.Sprint(dusk.Unix())}}, q)
		}
	}
}

func TestAListGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	var asked []url.Values
	a, enough := accountAt(t, shelf(1200, &asked)), errors.New("enough")
	require.ErrorIs(t, a.Read(t.Context(), sendgrid.Bounces, sendgrid.Part{Until: dusk}, func([]sendgrid.Listed) error { return enough }), enough)
	_, all, err := read(t, a, sendgrid.Bounces, sendgrid.Part{Until: dusk, Skip: 500})
	require.NoError(t, err)
	require.Equal(t, "p500@example.com", all[0].Email)
	require.Len(t, all, 700)
	require.NotContains(t, asked[0], "start_time", "everything, from the first")
}

func TestAGroupIsReadInPiecesFromOneAnswer(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&b, `,{"email":"p%d@example.com","group_id":17,"group_name":"News","created_at":%d},{"email":"other@example.com","group_id":170,"created_at":%d}`, i, dawn.Unix(), dawn.Unix())
	}
	a := accountAt(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/v3/asm/suppressions" {
			_, _ = io.WriteString(w, "["+b.String()[1:]+fmt.Sprintf(`,{"email":"later@example.com","group_id":17,"created_at":%d}]`, dusk.Unix()+1))
		}
	})
	sizes, all, err := read(t, a, sendgrid.Group("17"), sendgrid.Part{Until: dusk, Skip: 100})
	require.NoError(t, err)
	require.Equal(t, []int{500, 500}, sizes)
	require.Equal(t, sendgrid.Listed{Email: "p100@example.com", At: dawn}, all[0])
	_, all, err = read(t, a, sendgrid.Group("17"), sendgrid.Part{From: dawn.Add(time.Second), Until: dusk})
	require.NoError(t, err)
	require.Empty(t, all)
}

// What is no list, or only the beginning of one, is told as such: nobody is left
// out silently.
func TestAnAnswerThatIsNoWholeListIsAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>", `{"errors":[]}`, `[{"email":"a@example.com"}`, `[{"email":"a@exa`, `[1 2]`} {
		_, all, err := read(t, accountAt(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }), sendgrid.Invalid, sendgrid.Part{Until: dusk})
		require.ErrorIs(t, err, wire.ErrSilent, body)
		require.Empty(t, all)
	}
	_, _, err := read(t, accountAt(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}), sendgrid.Invalid, sendgrid.Part{Until: dusk})
	var no *wire.Refusal
	require.ErrorAs(t, err, &no)
	require.Equal(t, wire.Refusal{Status: 429, After: 30 * time.Second}, *no)
}

func TestAnEntryThatIsOddKeepsItsPlaceInTheList(t *testing.T) {
	t.Parallel()
	a := accountAt(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"email":null},{"created":"soon","email":"a@example.com"},7,{"email":["x"]},null,{"created":-4,"email":"b@example.com","new":{}}]`)
	})
	_, all, err := read(t, a, sendgrid.SpamReports, sendgrid.Part{Until: dusk})
	require.NoError(t, err)
	require.Equal(t, []sendgrid.Listed{{}, {Email: "a@example.com"}, {}, {}, {}, {Email: "b@example.com"}}, all)
}

func TestTheGlobalListIsWrittenAsSendGridWantsIt(t *testing.T) {
	t.Parallel()
	var calls []string
	status := http.StatusCreated
	a := accountAt(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+strings.TrimSpace(string(body)))
		w.WriteHeader(status)
	})
	require.NoError(t, a.Unsubscribe(t.Context(), []string{"a@example.com", "o'b+1@example.com"}))
	status = http.StatusNoContent
	require.NoError(t, a.Resubscribe(t.Context(), "o'b+1/x@example.com"))
	status = http.StatusNotFound
	require.NoError(t, a.Resubscribe(t.Context(), "a@example.com"), "that it is not there was wanted")
	status = http.StatusInternalServerError
	require.Equal(t, 500, wire.Refused(a.Resubscribe(t.Context(), "a@example.com")))
	require.Equal(t, []string{`POST /v3/asm/suppressions/global application/json{"recipient_emails":["a@example.com","o'b+1@example.com"]}`,
		"DELETE /v3/asm/suppressions/global/o%27b+1%2Fx@example.com ", "DELETE /v3/asm/suppressions/global/a@example.com "}, calls[:3])
}

package sample_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/sample"
)

func written(t require.TestingT, o sample.Options) string {
	var b bytes.Buffer
	require.NoError(t, sample.Write(&b, o))
	return b.String()
}

func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, f := range sample.Formats() {
		o := sample.Options{Format: f, Count: 300, Seed: 7, Page: "page-1", Topic: "courses", GraphPage: "100", GrantedAt: at}
		require.Equal(t, written(t, o), written(t, o), f)
		other := o
		other.Seed = 8
		require.NotEqual(t, written(t, o), written(t, other), f)
	}
}

func TestMorePeopleAreAddedAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, f := range []sample.Format{sample.HubSpot, sample.NDJSON} {
		few, many := written(t, sample.Options{Format: f, Count: 50, Seed: 3}), written(t, sample.Options{Format: f, Count: 80, Seed: 3})
		require.True(t, strings.HasPrefix(many, few), f)
	}
}

func TestEveryPersonIsPlausibleAndNobodyReal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 99_999_999).Draw(t, "n")
		p := sample.NewSource(rapid.Uint64().Draw(t, "seed"), rapid.Bool().Draw(t, "complete")).Person(n)
		require.NotEmpty(t, p.First)
		require.NotEmpty(t, p.Last)
		if p.Email != "" {
			a, err := mail.ParseAddress(p.Email)
			require.NoError(t, err)
			require.Equal(t, p.Email, a.Address)
			require.Regexp(t, `^[a-z0-9.-]+@example\.(com|org|net)$`, p.Email)
		}
		if p.Phone != "" {
			number, err := phonenumbers.Parse(p.Phone, "")
			require.NoError(t, err)
			require.Equal(t, p.Phone, phonenumbers.Format(number, phonenumbers.E164))
			require.True(t, phonenumbers.IsValidNumber(number) || n <= 1000)
		}
		require.True(t, p.Phone != "" || p.SMS == sample.Silent, "consent needs a phone")
		require.True(t, p.Email != "" || p.Mail == sample.Silent, "consent needs an address")
		require.True(t, p.SMSAt.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	})
}

func TestFirstThousandPhonesAreKeptForFiction(t *testing.T) {
	t.Parallel()
	people := sample.NewSource(1, true)
	seen := map[string]bool{}
	for n := 1; n <= 3000; n++ {
		p := people.Person(n)
		require.False(t, seen[p.Phone] || seen[p.Email] || seen[p.ExternalID], "person %d is somebody else too", n)
		seen[p.Phone], seen[p.Email], seen[p.ExternalID] = true, true, true
		require.Equal(t, n <= 1000, strings.HasPrefix(p.Phone, "+447700900"))
	}
}

func TestCompletePeopleCanBeReachedOnEveryLane(t *testing.T) {
	t.Parallel()
	people := sample.NewSource(1, true)
	for n := 1; n <= 500; n++ {
		p := people.Person(n)
		require.Equal(t, [2]sample.Answer{sample.Yes, sample.Yes}, [2]sample.Answer{p.SMS, p.Mail})
	}
}

func TestHubSpotLooksLikeAnExport(t *testing.T) {
	t.Parallel()
	text := written(t, sample.Options{Format: sample.HubSpot, Count: 1000, Seed: 1})
	require.True(t, strings.HasPrefix(text, "\ufeffRecord ID,First Name,"))
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	require.Greater(t, len(lines), 1001, "some people are there twice")
	ids, count := map[string]int{}, map[string]int{}
	for _, l := range lines[1:] {
		r := csv.NewReader(strings.NewReader(l))
		cells, err := r.Read()
		if err != nil {
			count["empty"]++
			continue
		}
		ids[cells[0]]++
		count["broken"] += btoi(len(cells) != 11)
		if len(cells) == 11 {
			count["bad phone"] += btoi(cells[4] != "" && len(digits(cells[4])) < 10)
			count["no word on SMS"] += btoi(cells[7] == "")
			count["quoted"] += btoi(strings.Contains(l, `"`))
		}
	}
	require.Len(t, ids, 1000)
	for what, few := range map[string]int{"broken": 3, "bad phone": 5, "no word on SMS": 150, "quoted": 100, "empty": 1} {
		require.GreaterOrEqual(t, count[what], few, what)
		require.Less(t, count[what], 500, what)
	}
}

func TestCompleteExportHasNoFlaw(t *testing.T) {
	t.Parallel()
	text := written(t, sample.Options{Format: sample.HubSpot, Count: 1000, Seed: 1, Complete: true})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1001)
	for _, cells := range rows[1:] {
		require.Equal(t, []string{"Yes", "Yes"}, []string{cells[7], cells[9]})
		require.GreaterOrEqual(t, len(digits(cells[4])), 11)
	}
}

func TestManyChatKnowsPageScopedIdsAndTokens(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	text := written(t, sample.Options{Format: sample.ManyChat, Count: 3, Seed: 1, Page: "page-1", Topic: "courses", GraphPage: "100", GrantedAt: at})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 4)
	require.Equal(t, []string{"page-1", "psid-2", "page-1", "courses", "otn-100-psid-2-1", "2026-05-06T07:08:09Z"}, rows[2][4:])
	require.Equal(t, sample.Token("100", 2), rows[2][8])

	without := written(t, sample.Options{Format: sample.ManyChat, Count: 3, Seed: 1, Page: "page-1"})
	require.NotContains(t, without, "tokens.")
	require.Error(t, sample.Write(&bytes.Buffer{}, sample.Options{Format: sample.ManyChat, Count: 1}))
}

func TestNDJSONIsOneContactPerLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	text := written(t, sample.Options{Format: sample.NDJSON, Count: 200, Seed: 1, Page: "page-1", Topic: "courses", GraphPage: "100", GrantedAt: at})
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	require.Len(t, lines, 200)
	for i, l := range lines {
		var c struct {
			ExternalID string `json:"external_id"`
			Messenger  []map[string]string
			Tokens     []map[string]string
			Consents   map[string]map[string]string
		}
		require.NoError(t, json.Unmarshal([]byte(l), &c))
		require.NotEmpty(t, c.ExternalID)
		require.Equal(t, []map[string]string{{"page_id": "page-1", "psid": sample.PSID(i + 1)}}, c.Messenger)
		require.Equal(t, sample.Token("100", i+1), c.Tokens[0]["token"])
		for _, word := range c.Consents {
			require.Contains(t, []string{"subscribed", "unsubscribed"}, word["status"])
		}
	}
	require.NotContains(t, written(t, sample.Options{Format: sample.NDJSON, Count: 5}), "messenger")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, sample.Write(&bytes.Buffer{}, sample.Options{Format: "vcard"}), "vcard")
	for _, f := range sample.Formats() {
		require.ErrorContains(t, sample.Write(brokenPipe{}, sample.Options{Format: f, Count: 2000, Page: "p"}), "broken pipe")
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func digits(v string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, v)
}

func BenchmarkNDJSON(b *testing.B) {
	for b.Loop() {
		require.NoError(b, sample.Write(&discard{}, sample.Options{Format: sample.NDJSON, Count: 10_000, Seed: 1}))
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "contacts/s")
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }

func TestOnlyAndPermittedChoosePeople(t *testing.T) {
	t.Parallel()
	odd, third := func(n int) bool { return n%2 == 1 }, func(n int) bool { return n%3 == 0 }
	o := sample.Options{Count: 9, Seed: 1, Complete: true, Page: "page-1", Topic: "courses", GraphPage: "100", Only: odd, Permitted: third}
	for f, tokens := range map[sample.Format]int{sample.HubSpot: 0, sample.ManyChat: 2, sample.NDJSON: 2} {
		o.Format = f
		text := written(t, o)
		require.Equal(t, tokens, strings.Count(text, "otn-100-psid-"), f)
		require.Equal(t, 5, strings.Count(text, "@example."), f)
	}
}

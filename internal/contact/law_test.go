package contact_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/contact"
)

func forms(t *testing.T) *contact.Store {
	t.Helper()
	return contact.New(nil, nil, nil, contact.Options{DefaultRegion: "US"})
}

func TestNormalisingTwiceIsNormalisingOnce(t *testing.T) {
	t.Parallel()
	inputs := map[string]*rapid.Generator[string]{
		"phone":     rapid.OneOf(rapid.StringMatching(`\+?[0-9 ().-]{6,16}`), rapid.StringMatching(`\+(1[2-9]|44|49|33|39|7|81|225|52)[0-9]{7,11}`)),
		"email":     rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9.+_'-]{1,20}@[A-Za-zäßİ0-9.-]{1,20}\.[A-Za-zП]{2,5}`), rapid.String()),
		"locale":    rapid.StringMatching(`[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}`),
		"time zone": rapid.SampledFrom([]string{"Europe/London", "UTC", "Etc/GMT+5", "europe/london", "Mars", "Local", ""}),
	}
	for name, form := range forms(t).Forms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				once, ok := form(inputs[name].Draw(t, "input"))
				if !ok {
					return
				}
				twice, ok := form(once)
				require.True(t, ok, "%q", once)
				require.Equal(t, once, twice)
			})
		})
	}
}

func TestThePhoneShortCutGivesWhatTheParserGives(t *testing.T) {
	t.Parallel()
	s := forms(t)
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`\+(1[2-9]|7|20|225|31|33|34|36|39|4[0-9]|5[1-8]|6[0-6]|81|86|91|972|998|[1-9]{2,3})[0-9]{6,11}`).Draw(t, "number")
		fast, ok := s.Forms()["phone"](in)
		slow, slowOK := s.SlowPhone(in)
		if strings.HasPrefix(slow, "+447700900") {
			return
		}
		require.Equal(t, slowOK, ok, in)
		if ok {
			require.Equal(t, slow, fast)
		}
	})
}

func TestFieldsTakeOneForm(t *testing.T) {
	t.Parallel()
	all := forms(t).Forms()
	for _, tt := range []struct{ form, in, out string }{
		{"phone", "(415) 555-2671", "+14155552671"}, {"phone", "+44 7700 900123", "+447700900123"}, {"phone", "+44 7700 9001234", ""},
		{"phone", "+44 (0)20 7946 0958", "+442079460958"}, {"phone", "+390612345678", "+390612345678"}, {"phone", "+999123456789", ""}, {"phone", "911", ""},
		{"email", "A.B+c@Example.COM", "a.b+c@example.com"}, {"email", "x@bücher.example", "x@xn--bcher-kva.example"}, {"email", "Amy <a@example.com>", ""},
		{"email", "a@example.com, b@example.com", ""}, {"email", `"a b"@example.com`, ""}, {"email", "a@localhost", ""}, {"email", "ä@example.com", ""},
		{"email", "a@b@example.com", ""}, {"email", "a@[127.0.0.1]", ""}, {"email", strings.Repeat("x", 65) + "@example.com", ""}, {"email", "\u212a@example.com", ""},
		{"locale", "en_GB", "en-GB"}, {"locale", "pt-br", "pt-BR"}, {"locale", "zh_Hant_TW", "zh-Hant-TW"}, {"locale", "english", ""}, {"locale", "und", ""},
		{"time zone", "Europe/London", "Europe/London"}, {"time zone", "Local", ""}, {"time zone", "", ""}, {"time zone", "../etc/passwd", ""},
	} {
		got, ok := all[tt.form](tt.in)
		require.Equal(t, tt.out != "", ok, "%q became %q", tt.in, got)
		if ok {
			require.Equal(t, tt.out, got)
		}
	}
}

// TestTheNewestConsentWins holds whatever the order in which answers come in.
func TestTheNewestConsentWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		answers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) contact.Consent {
			at := noon.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "hours")) * time.Hour)
			return contact.Consent{Status: rapid.SampledFrom([]string{contact.Subscribed, contact.Unsubscribed}).Draw(t, "status"), At: &at}
		}), 1, 8).Draw(t, "answers")
		var now contact.Consent
		for _, a := range rapid.Permutation(answers).Draw(t, "order") {
			now = contact.Follow(now, a, noon)
		}
		newest := slices.MaxFunc(answers, func(a, b contact.Consent) int {
			if d := a.At.Compare(*b.At); d != 0 {
				return d
			}
			return strings.Compare(a.Status, b.Status) // the opt-out, at the same time
		})
		require.Equal(t, newest.Status, now.Status)
		require.True(t, newest.At.Equal(*now.At))
	})
}

func TestConsentWithoutATimeIsFromNow(t *testing.T) {
	t.Parallel()
	hour := noon.Add(-time.Hour)
	stored := contact.Consent{Status: contact.Unsubscribed, Source: "sms", At: &hour, Evidence: "STOP"}
	got := contact.Follow(stored, contact.Consent{Status: contact.Subscribed}, noon)
	require.Equal(t, contact.Consent{Status: contact.Subscribed, Source: "api", At: &noon}, got)
	require.Equal(t, stored, contact.Follow(stored, contact.Consent{Status: contact.Unsubscribed}, noon), "sent again, it keeps its time")
	got = contact.Follow(stored, contact.Consent{Status: contact.Unsubscribed, Source: "form", Evidence: "box"}, noon)
	require.Equal(t, contact.Consent{Status: contact.Unsubscribed, Source: "form", At: &hour, Evidence: "box"}, got)
}

func TestWhatAnyProgramWritesAsCSVIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 4).Draw(t, "width")
		cell := rapid.StringMatching("[a-zю,;\" \n]{0,8}")
		want := rapid.SliceOf(rapid.SliceOfN(cell, width, width)).Draw(t, "records")
		want = slices.DeleteFunc(want, func(r []string) bool { return strings.TrimSpace(strings.Join(r, "")) == "" })
		comma := rapid.SampledFrom([]rune{',', ';', '\t'}).Draw(t, "comma")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Comma, w.UseCRLF = comma, false
		require.NoError(t, w.WriteAll(want))
		got, lines := contact.ReadCSV(b.Bytes(), byte(comma), width)
		require.Equal(t, fmt.Sprintf("%q", want), fmt.Sprintf("%q", got))
		require.Equal(t, bytes.Count(b.Bytes(), []byte("\n")), lines)
	})
}

// TestNoBytesStopTheReader: every physical line is used up exactly once,
// whatever stands in it.
func TestNoBytesStopTheReader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(rapid.StringMatching("[a\",;\r\n\x00ю]{0,200}").Draw(t, "body"))
		want := bytes.Count(body, []byte("\n"))
		if len(body) > 0 && body[len(body)-1] != '\n' {
			want++
		}
		_, lines := contact.ReadCSV(body, ',', 2)
		require.Equal(t, want, lines)
	})
}

func TestLinesMayLieAcrossParts(t *testing.T) {
	t.Parallel()
	var body bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&body, "%d,\"%s\n\"\n", i, strings.Repeat("z", i%90))
	}
	require.Greater(t, body.Len(), 2<<20)
	got, lines := contact.ReadCSV(body.Bytes(), ',', 2)
	require.Equal(t, 120_000, lines)
	for i, r := range got {
		require.Equal(t, fmt.Sprint(i), r[0])
	}
}

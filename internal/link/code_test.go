package link_test

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/link"
)

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var key = []byte("a key of some thirty-two bytes..")

func deliveries() *rapid.Generator[int64] { return rapid.Int64Range(1, link.MaxDelivery) }

func TestCodeComesBackAsItsDelivery(t *testing.T) {
	t.Parallel()
	coder := link.NewCoder(key, link.PurposeLink)
	plain := regexp.MustCompile(`^[0-9A-Za-z]{16}$`)
	check := func(id int64) {
		code := coder.Code(id)
		require.Regexp(t, plain, code)
		require.Equal(t, code, link.NewCoder(key, link.PurposeLink).Code(id), "always the same")
		got, ok := coder.Parse(code)
		require.True(t, ok)
		require.Equal(t, id, got)
	}
	for _, id := range []int64{1, 2, 61, 62, 63, 1 << 16, 1<<17 - 1, link.MaxDelivery - 1, link.MaxDelivery} {
		check(id)
	}
	rapid.Check(t, func(t *rapid.T) { check(deliveries().Draw(t, "delivery")) })
}

func TestCodeWithAnyOtherCharacterIsRefused(t *testing.T) {
	t.Parallel()
	coder := link.NewCoder(key, link.PurposeLink)
	rapid.Check(t, func(t *rapid.T) {
		code := coder.Code(deliveries().Draw(t, "delivery"))
		at := rapid.IntRange(0, len(code)-1).Draw(t, "at")
		other := rapid.SampledFrom([]byte(letters+"-_ =%\x00\xff")).Draw(t, "other")
		if code[at] == other {
			return
		}
		_, ok := coder.Parse(code[:at] + string([]byte{other}) + code[at+1:])
		require.False(t, ok)
	})
}

func TestCodeOfAnotherKeyOrPurposeIsRefused(t *testing.T) {
	t.Parallel()
	coder := link.NewCoder(key, link.PurposeLink)
	others := []link.Coder{
		link.NewCoder(key, link.PurposeUnsubscribe),
		link.NewCoder(key, link.PurposeMark),
		link.NewCoder([]byte("another key"), link.PurposeLink),
		link.NewCoder(nil, link.PurposeLink),
	}
	rapid.Check(t, func(t *rapid.T) {
		id := deliveries().Draw(t, "delivery")
		for _, other := range others {
			_, ok := other.Parse(coder.Code(id))
			require.False(t, ok)
			_, ok = coder.Parse(other.Code(id))
			require.False(t, ok)
		}
	})
}

func TestParseTakesNothingThatWasNotIssued(t *testing.T) {
	t.Parallel()
	coder := link.NewCoder(key, link.PurposeLink)
	code := coder.Code(42)
	for _, wrong := range []string{
		"", "0", code[:15], code + "0", "0" + code, code + "\n", " " + code, strings.ToLower(code),
		strings.Repeat("0", 16), strings.Repeat("z", 16), strings.Repeat("ü", 8), strings.Repeat("x", 1<<16),
	} {
		_, ok := coder.Parse(wrong)
		require.False(t, ok, wrong)
	}
	rapid.Check(t, func(t *rapid.T) {
		_, ok := coder.Parse(rapid.StringOfN(rapid.RuneFrom([]rune(letters)), 16, 16, 16).Draw(t, "guess"))
		require.False(t, ok)
		_, ok = coder.Parse(rapid.String().Draw(t, "noise"))
		require.False(t, ok)
	})
}

func TestNumbersThatDoNotFitHaveNoCode(t *testing.T) {
	t.Parallel()
	coder := link.NewCoder(key, link.PurposeLink)
	for _, id := range []int64{0, -1, math.MinInt64, link.MaxDelivery + 1, math.MaxInt64} {
		require.Empty(t, coder.Code(id))
	}
}

func BenchmarkCode(b *testing.B) {
	coder := link.NewCoder(key, link.PurposeLink)
	b.ReportAllocs()
	for b.Loop() {
		coder.Code(123456789)
	}
}

func BenchmarkParse(b *testing.B) {
	coder := link.NewCoder(key, link.PurposeLink)
	code := coder.Code(123456789)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := coder.Parse(code); !ok {
			b.Fatal("refused")
		}
	}
}

// Links in sent messages live for years, and callbacks come days later: the
// spelling must not change.
func TestCodesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for purpose, want := range map[string]string{
		link.PurposeLink:        "PTBL59W7HUghGNf7",
		link.PurposeUnsubscribe: "82zUiP8d26lj5CBV",
		link.PurposeMark:        "WWayQ04euFNtaAKH",
	} {
		require.Equal(t, want, link.NewCoder(key, purpose).Code(1_000_001))
	}
}

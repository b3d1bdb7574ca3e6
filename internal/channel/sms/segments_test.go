package sms_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sms"
)

func TestSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		char  string
		count int
		want  int
	}{
		{"a", 0, 1},
		{"a", 1, 1},
		{"a", 160, 1},
		{"a", 161, 2},
		{"a", 306, 2},
		{"a", 307, 3},
		{"€", 80, 1},
		{"€", 81, 2},
		{"€", 152, 2}, // 76 in a part: the 153rd septet stays empty
		{"€", 153, 3},
		{"Ç", 160, 1},
		{"ç", 70, 1},
		{"ç", 71, 2},
		{"ж", 134, 2},
		{"ж", 135, 3},
		{"👋", 35, 1},
		{"👋", 36, 2},
		{"👋", 67, 3}, // 33 in a part
		{"👨‍👩‍👧‍👦", 6, 1},
		{"👨‍👩‍👧‍👦", 7, 2},
		{"👨‍👩‍👧‍👦", 12, 2},
		{"👨‍👩‍👧‍👦", 13, 3}, // 6 in a part: one unit of 67 stays empty
		{"🏴󠁧󠁢󠁥󠁮󠁧󠁿", 8, 2},  // 4 in a part
		{"🏴󠁧󠁢󠁥󠁮󠁧󠁿", 9, 3},
		{"`", 71, 2},
		{"“", 71, 2},
		{"\n", 160, 1},
		{"\r\n", 80, 1},
		{"\x1b", 70, 1},
		{"\x1b", 71, 2},
		{"\f", 80, 1},
		{"~", 81, 2},
		{"@", 160, 1},
		{"Δ", 160, 1},
		{"\xff", 71, 2},
	} {
		require.Equal(t, c.want, sms.Segments(strings.Repeat(c.char, c.count)), fmt.Sprintf("%d times %q", c.count, c.char))
	}
}

// Whatever is written: a text has at least as many parts as its length asks for,
// a longer one never has fewer, and no part but the last is left mostly empty.
func FuzzSegments(f *testing.F) {
	for _, text := range manyTexts(200) {
		f.Add(text)
	}
	f.Add("e" + strings.Repeat("\u0301", 200)) // one character to the reader, too long for a part
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 {
			return
		}
		n, length := sms.Segments(text), len(utf16.Encode([]rune(text)))
		require.GreaterOrEqual(t, n, 1)
		require.GreaterOrEqual(t, n*160, length, "what is sent has room for the text")
		require.LessOrEqual(t, n, 1+length/34, "at most half of a part stays empty")
		before := 1
		for at := range text {
			if at%17 == 0 {
				now := sms.Segments(text[:at])
				require.GreaterOrEqual(t, now, before, "%+q", text[:at])
				before = now
			}
		}
		require.LessOrEqual(t, before, n)
		require.GreaterOrEqual(t, sms.Segments(text+"ж"), n, "UCS-2 never takes less")
	})
}

func BenchmarkSegments(b *testing.B) {
	for name, text := range map[string]string{"gsm": strings.Repeat("Courses are open: €5 ", 15), "ucs": strings.Repeat("Курсы открыты 👩‍🚀 ", 15)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				sms.Segments(text)
			}
		})
	}
}

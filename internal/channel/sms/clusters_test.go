package sms

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestClustersAreWhatAReaderSeesAsOneCharacter(t *testing.T) {
	t.Parallel()
	for _, want := range [][]string{
		{}, {"a"}, {"a", "b"}, {"\r", "\n"}, {"é", "e"}, {"é", "ạ̈", "x"}, {"👋🏽", "👋"}, {"a", "🏽"}, {"🤷🏼‍♀️"}, {"👨‍👩‍👧‍👦", "👨"},
		{"🇬🇧", "🇩🇪", "🇺"}, {"1️⃣"}, {"🏴󠁧󠁢󠁥󠁮󠁧󠁿"}, {"한", "각"}, {"한", "가"}, {"नि", "க்", "กำ"}, {"\u200b", "a"}, {"a\u200d", "b"}, {"؀1"}, {"\x00", "́"},
		{"👩🏽‍❤️‍👩", "🏽"}, // as Twilio's calculator has it
	} {
		got := slices.Collect(clusters(strings.Join(want, "")))
		require.Equal(t, want, append([]string{}, got...))
	}
}

func TestClustersLeaveNothingOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		require.Equal(rt, text, strings.Join(slices.Collect(clusters(text)), ""))
		for c := range clusters(text) {
			require.NotEmpty(rt, c)
		}
		for range clusters(text) { // one may stop at any time
			break
		}
	})
}

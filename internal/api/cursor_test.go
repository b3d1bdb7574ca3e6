package api

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func jsonReader(s string) io.Reader { return strings.NewReader(s) }

func TestCursorsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type position struct {
			Line int64
			Name string
		}
		want := position{rapid.Int64().Draw(t, "line"), rapid.StringMatching(`[a-zé/ ]*`).Draw(t, "name")}
		text, err := cursor(want)
		require.NoError(t, err)
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, *text)
		var got position
		require.NoError(t, readCursor(text, &got))
		require.Equal(t, want, got)
	})
}

func TestABadCursorIsAFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	other, err := cursor("a text")
	require.NoError(t, err)
	for _, text := range []string{"", "!!", "MQ", "eyJh", "Mnt9", *other} {
		var n int64
		err := readCursor(&text, &n)
		require.Equal(t, map[string]string{"/query/cursor": "bad_format"}, codes(problemOf(err)), text)
	}
	var n int64
	require.NoError(t, readCursor(nil, &n))
}

func TestPageKnowsWhetherThereIsMore(t *testing.T) {
	t.Parallel()
	at := func(n int) any { return n }
	rows, next, err := cut([]int{1, 2, 3}, 2, at)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, rows)
	var n int
	require.NoError(t, readCursor(next, &n))
	require.Equal(t, 2, n)
	rows, next, err = cut([]int{1, 2}, 2, at)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Nil(t, next)
	require.Equal(t, 50, limitOf(nil))
	require.Equal(t, 2, limitOf(&n))
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSampleWritesToAFileOrTheScreen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "crm.csv")
	code, out, errOut := command(t, none, "sample", "--count", "20", "--seed", "5", "--out", file)
	require.Zero(t, code, errOut)
	require.Empty(t, out)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	_, out, _ = command(t, none, "sample", "--count", "20", "--seed", "5")
	require.Equal(t, string(written), out)
	require.True(t, strings.HasPrefix(out, "\ufeffRecord ID,"))
}

func TestSampleGivesPageScopedIdsAndTokens(t *testing.T) {
	t.Parallel()
	page := "0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01"
	for _, format := range []string{"ndjson", "manychat"} {
		code, out, errOut := command(t, none, "sample", "--format", format, "--count", "2", "--page-id", page, "--topic", "courses")
		require.Zero(t, code, errOut)
		require.Equal(t, 2, strings.Count(out, "otn-"+simulatorPage+"-psid-"), out)
	}
}

func TestSampleTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--format", "vcard"}, {"--count", "-1"}, {"--format", "manychat"}, {"--topic", "courses"}, {"extra"}, {"--no-such-flag"}} {
		code, out, errOut := command(t, none, append([]string{"sample"}, args...)...)
		require.Equal(t, exitWrong, code, args)
		require.Empty(t, out)
		require.NotEmpty(t, errOut)
	}
	code, _, _ := command(t, none, "sample", "--out", filepath.Join(t.TempDir(), "no", "such", "folder"))
	require.Equal(t, exitFailed, code)
}

package main

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSimulatorPrintsTheSettingsThatPointAtIt(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &watched{seen: make(chan string, 1), want: "# stand-ins serve on "}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"simulator", "--addr", "127.0.0.1:0", "--page", "77=it's a token", "--callback-url", ""}, none, out, &bytes.Buffer{})
	}()
	line := strings.Fields(<-out.seen)
	resp, err := http.Get(line[4] + "/counts")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	stop()
	require.Zero(t, <-done)

	// A shell reads the settings, and Beckon takes them.
	sh := exec.CommandContext(t.Context(), "/bin/sh", "-c", out.all.String()+"env")
	sh.Env = []string{}
	env, err := sh.Output()
	require.NoError(t, err)
	c, err := readConfig(func() []string { return strings.Split(strings.TrimSpace(string(env)), "\n") })
	require.NoError(t, err)
	require.Equal(t, line[4]+"/graph", c.Meta.GraphURL)
	require.Equal(t, simulatorApp, c.Meta.AppID)
	require.Equal(t, simulatorEmail, c.Mail.From)
	require.NotEmpty(t, c.Mail.WebhookKey)
	chans, err := openChannels(c)
	require.NoError(t, err)
	require.Equal(t, []string{"email", "messenger", "sms"}, chans.names())
}

func TestSimulatorTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	code, _, errOut := command(t, none, "simulator", "--page", "no-token")
	require.Equal(t, exitWrong, code)
	require.Contains(t, errOut, "--page")
	code, _, errOut = command(t, none, "simulator", "--addr", "127.0.0.1:no")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "listen")
}

func TestShellQuoted(t *testing.T) {
	t.Parallel()
	require.Equal(t, `NAME='it'\''s = fine'`, shellQuoted("NAME=it's = fine"))
}

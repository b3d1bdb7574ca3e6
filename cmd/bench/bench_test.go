package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"beckon/internal/db/dbtest"
	"beckon/internal/rig"
	"beckon/internal/simulator"
)

func noEnv(string) string { return "" }

// built is the program, built for the test.
func built(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "beckon")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "beckon/cmd/beckon").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

func TestBenchMeasuresEverythingAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	told := filepath.Join(t.TempDir(), "stderr")
	errOut, err := os.Create(told) // all processes write to it
	require.NoError(t, err)
	err = run(t.Context(), []string{"-beckon", built(t), "-contacts", "500", "-posts", "400", "-for", "1s", "-limit", "3m"}, noEnv, &out, errOut)
	require.NoError(t, errOut.Close())
	said, _ := os.ReadFile(told)
	require.NoError(t, err, "%s\n%s", &out, said)
	table := out.String()[strings.LastIndex(out.String(), "target, on PostgreSQL"):]
	for _, name := range []string{"import  ", "import again", "plan", "send: Messenger, one-time tokens", "send: Messenger, in the window", "send: SMS", "send: e-mail",
		"webhook events", "webhooks posted for 1s", "answered within, 99 of 100", "acknowledged events, all applied", "peak memory", "bare client: Messenger", "bare client: SMS", "bare client: e-mail", "beckon / bare"} {
		require.Contains(t, table, name)
	}
	require.NotContains(t, table, " 0 contacts/s")
	require.NotContains(t, table, " 0 messages/s")
}

func TestBenchTakesNoNonsense(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "beckon")
	require.NoError(t, os.WriteFile(file, nil, 0o700))
	for _, args := range [][]string{{"-contacts", "10"}, {"-contacts", "6000000"}, {"-nonsense"}, {"left", "over"}, {"-only", "nonsense"}, {"-posts", "0"}, {"-for", "0s"}} {
		_, err := parse(append([]string{"-beckon", file}, args...), noEnv, io.Discard)
		require.Error(t, err, args)
	}
	_, err := parse([]string{"-beckon", file + "-not-there"}, noEnv, io.Discard)
	require.ErrorIs(t, err, os.ErrNotExist)
	o, err := parse([]string{"-beckon", file, "-short"}, func(string) string { return "postgres://x" }, io.Discard)
	require.NoError(t, err)
	require.Equal(t, shortRun, o.contacts)
	require.Len(t, engines(o), 2)
	require.NoError(t, run(t.Context(), []string{"-h"}, noEnv, io.Discard, io.Discard))
}

func TestBenchGivesUpWhenTheProgramDoesNotStart(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "beckon")
	require.NoError(t, os.WriteFile(broken, []byte("#!/bin/sh\nexit 3\n"), 0o700))
	err := run(t.Context(), []string{"-beckon", broken}, noEnv, io.Discard, io.Discard)
	require.ErrorContains(t, err, "the simulator did not start")
}

func TestFiguresAreJudgedByTheirTarget(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]figure{
		"":                           {value: 5, unit: "x"},
		"8,000 m/s: reached":         {value: 8000, unit: "m/s", target: 8000},
		"8,000 m/s: NOT reached":     {value: 7999, unit: "m/s", target: 8000},
		"at most 200 MB: reached":    {value: 199, unit: "MB", target: 200, most: true},
		"at most 20 MB: NOT reached": {value: 21, unit: "MB", target: 20, most: true},
	} {
		require.Equal(t, want, f.verdict())
	}
	require.Equal(t, "1,234,567 m/s", figure{value: 1234566.7, unit: "m/s"}.String())
	require.Equal(t, "0.87", figure{value: 0.868, ratio: true}.String())
}

func TestTableJudgesOnlyWhatTheTargetsAreFor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tb := &table{}
	tb.print(&out)
	require.Empty(t, out.String())
	tb.add(engine{name: "SQLite"}, []figure{{name: "plan", value: 1, unit: "c/s", target: 2}})
	tb.print(&out)
	require.NotContains(t, out.String(), "reached")
	tb.add(engine{name: "PostgreSQL", judged: true}, []figure{{name: "plan", value: 3, unit: "c/s", target: 2}})
	tb.print(&out)
	require.Contains(t, out.String(), "1 c/s               3 c/s   2 c/s: reached")
}

func TestRecorderKeepsTheLongestCallAndPassesAllOn(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Config{Lean: true})
	back := httptest.NewServer(sim.Handler())
	t.Cleanup(back.Close)
	rec, err := newRecorder(back.URL)
	require.NoError(t, err)
	front := httptest.NewServer(rec)
	t.Cleanup(front.Close)
	sim.AddPage("1", "t")
	sim.AddPeople("1", 1)
	for _, text := range []string{"Hi", "Hello there", "Yo"} {
		body, err := json.Marshal(map[string]any{"messaging_type": "RESPONSE", "recipient": map[string]string{"id": "psid-1"}, "message": map[string]string{"text": text}})
		require.NoError(t, err)
		_, err = rig.NewClient(front.URL, "t").Do(t.Context(), rig.Request{Method: http.MethodPost, Path: "/graph/v25.0/1/messages", Body: body})
		require.NoError(t, err)
	}
	call := rec.kept[simulator.Graph]
	require.Contains(t, string(call.Body), "Hello there")
	require.Equal(t, "/graph/v25.0/1/messages", call.Path)
	require.Equal(t, int64(3), sim.Counts()[simulator.Graph].Accepted)

	rate, err := flood(t.Context(), back.URL, call, 4, 50)
	require.NoError(t, err)
	require.Positive(t, rate)
	require.Equal(t, int64(53), sim.Counts()[simulator.Graph].Accepted)
	call.Path = "/graph/v25.0/2/messages"
	_, err = flood(t.Context(), back.URL, call, 4, 50)
	require.ErrorContains(t, err, "status 4", "a call that is refused is not counted as fast")
}

func TestScaleCountsWhatAMessageCosts(t *testing.T) {
	t.Parallel()
	c, err := dbtest.StartCluster(true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	env := func(name string) string { return map[string]string{dbtest.EnvURL: c.URL}[name] }
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-beckon", built(t), "-rows", "150000", "-most", "10000", "-limit", "3m"}, env, &out, io.Discard), &out)
	row := regexp.MustCompile(`\| 10,000 \| 150,000 \| 20 \| (\d+)\.\d \| [1-9]\d* µs \| [1-9]\d*\.\d \| [1-9]\d* bytes \| `).FindStringSubmatch(out.String())
	require.NotEmpty(t, row, &out)
	statements, err := strconv.Atoi(row[1])
	require.NoError(t, err)
	require.Greater(t, statements, 5)
	require.Less(t, statements, 30)
	require.Regexp(t, `bytes per delivery: [1-9]\d\d in the table, [1-9]\d* in its indexes`, out.String())
	conn, err := pgx.Connect(t.Context(), c.URL)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'beckon%'").Scan(&left))
	require.Zero(t, left)
	require.ErrorContains(t, run(t.Context(), []string{"-beckon", os.Args[0], "-rows", "1"}, noEnv, &out, io.Discard), "make scale")
}

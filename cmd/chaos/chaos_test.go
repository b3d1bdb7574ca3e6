package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/rig"
)

func noEnv(string) string { return "" }

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "beckon")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexit 3\n"), 0o700))
	return path
}

func TestChaosTakesNoNonsense(t *testing.T) {
	t.Parallel()
	beckon := program(t)
	for _, args := range [][]string{{"-contacts", "10"}, {"-kills", "0"}, {"-nonsense"}, {"left", "over"}, {"-only", "nothing"}, {"-only", "kills/postgres"}} {
		err := run(t.Context(), append([]string{"-beckon", beckon}, args...), noEnv, io.Discard, io.Discard)
		require.Error(t, err, args)
	}
	_, err := parse([]string{"-beckon", beckon + "-not-there"}, noEnv, io.Discard)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, run(t.Context(), []string{"-h"}, noEnv, io.Discard, io.Discard))
}

func TestWhatIsPlayedIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	beckon := program(t)
	for args, want := range map[string]string{
		"":                               "kills/postgres kills/sqlite database/postgres rolling/postgres disk/sqlite pause/postgres inbox/postgres inbox/sqlite budget/postgres budget/sqlite pace/postgres scale/postgres",
		"-short":                         "kills/postgres pause/postgres inbox/postgres budget/postgres",
		"-only kills":                    "kills/postgres kills/sqlite",
		"-short -only disk,kills/sqlite": "kills/sqlite disk/sqlite",
	} {
		o, err := parse(append([]string{"-beckon", beckon}, strings.Fields(args)...), func(string) string { return "postgres://x" }, io.Discard)
		require.NoError(t, err)
		chosen, err := o.chosen()
		require.NoError(t, err)
		var got []string
		for _, s := range chosen {
			got = append(got, s.String())
		}
		require.Equal(t, want, strings.Join(got, " "), args)
	}
}

func TestAProgramThatDoesNotStartIsAFailureThatLeavesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-beckon", program(t), "-only", "kills/sqlite", "-seed", "7"}, noEnv, &out, io.Discard)
	require.ErrorContains(t, err, "1 of 1 scenarios did not hold")
	require.Contains(t, out.String(), "FAILED: set the stage: the simulator did not start")
	require.Contains(t, out.String(), "seed 7")
}

// The real thing, where it takes least time; make chaos plays the rest.
func TestAPausePlayedForReal(t *testing.T) {
	t.Parallel()
	beckon := filepath.Join(t.TempDir(), "beckon")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", beckon, "beckon/cmd/beckon").CombinedOutput()
	require.NoError(t, err, string(built))
	server, err := dbtest.Server()
	require.NoError(t, err)
	var out bytes.Buffer
	said := &tail{}
	err = run(t.Context(), []string{"-beckon", beckon, "-only", "pause", "-contacts", "1500"}, func(string) string { return server }, &out, said)
	require.NoError(t, err, "%s\n%s", &out, said)
	require.Regexp(t, `people with two messages +0\n`, out.String())
	require.Regexp(t, `pause/postgres +[0-9.]+ s +held\n`, out.String())
}

func TestEverybodyHasTheAddressesThatTheirLaneNeeds(t *testing.T) {
	t.Parallel()
	people, file, err := everybody("page", 2000, "")
	require.NoError(t, err)
	lanes := map[string]int{}
	fallback := 0
	for _, p := range people {
		lanes[p.lane]++
		require.Equal(t, p.reachable, len(p.addresses()) > 0)
		if len(p.addresses()) > 1 {
			fallback++
		}
	}
	require.Equal(t, map[string]int{"window": 500, "one_time": 600, "sms": 400, "email": 400, "": 100}, lanes)
	require.Equal(t, 550, fallback, "half of those on Messenger have somewhere to fall to")
	tokens := 0
	for line := range bytes.Lines(file) {
		var l struct{ Tokens []any }
		require.NoError(t, json.Unmarshal(line, &l))
		tokens += len(l.Tokens)
	}
	require.Equal(t, 600, tokens)
}

func TestAJobsLastProcessIsReadOnBothEngines(t *testing.T) {
	t.Parallel()
	for by, mine := range map[string]bool{
		`{"a-host-77-x1"}`: true, `{a-host-77-x1}`: true, `["a-host-12-x9", "a-host-77-x1"]`: true, `{a-12-x9,a-77-x1}`: true,
		`{a-77-x1,a-12-x9}`: false, `{a-host-177-x1}`: false, `{a-host-x-77}`: false, ``: false,
	} {
		require.Equal(t, mine, jobRow{By: by}.last(77), by)
	}
}

func TestTakeoversAreTimedFromTheKill(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		by := func(job int, nodes ...string) {
			text, err := json.Marshal(nodes)
			require.NoError(t, err)
			list := string(text)
			if d.Engine() == "postgres" {
				list = "{" + strings.Join(nodes, ",") + "}"
			}
			require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
				res := tx.Exec("UPDATE river_job SET attempted_by = ? WHERE id = ?", list, job)
				if res.Error != nil || res.RowsAffected > 0 {
					return res.Error
				}
				return tx.Exec("INSERT INTO river_job (id, kind, args, state, max_attempts, attempted_at, attempted_by) VALUES (?, 'x', '{}', 'running', 25, ?, ?)", job, time.Now().UTC(), list).Error
			}))
		}
		by(1, "h-77-a")
		by(2, "h-78-a")
		over := watch(d)
		require.NoError(t, over.died(t.Context(), 77, time.Now().Add(-40*time.Second)))
		require.NoError(t, over.look(t.Context()))
		require.Equal(t, 1, over.left())
		by(1, "h-77-a", "h-78-a")
		require.NoError(t, over.look(t.Context()))
		require.Zero(t, over.left())
		require.GreaterOrEqual(t, over.longest, 40*time.Second)
		require.Less(t, over.longest, time.Minute)
		require.Equal(t, 1, over.jobs)

		by(3, "h-77-a")
		require.NoError(t, over.died(t.Context(), 77, time.Now().Add(-time.Hour)))
		require.Equal(t, 1, over.left())
		require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
			return tx.Exec("UPDATE river_job SET state = 'completed', finalized_at = ? WHERE id = 3", time.Now().UTC()).Error
		}))
		require.NoError(t, over.look(t.Context()))
		require.Zero(t, over.left(), "what the dead node had completed waits for nobody")
		require.Less(t, over.longest, time.Minute)
	})
}

func TestSteadyLeavesOutTheStartAndTheEnd(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var all []reading
	for i, n := range []int64{0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1000, 1000} {
		all = append(all, reading{at.Add(time.Duration(i) * time.Second), n})
	}
	require.InDelta(t, 100, steady(all), 0.01)
	require.Zero(t, steady(all[:1]))

	all = nil // a hundred at once every second, seen ten times a second
	for i := range 100 {
		all = append(all, reading{at.Add(time.Duration(i) * time.Second / 10), int64(i/10) * 100})
	}
	require.InDelta(t, 100, steady(all), 0.01, "chunks make it neither faster nor slower")
}

func TestWhatWasNotedInsideIsTakenOver(t *testing.T) {
	t.Parallel()
	const text = "100 people\n\ndisk/sqlite\n  a figure   7\n  BROKEN: a promise: 1\n\n       took\n"
	tr := newTrial(options{}, scenario{name: "disk", engine: onSQLite}, io.Discard, io.Discard)
	require.True(t, tr.takeOver(text))
	require.Equal(t, "  a figure   7\n", tr.said.String())
	require.Equal(t, []string{"a promise: 1"}, tr.broken)
	for _, text := range []string{"", "unshare: not permitted\n", "\ndisk/sqlite\n  a figure\n  FAILED: x\n\n", "\ndisk/sqlite\n  broken off"} {
		require.False(t, newTrial(options{}, tr.scenario, io.Discard, io.Discard).takeOver(text), text)
	}
}

func TestTheSameSeedDoesTheSame(t *testing.T) {
	t.Parallel()
	throw := func(seed uint64, name string) (out [8]time.Duration) {
		tr := newTrial(options{seed: seed}, scenario{name: name}, io.Discard, io.Discard)
		for i := range out {
			out[i] = tr.between(time.Second, time.Minute)
		}
		return out
	}
	require.Equal(t, throw(1, "a"), throw(1, "a"))
	require.NotEqual(t, throw(1, "a"), throw(2, "a"))
	require.NotEqual(t, throw(1, "a"), throw(1, "b"))
}

func TestPatienceOutlastsErrors(t *testing.T) {
	t.Parallel()
	n := 0
	require.NoError(t, patiently(t.Context(), time.Minute, func() (bool, error) {
		n++
		return true, map[bool]error{true: errors.New("not yet")}[n < 3]
	}))
	err := patiently(t.Context(), time.Millisecond, func() (bool, error) { return false, io.ErrUnexpectedEOF })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sleep(ctx, time.Hour), context.Canceled)
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	l := &tail{}
	for range 100 {
		_, err := l.Write(bytes.Repeat([]byte("x"), 1000))
		require.NoError(t, err)
	}
	_, err := l.Write([]byte("the end"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(l.String()), tailSize)
	require.True(t, strings.HasSuffix(l.String(), "the end"))
	require.Equal(t, "503 disk_full", answerOf(&rig.StatusError{Status: 503, Body: []byte(`{"code":"disk_full"}`)}))
	require.Equal(t, "no answer", answerOf(io.EOF))
	require.Equal(t, "none", retryAfter(nil))
}

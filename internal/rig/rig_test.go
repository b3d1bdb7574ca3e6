package rig_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/rig"
)

func TestUntilAsksAgain(t *testing.T) {
	t.Parallel()
	n := 0
	require.NoError(t, rig.Until(t.Context(), time.Minute, func() (bool, error) { n++; return n == 2, nil }))
	require.ErrorContains(t, rig.Until(t.Context(), time.Millisecond, func() (bool, error) { return false, nil }), "waited too long")
	broken := errors.New("broken")
	require.ErrorIs(t, rig.Until(t.Context(), time.Minute, func() (bool, error) { return false, broken }), broken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, rig.Until(ctx, time.Minute, func() (bool, error) { return false, nil }), context.Canceled)
}

// script is a program of a few lines.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "beckon")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700))
	return path
}

func TestAProgramThatDoesNotStartIsAnError(t *testing.T) {
	t.Parallel()
	broken := script(t, "exit 3")
	_, err := rig.StartStandIns(t.Context(), broken, "", io.Discard)
	require.ErrorContains(t, err, "the simulator did not start")
	_, err = rig.StartNode(t.Context(), broken, "127.0.0.1:1", nil, io.Discard)
	require.ErrorContains(t, err, "exit status 3")
	_, err = rig.Start(rig.Command{What: "nothing", Args: []string{broken + "-not-there"}})
	require.Error(t, err)
}

func TestAProgramEndsWhenAskedAndIsGoneWhenKilled(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	polite := "trap 'exit 0' TERM; touch " + ready + "; while :; do sleep 0.01; done"
	for _, end := range []func(*rig.Process){
		func(p *rig.Process) { require.NoError(t, p.Stop()) },
		func(p *rig.Process) { p.Kill(); require.ErrorContains(t, p.Stop(), "killed") },
	} {
		p, err := rig.Start(rig.Command{What: "a program", Args: []string{script(t, polite)}})
		require.NoError(t, err)
		require.NotZero(t, p.PID())
		require.NoError(t, rig.Until(t.Context(), time.Minute, func() (bool, error) {
			_, err := os.Stat(ready)
			return err == nil, nil
		}))
		require.NoError(t, os.Remove(ready))
		end(p)
		<-p.Ended()
	}
}

func TestClientTellsARefusalByItsStatusAndCode(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"disk_full"}`)
			return
		}
		_, _ = io.WriteString(w, `{"said":"`+r.Header.Get("Authorization")+`"}`)
	}))
	t.Cleanup(s.Close)
	c := rig.NewClient(s.URL, "k")
	var got struct{ Said string }
	require.NoError(t, c.Get(t.Context(), "/", &got))
	require.Equal(t, "Bearer k", got.Said)
	var refused *rig.StatusError
	require.ErrorAs(t, c.Post(t.Context(), "/x", map[string]int{}, nil), &refused)
	require.Equal(t, "disk_full", refused.Code())
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	s.Close()
	require.False(t, c.Ready(t.Context()))
}

func TestSQLiteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d, err := rig.SQLite()
	require.NoError(t, err)
	require.DirExists(t, d.Dir)
	require.NoError(t, d.Drop())
	require.NoDirExists(t, d.Dir)
}

func TestGateLeadsToThoseWhoLive(t *testing.T) {
	t.Parallel()
	var addresses []string
	for _, name := range []string{"a", "b"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"name":"`+name+`"}`) }))
		t.Cleanup(s.Close)
		addresses = append(addresses, s.Listener.Addr().String())
	}
	g, err := rig.OpenGate(t.Context())
	require.NoError(t, err)
	c := rig.NewClient(g.URL, "")
	asked := func() map[string]int {
		seen := map[string]int{}
		for range 4 {
			var got struct{ Name string }
			if err := c.Get(t.Context(), "/", &got); err != nil {
				got.Name = "nobody"
			}
			seen[got.Name]++
		}
		return seen
	}
	require.Equal(t, map[string]int{"nobody": 4}, asked())
	g.Open(addresses[0])
	g.Open(addresses[1])
	g.Open(addresses[1])
	require.Equal(t, map[string]int{"a": 2, "b": 2}, asked())
	g.Shut(addresses[0])
	require.Equal(t, map[string]int{"b": 4}, asked())
	g.Open("127.0.0.1:1")
	require.Equal(t, map[string]int{"b": 2, "nobody": 2}, asked(), "a node that died is no node")
	require.NoError(t, g.Close())
}

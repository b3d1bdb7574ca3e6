package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// full is how long the disk stays full.
const full = 8 * time.Second

// disk fills the disk that SQLite is on in the middle of a campaign, and makes
// room again. The disk is a small one in memory, in a name space of the node's
// own: that needs no rights.
func disk(ctx context.Context, t *trial) error {
	if out, err := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", os.TempDir()).CombinedOutput(); err != nil {
		return fmt.Errorf("no disk of its own may be mounted here: %w: %s", err, out)
	}
	return nil
}

// mustSay checks what callers are told while the database cannot work: a clear
// error from the API, a health check that says the process is alive, and a
// readiness check that says why it cannot work.
func (s *stage) mustSay(ctx context.Context, code, when string) {
	_, err := s.api.Do(ctx, rig.Request{Method: http.MethodGet, Path: "/healthz"})
	s.must(err == nil, "/healthz "+when, "%s", answerOf(err))
	_, err = s.api.Do(ctx, rig.Request{Method: http.MethodGet, Path: "/readyz"})
	s.must(answerOf(err) == "503 "+code, "/readyz "+when, "%s", answerOf(err))
	err = s.api.Post(ctx, "/v1/topics", map[string]string{"slug": "more", "title": "More courses"}, nil)
	s.must(answerOf(err) == "503 "+code, "a write through the API "+when, "%s", answerOf(err))
	var no *rig.StatusError
	s.must(errors.As(err, &no) && no.Header.Get("Retry-After") != "", "  Retry-After", "%s", retryAfter(no))
}

func retryAfter(e *rig.StatusError) string {
	if e == nil {
		return ""
	}
	return e.Header.Get("Retry-After")
}

// answerOf is the status and the code that the API answered.
func answerOf(err error) string {
	var no *rig.StatusError
	switch {
	case err == nil:
		return "2xx"
	case errors.As(err, &no):
		return strings.TrimSpace(fmt.Sprintf("%d %s", no.Status, no.Code()))
	}
	return "no answer"
}

var _ = filepath.Join
var _ = simulator.Graph
var _ = full

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// inside says that this process has mounts of its own.
const inside = "BECKON_CHAOS_INSIDE"

// disk fills the disk that SQLite is on. The disk is a small one in memory; to
// mount it without any rights the scenario runs once more as a process in name
// spaces of its own.
func disk(ctx context.Context, t *trial) error {
	if os.Getenv(inside) != "" {
		return t.fullDisk(ctx)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", "--mount", self, "-only", t.String(), //nolint:gosec // ourselves
		"-beckon", t.beckon, "-contacts", strconv.Itoa(t.contacts), "-seed", strconv.FormatUint(t.seed, 10), "-verbose="+strconv.FormatBool(t.verbose))
	var out bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), inside+"=yes"), &out, t.errOut
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	ran := cmd.Run()
	if t.takeOver(out.String()) {
		return nil
	}
	return errors.Join(errors.New("the scenario needs a disk of its own and could not mount one (unshare --user --mount)"), ran)
}

// takeOver makes what the process inside noted ours. It reports whether it came
// to an end there.
func (t *trial) takeOver(text string) (played bool) {
	_, text, _ = strings.Cut(text, "\n"+t.String()+"\n")
	for line := range strings.Lines(text) {
		broken, isBroken := strings.CutPrefix(line, brokenMark)
		switch {
		case isBroken:
			t.broken = append(t.broken, strings.TrimSpace(broken))
		case strings.HasPrefix(line, failedMark):
			return false
		case strings.TrimSpace(line) == "":
			return true
		default:
			t.said.WriteString(line)
		}
	}
	return false
}

// fullFor is how long the disk stays full.
const fullFor = 8 * time.Second

// mounted makes a small disk of its own.
func mounted(ctx context.Context) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp("", "beckon-disk-"); err != nil {
		return "", nil, err
	}
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", dir).CombinedOutput(); err != nil { //nolint:gosec // our own folder
		return "", nil, errors.Join(fmt.Errorf("mount a disk: %w: %s", err, out), os.Remove(dir))
	}
	return dir, func() error {
		umount := exec.CommandContext(context.WithoutCancel(ctx), "umount", dir) //nolint:gosec // as above
		return errors.Join(umount.Run(), os.Remove(dir))
	}, nil
}

func (t *trial) fullDisk(ctx context.Context) (err error) {
	dir, remove, err := mounted(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return t.open(ctx, plan{nodes: 1, people: min(t.contacts, 6_000), database: rig.SQLiteIn(dir)}, func(s *stage) error {
		slow := simulator.Faults{Latency: 300 * time.Millisecond, DuplicateCallbacks: 0.1, LateCallbacks: 0.2, LateBy: 3 * time.Second}
		if err := s.standIns.SetFaults(ctx, slow); err != nil {
			return err
		}
		campaign, err := s.campaign(ctx, allLanes()...)
		if err != nil {
			return err
		}
		if _, err := s.underWay(ctx, len(s.people)/5); err != nil {
			return err
		}
		if err := s.noRoom(ctx, filepath.Join(dir, "ballast")); err != nil {
			return err
		}
		if err := s.finished(ctx, campaign, 3*time.Minute); err != nil {
			return err
		}
		t.must(s.up() == 1, "the node is up, all along", "%t", s.up() == 1)
		return s.settle(ctx, campaign)
	})
}

// noRoom fills the disk with a file, looks what callers are told, and takes the
// file away.
func (s *stage) noRoom(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, endless{})
	if err := f.Close(); err != nil {
		return err
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk does not get full: %w", err)
	}
	began := time.Now()
	for n := 0; err != nil; n++ { // small writes may find a place yet
		topic := map[string]string{"slug": fmt.Sprint("more", n), "title": "More courses"}
		if said := answerOf(s.api.Post(ctx, "/v1/topics", topic, nil)); said != "2xx" || time.Since(began) > time.Minute {
			break
		}
	}
	if err := sleep(ctx, fullFor); err != nil {
		return err
	}
	s.mustSay(ctx, "disk_full", "while the disk is full")
	if err := os.Remove(path); err != nil {
		return err
	}
	began = time.Now()
	err = patiently(ctx, time.Minute, func() (bool, error) { return s.api.Ready(ctx), nil })
	s.note("ready again after there was room", "%s", seconds(time.Since(began)))
	return err
}

// endless is zeroes without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// mustSay checks what callers are told while the database cannot work: a clear
// error from the API, a health check that says the process is alive, and a
// readiness check that says why it cannot work.
func (s *stage) mustSay(ctx context.Context, code, when string) {
	_, err := s.api.Do(ctx, rig.Request{Method: http.MethodGet, Path: "/healthz"})
	s.must(err == nil, "/healthz "+when, "%s", answerOf(err))
	_, err = s.api.Do(ctx, rig.Request{Method: http.MethodGet, Path: "/readyz"})
	s.must(answerOf(err) == "503 "+code, "/readyz "+when, "%s", answerOf(err))
	body := []byte(`{"slug":"` + "more" + `","title":"` + strings.Repeat("More ", 12) + `"}`)
	_, err = s.api.Do(ctx, rig.Request{Method: http.MethodPost, Path: "/v1/topics", Header: http.Header{"Content-Type": {"application/json"}}, Body: body})
	s.must(answerOf(err) == "503 "+code, "a write through the API "+when, "%s", answerOf(err))
	var no *rig.StatusError
	s.must(errors.As(err, &no) && no.Header.Get("Retry-After") != "", "  Retry-After", "%s", retryAfter(no))
}

func retryAfter(e *rig.StatusError) string {
	if e == nil {
		return "none"
	}
	return e.Header.Get("Retry-After") + " s"
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

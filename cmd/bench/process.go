package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that this one started, and ends.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	what  string
}

// start runs a program. Its output goes to stdout, or nowhere.
func start(what string, command []string, env []string, stdout, stderr io.Writer) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // the program to measure; it is asked to end, not killed with a context
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{}), what: what}
	go func() {
		_ = cmd.Wait() // how it ended is told by stop
		close(p.ended)
	}()
	return p, nil
}

// stop asks the program to end, and makes it when it does not.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		<-p.ended
		return fmt.Errorf("%s did not stop when asked to", p.what)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %s", p.what, p.cmd.ProcessState)
	}
	return nil
}

// peakMemory is the most memory the program ever held, in MB; 0 where the
// system does not tell.
func (p *process) peakMemory() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 64)
			return kb / 1024
		}
	}
	return 0
}

// freeAddress is a port that was free a moment ago.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// standIns are the simulated providers in a process of their own.
type standIns struct {
	*process
	base     string
	settings []string // what points beckon at them
}

// startStandIns waits until the settings are printed, which is when it serves.
func startStandIns(ctx context.Context, o options, callbacks string, stderr io.Writer) (*standIns, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := start("the simulator", []string{o.beckon, "simulator", "--lean", "--read-share", "0", "--addr", "127.0.0.1:0", "--callback-url", callbacks,
		"--app-secret", appSecret, "--page", graphPage + "=page-token"}, os.Environ(), w, stderr)
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s := &standIns{process: p}
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan() && ctx.Err() == nil; {
		if base, done := strings.CutPrefix(lines.Text(), "# stand-ins serve on "); done {
			s.base, _, _ = strings.Cut(base, " ")
			return s, nil
		}
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "="); ok {
			s.settings = append(s.settings, name+"="+strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'"))
		}
	}
	return nil, errors.Join(errors.New("the simulator did not start"), p.stop())
}

// startServer starts beckon and waits until it is ready.
func startServer(ctx context.Context, o options, addr string, settings []string, stderr io.Writer) (*process, *client, error) {
	key := "bk_bench_0123456789abcdef0123456789abcdef"
	env := append(cleanEnviron(), settings...)
	env = append(env, "BECKON_ADDR="+addr, "BECKON_BOOTSTRAP_KEY="+key, "BECKON_SECRET_KEY=bench-0123456789abcdef0123456789abcdef",
		"BECKON_LOG_LEVEL="+map[bool]string{false: "warn", true: "info"}[o.verbose], "BECKON_PARALLEL="+strconv.Itoa(o.parallel))
	p, err := start("beckon serve", []string{o.beckon, "serve"}, env, io.Discard, stderr)
	if err != nil {
		return nil, nil, err
	}
	c := newClient("http://"+addr, key)
	err = until(ctx, 30*time.Second, func() (bool, error) {
		select {
		case <-p.ended:
			return false, fmt.Errorf("beckon serve ended with %s", p.cmd.ProcessState)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return false, nil //nolint:nilerr // not listening yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		return nil, nil, errors.Join(err, p.stop())
	}
	return p, c, nil
}

// cleanEnviron is the environment without anybody's settings for beckon.
func cleanEnviron() []string {
	var out []string
	for _, v := range os.Environ() {
		ours := false
		for _, prefix := range []string{"BECKON_", "META_", "TWILIO_", "SENDGRID_", "EMAIL_", "SMTP_"} {
			ours = ours || strings.HasPrefix(v, prefix)
		}
		if !ours {
			out = append(out, v)
		}
	}
	return out
}

// until asks again until done says so.
func until(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("waited too long"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
